/** @file An answer of many lines, one JSON object each, as they come; the last one says what went wrong, if anything did. */
import type { Context } from 'hono';
import { stream } from 'hono/streaming';
import { errorLine } from '../../base/index.ts';

/** `events` is asked to end when the client leaves. */
export function ndjson(context: Context, events: (signal: AbortSignal) => AsyncIterable<object>): Response {
  context.header('Content-Type', 'application/x-ndjson; charset=utf-8');
  return stream(context, async (out) => {
    const stop = new AbortController();
    out.onAbort(() => stop.abort());
    try {
      for await (const event of events(stop.signal)) await out.write(`${JSON.stringify(event)}\n`);
    } catch (error) {
      await out.write(`${JSON.stringify({ type: 'error', message: errorLine(error) })}\n`);
    }
  });
}
