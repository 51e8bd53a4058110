/** @file The process that thinks: opens models, runs the arms of the playground and the steering page side by side, streams what they write. See `model-process.ts`. */
import { setImmediate as turn } from 'node:timers/promises';
import { CrosspatchError, errorId, errorLine, InputError } from '../../base/index.ts';
import type { ProbeEvent, SteerEvent } from '../../evaluate/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { makeSteerVectors, openProbe, openSteering, steerDocument } from '../../pipeline/index.ts';
import type { ChildAnswer, ChildCall, ModelDescription, ToChild } from './model-process.ts';

/** Models kept open; the one used longest ago is closed. A map needs two at once. */
const KEPT = 2;
const open = new Map<string, LanguageModel>();
const stops = new Map<number, AbortController>();

if (!process.send)
  throw new CrosspatchError('model-child.ts: wanted to run as a child process', { id: 'internal' });
process.on('disconnect', () => process.exit(1));
let last: Promise<void> = Promise.resolve();
process.on('message', (message: ToChild) => {
  if (message.type === 'stop') {
    stops.get(message.id)?.abort();
    return;
  }
  const stop = new AbortController();
  stops.set(message.id, stop);
  last = last.then(() => answer(message.id, message.call, stop.signal));
});

async function answer(id: number, call: ChildCall, signal: AbortSignal): Promise<void> {
  const say = (answer: ChildAnswer) => process.send?.(answer);
  try {
    if (call.kind === 'describe') say({ id, value: await describe(call.model) });
    else if (call.kind === 'make')
      say({ id, value: await makeSteerVectors(call.model, call.texts, openModel, signal) });
    else if (call.kind === 'document') say({ id, value: await steerDocument(call, openModel, signal) });
    else
      for await (const event of eventsOf(call, signal)) {
        say({ id, event });
        // A session holds the thread; between two tokens a message that says stop is let in.
        await turn();
        if (signal.aborted) break;
      }
    say({ id, end: true });
  } catch (error) {
    say({ id, error: errorLine(error), code: errorId(error), input: error instanceof InputError });
  } finally {
    stops.delete(id);
  }
}

function eventsOf(
  call: Extract<ChildCall, { kind: 'run' | 'steer' }>,
  signal: AbortSignal,
): AsyncIterable<ProbeEvent | SteerEvent> {
  return call.kind === 'run'
    ? openProbe({ ...call, target: call.model }, call.request, openModel, signal)
    : openSteering(call.question, openModel, signal);
}

async function describe(path: string): Promise<ModelDescription> {
  const model = await openModel(path);
  return {
    blocks: model.nLayers,
    width: model.config.dModel,
    chat: model.tokenizer.chatTemplate !== undefined,
    hash: await model.checkpoint.contentHash(),
  };
}

async function openModel(path: string): Promise<LanguageModel> {
  const known = open.get(path);
  open.delete(path);
  const model = known ?? (await LanguageModel.load(path));
  open.set(path, model);
  for (const [oldest, old] of open) {
    if (open.size <= KEPT) break;
    open.delete(oldest);
    await old[Symbol.asyncDispose]();
  }
  return model;
}
