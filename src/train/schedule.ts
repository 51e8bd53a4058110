/** @file Learning rate over steps. */

/** Shape of the rate; `peak` at the end of the warm-up. */
export interface Schedule {
  readonly kind: 'constant' | 'linear' | 'cosine';
  /** Peak learning rate. */
  readonly peak: number;
  /** Steps of linear warm-up from 0. Defaults to 0. */
  readonly warmup?: number;
  /** Rate at the last step as a share of the peak (linear, cosine). Defaults to 0. */
  readonly final?: number;
}

/** Rate of step 1…`steps`. */
export function learningRate(schedule: Schedule, step: number, steps: number): number {
  const { kind, peak, warmup = 0, final = 0 } = schedule;
  if (step <= warmup) return (peak * step) / warmup;
  if (kind === 'constant') return peak;
  const done = steps <= warmup ? 1 : (step - warmup) / (steps - warmup);
  const share = kind === 'linear' ? 1 - done : 0.5 * (1 + Math.cos(Math.PI * done));
  return peak * (final + (1 - final) * share);
}
