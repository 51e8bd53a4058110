/** @file Speed of a training step, full and LoRA, beside matrix products that take turns with it. */
import type { Rng } from '../../base/index.ts';
import { openCheckpoint } from '../../models/index.ts';
import {
  AdamW,
  globalNorm,
  initAdapters,
  isFactor,
  loadParameters,
  type Parameters,
  padBatch,
  TrainableModel,
  trainRow,
} from '../../train/index.ts';
import { bestProduct } from './roofline.ts';
import { interleaved } from './timing.ts';

/** The batch that is timed: loss on every token, nothing packed. */
export const TRAINING = { rows: 8, tokens: 64 } as const;
const LORA = { rank: 16, alpha: 32 } as const;

/** Figures of {@link benchTraining}; rates a second, sizes in bytes. Useful work is 6 × parameters a token (2 forward, 4 back). */
export interface TrainingFigures {
  readonly full: { readonly tokens: number; readonly flops: number; readonly share: number };
  readonly lora: { readonly tokens: number; readonly times_full: number };
  /** The process's; the inference part, when it ran before, is below it. */
  readonly memory: { readonly high_water: number; readonly weights_f32: number };
}

/** Measure steps of a model on disk. */
export async function benchTraining(
  path: string,
  options: { readonly rounds: number; readonly rng: Rng; readonly signal: AbortSignal },
): Promise<TrainingFigures> {
  const { rounds, rng, signal } = options;
  const { config, parameters } = await loadParameters(await openCheckpoint(path));
  const count = [...parameters.values()].reduce((n, values) => n + values.length, 0);
  const row = () => Array.from({ length: TRAINING.tokens }, () => rng.int(config.vocabSize));
  const batch = padBatch(Array.from({ length: TRAINING.rows }, () => trainRow([], row())));
  const step = (model: TrainableModel, all: Parameters, optimizer: AdamW) => {
    let n = 0;
    return async (): Promise<number> => {
      await model.gradients(batch);
      const scale = Math.min(1, 1 / globalNorm(model.gradientsByName));
      optimizer.update(all, model.gradientsByName, { step: ++n, rate: () => 1e-6, scale });
      return batch.tokens;
    };
  };
  await using product = await bestProduct();
  const full = await (async () => {
    await using model = await TrainableModel.open(config, parameters);
    const task = step(model, parameters, new AdamW(model.gradientsByName));
    await task();
    return await interleaved({ gemm: product.task, step: task }, rounds, signal);
  })();
  const adapted: Parameters = new Map([...parameters, ...initAdapters(config, LORA, rng)]);
  await using model = await TrainableModel.open(config, adapted, { lora: LORA, trains: isFactor });
  const task = step(model, adapted, new AdamW(model.gradientsByName));
  await task();
  const lora = await interleaved({ gemm: product.task, step: task }, rounds, signal);
  const flopsAToken = 6 * count;
  // Machines drift between the two: compare both to the products beside them.
  const times_full = lora.ratio('step', 'gemm') / full.ratio('step', 'gemm');
  return {
    full: {
      tokens: full.rate('step'),
      flops: full.rate('step') * flopsAToken,
      share: full.ratio('step', 'gemm') * flopsAToken,
    },
    lora: { tokens: lora.rate('step'), times_full },
    memory: { high_water: process.resourceUsage().maxRSS * 1024, weights_f32: 4 * count },
  };
}
