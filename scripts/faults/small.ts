/** @file Small real work for the fault scripts: a training run and a capture of a random model. */
import { writeCapture } from '../../src/activations/index.ts';
import type { ProgressSink } from '../../src/base/index.ts';
import { LanguageModel } from '../../src/models/index.ts';
import { train } from '../../src/train/index.ts';
import { planBatches } from '../../src/train/plan.ts';
import { tinyModel, tinyRows } from '../../src/train/tiny-model.helper.ts';

/** Train a random Llama of three blocks; the same options give the same bytes. Returns its parameters. */
export async function trainingRun(options: {
  readonly steps: number;
  readonly checkpoint: { readonly folder: string; readonly every: number; readonly identity: string };
  readonly onProgress?: ProgressSink;
}) {
  const { config, parameters } = tinyModel();
  await train(config, parameters, {
    schedule: { kind: 'cosine', peak: 1e-2, warmup: 2 },
    batches: planBatches(tinyRows(40), { batch: 5, accumulation: 2, seed: 1 }).batches,
    threads: 1,
    ...options,
  });
  return parameters;
}

/** Capture two hooks of a bundled model over twelve texts, a few to a shard. Returns the texts' ids. */
export async function smallCapture(folder: string): Promise<string[]> {
  await using model = await LanguageModel.load('tiny-llama-s', { threads: 1 });
  const texts = Array.from({ length: 12 }, (_, i) => ({
    id: `text-${i}`,
    ids: model.toTokens(`one plus ${i} is`)[0] as number[],
  }));
  await writeCapture(folder, model.decoder, texts, {
    hooks: ['blocks.0.hook_resid_post', 'blocks.1.hook_resid_post'],
    model: 'tiny-llama-s',
    modelHash: await model.checkpoint.contentHash(),
    tokenizerHash: 'x',
    shardRows: 20,
    batch: 2,
  });
  return texts.map(({ id }) => id);
}
