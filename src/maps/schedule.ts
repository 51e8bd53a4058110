/** @file How long and how fast a map is learnt by gradient: the presets `tuned` and `blog`. */

/** Settings of maps learnt by gradient; what is not given comes from the preset. */
export interface GradientSettings {
  /**
   * `tuned` (default): standardised, lr 2e-3 falling as a cosine after 5 % warm-up, 1,500 steps. `blog`: the authors' raw activations
   * with position 0 and sinks, constant lr 1e-4, 3 epochs (or 1,500 steps where that is more: on few rows three epochs are a straw man).
   */
  readonly preset?: 'tuned' | 'blog' | undefined;
  readonly learning_rate?: number | undefined;
  /** Optimizer steps; wins over `epochs`. */
  readonly steps?: number | undefined;
  readonly epochs?: number | undefined;
  /** Rows a step. Defaults to 2048. */
  readonly batch?: number | undefined;
  readonly standardize?: boolean | undefined;
}

/** {@link GradientSettings} with nothing left open. */
export interface Schedule {
  readonly preset: 'tuned' | 'blog';
  readonly learningRate: number;
  readonly steps: number;
  readonly batch: number;
  readonly standardize: boolean;
}

/** Fill in the preset for `rows` training rows. */
export function scheduleOf(settings: GradientSettings, rows: number): Schedule {
  const { preset = 'tuned', batch = 2048 } = settings;
  const epochs = (n: number): number => Math.max(1, Math.ceil((n * rows) / batch));
  const usual = preset === 'blog' ? Math.max(1500, epochs(3)) : 1500;
  return {
    preset,
    batch,
    learningRate: settings.learning_rate ?? (preset === 'blog' ? 1e-4 : 2e-3),
    steps: settings.steps ?? (settings.epochs === undefined ? usual : epochs(settings.epochs)),
    standardize: settings.standardize ?? preset === 'tuned',
  };
}

/** Constant for `blog`; else up over the first 5 % and down to nothing as a cosine. */
export function rateAt(step: number, { preset, learningRate, steps }: Schedule): number {
  if (preset === 'blog') return learningRate;
  const warmup = Math.max(1, Math.round(0.05 * steps));
  if (step <= warmup) return (learningRate * step) / warmup;
  return (learningRate * (1 + Math.cos((Math.PI * (step - warmup)) / (steps - warmup + 1)))) / 2;
}
