/**
 * @file A training run in a process of its own, to be killed: `node train-child.ts STATE RESULT [STOP]`. Trains a random Llama of
 * three blocks for twelve steps, writes its state after every step, prints `step N` lines, and at the end the weights' hash into
 * RESULT. Stops on request after step STOP.
 */
import { hashBytes, hashJson, writeFileAtomic } from '../../src/base/index.ts';
import { train } from '../../src/train/index.ts';
import { planBatches } from '../../src/train/plan.ts';
import { tinyModel, tinyRows } from '../../src/train/tiny-model.helper.ts';

const [state, result, stopAfter] = process.argv.slice(2) as [string, string, string?];
const stop = new AbortController();
const { config, parameters } = tinyModel();
await train(config, parameters, {
  steps: 12,
  schedule: { kind: 'cosine', peak: 1e-2, warmup: 2 },
  batches: planBatches(tinyRows(40), { batch: 5, accumulation: 2, seed: 1 }).batches,
  threads: 1,
  checkpoint: { folder: state, every: 1, identity: 'fault tests' },
  signal: stop.signal,
  onProgress: ({ done }) => {
    process.stdout.write(`step ${done}\n`);
    if (done === Number(stopAfter)) stop.abort();
  },
});
const hashes = [...parameters].map(([name, w]) => [
  name,
  hashBytes(new Uint8Array(w.buffer, w.byteOffset, w.byteLength)),
]);
await writeFileAtomic(result, hashJson(hashes));
