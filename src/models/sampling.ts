/** @file From logits to a token: greedy, or temperature with top-k and top-p, seeded a row. */
import { InputError, type Rng, sumOfExponentials } from '../base/index.ts';

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
    throw new InputError(`temperature: wanted a number ≥ 0, got ${temperature}`, { id: 'option-invalid' });
  if (topK !== undefined && (!Number.isInteger(topK) || topK < 1))
    throw new InputError(`top-k: wanted an integer ≥ 1, got ${topK}`, { id: 'option-invalid' });
  if (!(topP > 0 && topP <= 1))
    throw new InputError(`top-p: wanted a number in (0, 1], got ${topP}`, { id: 'option-invalid' });
}

/** Index of the largest value (the first of equals) and the distance to the second largest. */
export function argmaxWithGap(row: Float32Array): { index: number; gap: number } {
  let index = 0;
  let best = Number.NEGATIVE_INFINITY;
  let second = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < row.length; i++) {
    const v = row[i] as number;
    if (!(v > second)) continue;
    if (v > best) {
      second = best;
      best = v;
      index = i;
    } else second = v;
  }
  return { index, gap: best - second };
}

/** ln Σ eˣ, in float64. `max`: the largest of the row, where it is known. */
export function logSumExp(row: Float32Array, max = largest(row)): number {
  return max + Math.log(sumOfExponentials(row, max));
}

function largest(row: Float32Array): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < row.length; i++) if ((row[i] as number) > max) max = row[i] as number;
  return max;
}

/** Draws tokens; keeps its scratch memory from one draw to the next. */
export class Sampler {
  readonly #temperature: number;
  readonly #topK: number;
  readonly #topP: number;
  #sorted = new Float32Array(0);

  constructor({ temperature = 0, topK = Number.POSITIVE_INFINITY, topP = 1 }: SamplingOptions) {
    checkSampling({ temperature, topP, ...(topK === Number.POSITIVE_INFINITY ? {} : { topK }) });
    this.#temperature = temperature;
    this.#topK = topK;
    this.#topP = topP;
  }

  /** Whether {@link draw} takes the best token and needs no random number. */
  get greedy(): boolean {
    return this.#temperature === 0;
  }

  /**
   * A token id from one row of logits [V]: softmax(row / temperature) cut to the k most likely, then to the fewest whose share
   * of what is left reaches p (arXiv 1904.09751 §3.1). Of equal logits at the cut the first are kept. Uses one random number.
   */
  draw(row: Float32Array, rng: Rng): number {
    if (this.greedy) return argmaxWithGap(row).index;
    const top = row[argmaxWithGap(row).index] as number;
    const { limit, equals } = this.#cut(row, top);
    let mass = 0;
    let spare = equals;
    for (let i = 0; i < row.length; i++) {
      const v = row[i] as number;
      if (v > limit || (v === limit && spare-- > 0)) mass += Math.exp((v - top) / this.#temperature);
    }
    let point = rng.next() * mass;
    let last = 0;
    spare = equals;
    for (let i = 0; i < row.length; i++) {
      const v = row[i] as number;
      if (!(v > limit || (v === limit && spare-- > 0))) continue;
      last = i;
      point -= Math.exp((v - top) / this.#temperature);
      if (point < 0) break;
    }
    return last;
  }

  /** What is kept: every logit above `limit`, and the first `equals` of those equal to it. */
  #cut(row: Float32Array, top: number): { limit: number; equals: number } {
    if (this.#topK >= row.length && this.#topP === 1)
      return { limit: Number.NEGATIVE_INFINITY, equals: row.length };
    if (this.#sorted.length !== row.length) this.#sorted = new Float32Array(row.length);
    const sorted = this.#sorted;
    sorted.set(row);
    sorted.sort(); // ascending
    const weight = (i: number): number =>
      Math.exp(((sorted[sorted.length - 1 - i] as number) - top) / this.#temperature);
    let count = Math.min(this.#topK, row.length);
    if (this.#topP < 1) {
      let total = 0;
      for (let i = 0; i < count; i++) total += weight(i);
      let mass = 0;
      let n = 0;
      while (n < count && mass < this.#topP * total) mass += weight(n++);
      count = n;
    }
    const limit = sorted[sorted.length - count] as number;
    let above = 0;
    while (above < count && (sorted[sorted.length - 1 - above] as number) > limit) above++;
    return { limit, equals: count - above };
  }
}

/** Draw a token id from one row of logits [V]; a loop keeps a {@link Sampler} instead. */
export function sampleToken(row: Float32Array, options: SamplingOptions, rng: Rng): number {
  return new Sampler(options).draw(row, rng);
}
