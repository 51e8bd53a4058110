/** @file From logits to a token: greedy, or temperature with top-k and top-p, seeded a row. */
import { InputError, type Rng } from '../base/index.ts';

/** How the next token is drawn. `temperature: 0` is greedy and ignores the rest. */
export interface SamplingOptions {
  /** Defaults to 0 (greedy). */
  readonly temperature?: number;
  /** Keep the k most likely tokens. Defaults to all. */
  readonly topK?: number;
  /** Keep the smallest set whose probability reaches p. Defaults to 1. */
  readonly topP?: number;
}

/** Refuse settings outside their range. */
export function checkSampling({ temperature = 0, topK, topP = 1 }: SamplingOptions): void {
  if (!(temperature >= 0) || !Number.isFinite(temperature))
    throw new InputError(`temperature: wanted a number ≥ 0, got ${temperature}`);
  if (topK !== undefined && (!Number.isInteger(topK) || topK < 1))
    throw new InputError(`top-k: wanted an integer ≥ 1, got ${topK}`);
  if (!(topP > 0 && topP <= 1)) throw new InputError(`top-p: wanted a number in (0, 1], got ${topP}`);
}

/** Index of the largest value (the first of equals) and the distance to the second largest. */
export function argmaxWithGap(row: Float32Array): { index: number; gap: number } {
  let index = 0;
  let best = Number.NEGATIVE_INFINITY;
  let second = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < row.length; i++) {
    const v = row[i] as number;
    if (v > best) {
      second = best;
      best = v;
      index = i;
    } else if (v > second) second = v;
  }
  return { index, gap: best - second };
}

/** ln Σ eˣ, in float64. */
export function logSumExp(row: Float32Array): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < row.length; i++) max = Math.max(max, row[i] as number);
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp((row[i] as number) - max);
  return max + Math.log(sum);
}

/** Draw a token id from one row of logits [V]. */
export function sampleToken(row: Float32Array, options: SamplingOptions, rng: Rng): number {
  const { temperature = 0, topK = row.length, topP = 1 } = options;
  if (temperature === 0) return argmaxWithGap(row).index;
  const order = Array.from(row.keys()).sort((a, b) => (row[b] as number) - (row[a] as number) || a - b);
  const kept = order.slice(0, topK);
  const top = row[kept[0] as number] as number;
  const weights = kept.map((i) => Math.exp(((row[i] as number) - top) / temperature));
  const total = weights.reduce((a, b) => a + b, 0);
  let count = 0;
  let mass = 0;
  while (count < kept.length && mass < topP * total) mass += weights[count++] as number;
  let point = rng.next() * mass;
  for (let i = 0; i < count; i++) {
    point -= weights[i] as number;
    if (point < 0) return kept[i] as number;
  }
  return kept[count - 1] as number;
}
