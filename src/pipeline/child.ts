/** @file Entry of a child process: runs stages the parent names, until the parent goes away. See `process-pool.ts`. */
import { type ProgressEvent, Rng } from '../base/index.ts';
import { runStage } from './context.ts';
import { findStage } from './find-stage.ts';
import type { FromChild, RemoteCall, ToChild } from './process-pool.ts';
import { plain } from './remote-error.ts';
import type { AnyStage, StageInputs } from './stage.ts';

/** What a stage needs that can cross a process border. */
export interface StagePayload {
  readonly params: unknown;
  readonly inputs: StageInputs<unknown>;
  readonly folder: string;
  readonly seed: number;
  readonly threads: number;
}

const stops = new Map<number, AbortController>();

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit(1));
process.on('message', (message: ToChild) => {
  if (message.type === 'abort') stops.get(message.id)?.abort();
  else void answer(message.id, message);
});

async function answer(id: number, call: RemoteCall): Promise<void> {
  const stop = new AbortController();
  stops.set(id, stop);
  try {
    const value = await stageHere(await findStage(call), call.payload as StagePayload, stop.signal, id);
    send({ type: 'done', id, value, rss: peak() });
  } catch (error) {
    send({ type: 'error', id, error: plain(error), rss: peak() });
  } finally {
    stops.delete(id);
  }
}

function stageHere(stage: AnyStage, payload: StagePayload, signal: AbortSignal, id: number): Promise<object> {
  let last = 0;
  const progress = (event: ProgressEvent) => {
    const now = performance.now();
    if (now - last < 50 && event.message === undefined && event.done !== event.total) return;
    last = now;
    send({ type: 'progress', id, event });
  };
  const rng = new Rng(payload.seed).fork(stage.name);
  return runStage(stage, { ...payload, rng, progress, signal });
}

/** `maxRSS` is in kilobytes. */
function peak(): number {
  return process.resourceUsage().maxRSS * 1024;
}

function send(message: FromChild): void {
  if (process.connected) process.send?.(message);
}
