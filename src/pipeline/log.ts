/** @file `log.jsonl` of a run folder: every event with its time, one JSON object a line; the web app tails it. */
import { appendFileSync } from 'node:fs';
import { z } from 'zod';
import type { RunEvent } from './run-event.ts';

const logLineSchema = z.looseObject({
  time: z.string(),
  stage: z.string(),
  state: z.enum(['started', 'running', 'cached', 'done', 'failed']),
  done: z.number(),
  total: z.number().optional(),
  unit: z.string().optional(),
  figures: z.record(z.string(), z.number()).optional(),
  message: z.string().optional(),
  seconds: z.number().optional(),
});

/** A line of the log. */
export interface LogLine extends RunEvent {
  /** ISO 8601, UTC. */
  readonly time: string;
}

/** At most one line of plain progress a stage in this many milliseconds; changes of state and messages are always written. */
const INTERVAL_MS = 500;

/** A sink that appends to `path`. A full disk loses lines, never the run; `flush` writes the last progress of each stage. */
export function logSink(path: string): ((event: RunEvent) => void) & { flush(): void } {
  const lastWritten = new Map<string, number>();
  const held = new Map<string, LogLine>();
  const write = (line: LogLine) => {
    try {
      appendFileSync(path, `${JSON.stringify(line)}\n`);
    } catch {}
  };
  const sink = (event: RunEvent) => {
    const line = { time: new Date().toISOString(), ...event };
    const now = performance.now();
    const quiet = event.state === 'running' && event.message === undefined;
    if (quiet && now - (lastWritten.get(event.stage) ?? Number.NEGATIVE_INFINITY) < INTERVAL_MS) {
      held.set(event.stage, line);
      return;
    }
    held.delete(event.stage);
    lastWritten.set(event.stage, now);
    write(line);
  };
  const flush = () => {
    for (const line of held.values()) write(line);
    held.clear();
  };
  return Object.assign(sink, { flush });
}

/** The events of a log's text; a last line that a kill cut short, and whatever is no event, is left out. */
export function readLog(text: string): LogLine[] {
  return text.split('\n').flatMap((line) => {
    const event = readLogLine(line);
    return event === undefined ? [] : [event];
  });
}

/** One line of a log, if it is an event. */
export function readLogLine(line: string): LogLine | undefined {
  if (line === '') return undefined;
  try {
    return logLineSchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
