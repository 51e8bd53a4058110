/** @file The thread that thinks: opens models, runs the playground's arms side by side, streams what they write. */
import { parentPort } from 'node:worker_threads';
import { CrosspatchError, errorLine, InputError } from '../../base/index.ts';
import { LanguageModel } from '../../models/index.ts';
import type { ModelDescription, WorkerAnswer, WorkerMessage } from './playground.ts';
import { type Opened, runArms } from './playground-run.ts';

/** Models kept open; the one used longest ago is closed. A map needs two at once. */
const KEPT = 2;
const open = new Map<string, LanguageModel>();

const port = parentPort;
if (!port) throw new CrosspatchError('worker.ts: wanted to run as a worker thread');
let turn: Promise<void> = Promise.resolve();
port.on('message', (message: WorkerMessage) => {
  turn = turn.then(() => answer(message));
});

async function answer({ id, call, stop }: WorkerMessage): Promise<void> {
  const say = (answer: WorkerAnswer) => port?.postMessage(answer);
  try {
    if (call.kind === 'describe') say({ id, value: await describe(call.model) });
    else {
      const stopped = () => Atomics.load(stop, 0) !== 0;
      const models: Opened = { model: openModel, stopped };
      for await (const event of runArms(call, models)) {
        if (stopped()) break;
        say({ id, event });
      }
    }
    say({ id, end: true });
  } catch (error) {
    say({ id, error: errorLine(error), input: error instanceof InputError });
  }
}

async function describe(path: string): Promise<ModelDescription> {
  const model = await openModel(path);
  return {
    blocks: model.nLayers,
    width: model.config.dModel,
    chat: model.tokenizer.chatTemplate !== undefined,
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
