/** @file What is asked of the playground: what can be chosen, what a model is like, one request run. */
import { Hono } from 'hono';
import { stream } from 'hono/streaming';
import { z } from 'zod';
import { errorLine } from '../../base/index.ts';
import type { Playground } from './playground.ts';
import { playgroundRequestSchema } from './playground-request.ts';
import { json, query } from './valid.ts';

export function playgroundRoutes(playground: Playground) {
  return new Hono()
    .get('/playground', async (context) => context.json(await playground.choices()))
    .get('/playground/model', query(z.object({ id: z.string().min(1) })), async (context) =>
      context.json(await playground.describe(context.req.valid('query').id)),
    )
    .post('/playground/run', json(playgroundRequestSchema), async (context) => {
      const request = context.req.valid('json');
      context.header('Content-Type', 'application/x-ndjson; charset=utf-8');
      return stream(context, async (out) => {
        const stop = new AbortController();
        out.onAbort(() => stop.abort());
        try {
          for await (const event of playground.run(request, stop.signal))
            await out.write(`${JSON.stringify(event)}\n`);
        } catch (error) {
          await out.write(`${JSON.stringify({ type: 'error', message: errorLine(error) })}\n`);
        }
      });
    });
}
