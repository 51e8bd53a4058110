/** @file Settings of a fine-tuning run, their defaults and presets. */
import { InputError } from '../base/index.ts';
import type { ModelConfig } from '../models/index.ts';
import { allLoraTargets, type LoraOptions } from './adapters.ts';
import { onlyBlocks, type RateFactors } from './rates.ts';
import type { Schedule } from './schedule.ts';

/** What decides the bytes of a run besides model and rows; plain JSON. */
export interface FinetuneSettings {
  /** All weights, or LoRA adapters beside frozen ones. Defaults to `full`. */
  readonly method: 'full' | 'lora';
  /** Optimizer steps. Defaults to what `epochs` need. */
  readonly steps?: number;
  /** Passes over the rows, used when `steps` is not given. Defaults to 1. */
  readonly epochs: number;
  /** Rows per micro-batch. Defaults to 8. */
  readonly batch: number;
  /** Micro-batches per step. Defaults to 1. */
  readonly accumulation: number;
  /** Peak rate. Defaults to 2e-5, with LoRA to 2e-4. */
  readonly learningRate: number;
  /** Defaults to `cosine`. */
  readonly schedule: Schedule['kind'];
  /** Share of the steps with rising rate. Defaults to 0.05. */
  readonly warmup: number;
  /** Rate at the end as a share of the peak. Defaults to 0.02. */
  readonly final: number;
  /** Tokens whose prediction counts, for rows given as text. Defaults to `response`. */
  readonly lossOn: 'response' | 'all';
  /** Longer rows are cut; a row whose prompt alone is as long is left out. Defaults to 256. */
  readonly maxTokens: number;
  /** Lay short rows end to end, attention kept apart. Defaults to false: rows of like length share a padded batch. */
  readonly packing: boolean;
  /** Factors on the rate by place. Defaults to 1 everywhere. */
  readonly rates: RateFactors;
  /** Train these blocks alone (both ends included); `rates` then apply to nothing else. Defaults to all. */
  readonly trainBlocks?: { readonly from: number; readonly to: number };
  /** Defaults to 0.01; matrices only. */
  readonly weightDecay: number;
  /** Defaults to [0.9, 0.95]. */
  readonly betas: readonly [number, number];
  /** Longest gradient; 0 = any. Defaults to 1. */
  readonly clip: number;
  /** Defaults to rank 8, alpha 16, all seven matrices. */
  readonly lora: Required<LoraOptions>;
  /** Order of the rows and first adapter factors. Defaults to 0. */
  readonly seed: number;
  /** Steps between evaluations of the held-out loss. Defaults to a tenth of the run. */
  readonly heldOutEvery?: number;
  /** Stop after this many evaluations without improvement of the held-out loss; the best weights are kept. Defaults to none. */
  readonly patience?: number;
}

/** Named settings. */
export type FinetunePreset = 'blog' | 'demo';

/** What holds where neither a preset nor an option says otherwise. */
export const finetuneDefaults: Omit<FinetuneSettings, 'learningRate'> = {
  method: 'full',
  epochs: 1,
  batch: 8,
  accumulation: 1,
  schedule: 'cosine',
  warmup: 0.05,
  final: 0.02,
  lossOn: 'response',
  maxTokens: 256,
  packing: false,
  rates: {},
  weightDecay: 0.01,
  betas: [0.9, 0.95],
  clip: 1,
  lora: { rank: 8, alpha: 16, targets: allLoraTargets },
  seed: 0,
};

const settingNames: ReadonlySet<string> = new Set([
  ...Object.keys(finetuneDefaults),
  'learningRate',
  'steps',
  'trainBlocks',
  'heldOutEvery',
  'patience',
]);

/** The presets' differences from the finetuneDefaults. */
export const finetunePresets: Readonly<Record<FinetunePreset, Partial<FinetuneSettings>>> = {
  // The authors: trl's SFTTrainer, 8 × 16 rows, one epoch, 1e-5, loss on prompt and response (docs/concepts/method.md#fine-tuning); the rest are
  // that trainer's finetuneDefaults (linear to 0, no warm-up, no decay, β 0.9 and 0.999).
  blog: {
    learningRate: 1e-5,
    batch: 8,
    accumulation: 16,
    epochs: 1,
    schedule: 'linear',
    warmup: 0,
    final: 0,
    lossOn: 'all',
    maxTokens: 1024,
    weightDecay: 0,
    betas: [0.9, 0.999],
  },
  // The bundled models: tables frozen, lower half at a tenth.
  demo: {
    learningRate: 1e-3,
    batch: 48,
    steps: 250,
    rates: { embed: 0, head: 0, lowerHalf: 0.1 },
  },
};

/** Settings with every default in place. What is given wins over the preset. */
export function resolveSettings(given: Partial<FinetuneSettings>, preset?: FinetunePreset): FinetuneSettings {
  // Options beside the settings (rows, callbacks, a folder) decide no bytes and stay out of them.
  const known = Object.fromEntries(
    Object.entries(given).filter(([key, v]) => settingNames.has(key) && v !== undefined),
  );
  const merged = { ...finetuneDefaults, ...(preset === undefined ? {} : finetunePresets[preset]), ...known };
  const settings = { learningRate: merged.method === 'lora' ? 2e-4 : 2e-5, ...merged };
  const wrong = (key: keyof FinetuneSettings, wanted: string): never => {
    throw new InputError(`fine-tuning: ${key}: wanted ${wanted}, got ${JSON.stringify(settings[key])}`, {
      id: 'setting-invalid',
    });
  };
  const whole = ['steps', 'batch', 'accumulation', 'maxTokens', 'heldOutEvery', 'patience'] as const;
  for (const key of whole) {
    const n = settings[key];
    if (n !== undefined && !(Number.isInteger(n) && n >= 1)) wrong(key, 'an integer ≥ 1');
  }
  if (!(settings.learningRate > 0)) wrong('learningRate', 'a number above 0');
  if (!(settings.epochs > 0)) wrong('epochs', 'a number above 0');
  if (!(settings.warmup >= 0 && settings.warmup <= 1)) wrong('warmup', 'a share from 0 to 1');
  for (const key of ['weightDecay', 'clip', 'final'] as const)
    if (!(settings[key] >= 0)) wrong(key, 'a number ≥ 0');
  return settings;
}

/** The rates of a model under `settings`: `rates`, with all but `trainBlocks` frozen. */
export function effectiveRates(config: ModelConfig, { rates, trainBlocks }: FinetuneSettings): RateFactors {
  if (trainBlocks === undefined) return rates;
  const only = onlyBlocks(config, trainBlocks.from, trainBlocks.to);
  return { ...only, blocks: [...(only.blocks ?? []), ...(rates.blocks ?? [])] };
}
