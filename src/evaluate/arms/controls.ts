/** @file Control vectors: noise of three kinds, and donors from elsewhere (docs/concepts/method.md#controls). All on a span of n tokens, [n,D]. */
import type { Rng } from '../../base/index.ts';
import { alignRows, type Direction, TAGGED } from '../subject/cases.ts';
import type { Case } from '../subject/completions.ts';
import type { ArmPatch } from './run.ts';
import type { Spans } from './spans.ts';

/** Noise controls: margins are taken over the strongest of them. */
export const NOISE = ['random', 'random_cov', 'random_step'] as const;
export type Noise = (typeof NOISE)[number];

/** `random`: at every position a random direction of the donor's length. */
export function randomLike(donor: Float32Array, width: number, rng: Rng): Float32Array {
  return eachRow(donor, width, (row) => randomOfLength(length(row), width, rng));
}

/** `random_step`: the run's own activation plus a random step as long as the true one, donor − own. */
export function randomStep(own: Float32Array, donor: Float32Array, width: number, rng: Rng): Float32Array {
  const step = randomDifference(own, donor, width, rng);
  return step.map((x, i) => own[i] + x);
}

/** A random step as long as donor − own at every position, for `add`. */
export function randomDifference(
  own: Float32Array,
  donor: Float32Array,
  width: number,
  rng: Rng,
): Float32Array {
  const difference = donor.map((x, i) => x - own[i]);
  return eachRow(difference, width, (row) => randomOfLength(length(row), width, rng));
}

/** Draws of noise arms for one place: `from`…`to`−1 of each. */
export interface NoiseDraws {
  readonly arms: readonly string[];
  readonly from: number;
  readonly to: number;
  /** The stream of a draw: same name, same noise. */
  readonly stream: (arm: Noise, draw: number) => Rng;
}

/** Noise of every kind at one case's span, as long as the true donor or the true step. */
export function noiseArms(
  spans: Spans,
  covariance: SpanNoise,
  { case: c, direction }: { readonly case: Case; readonly direction: Direction },
  { arms, from, to, stream }: NoiseDraws,
): ArmPatch[] {
  const { width } = spans;
  const own = spans.of(c, direction);
  const donor = spans.onto(c, direction);
  const make: Record<Noise, (rng: Rng) => Float32Array> = {
    random: (rng) => randomLike(donor, width, rng),
    random_cov: (rng) => covariance.draw(own.length / width, rng),
    random_step: (rng) => randomStep(own, donor, width, rng),
  };
  return NOISE.filter((arm) => arms.includes(arm)).flatMap((arm) =>
    Array.from({ length: to - from }, (_, k): ArmPatch => {
      return { arm, values: make[arm](stream(arm, from + k)), expect: 'none' };
    }),
  );
}

/** Spans a covariance is made of are at most this many: enough for the directions that matter, cheap to draw from. */
const SAMPLES = 128;

/**
 * `random_cov`: draws from the normal distribution with the mean and covariance of the activations at the span, all positions
 * jointly, over runs of every tag: ȳ + Σⱼ zⱼ (yⱼ − ȳ)/√(m−1), z standard normal, which has exactly the sample covariance. It knows
 * how spans vary, the directions between tags included, so by chance a draw may look like a safe one: a strong control.
 */
export class SpanNoise {
  readonly #spans: readonly Float32Array[];
  readonly #width: number;
  readonly #fitted = new Map<number, { mean: Float32Array; centred: readonly Float32Array[] }>();

  /** The same number of spans is taken of every tag. */
  constructor(spans: Spans) {
    const each = Math.floor(SAMPLES / TAGGED.length);
    this.#spans = TAGGED.flatMap((state) => spans.all(state).slice(0, each));
    this.#width = spans.width;
  }

  /** One draw for a span of n tokens, [n,D]. */
  draw(n: number, rng: Rng): Float32Array {
    const { mean, centred } = this.#fit(n);
    const out = mean.slice();
    const scale = 1 / Math.sqrt(Math.max(1, centred.length - 1));
    for (const row of centred) {
      const z = rng.normal() * scale;
      for (let i = 0; i < out.length; i++) out[i] += z * row[i];
    }
    return out;
  }

  #fit(n: number): { mean: Float32Array; centred: readonly Float32Array[] } {
    const found = this.#fitted.get(n);
    if (found !== undefined) return found;
    const aligned = this.#spans.map((span) => alignRows(span, n, this.#width));
    const sums = new Float64Array(n * this.#width);
    for (const span of aligned) for (let i = 0; i < sums.length; i++) sums[i] += span[i];
    const mean = Float32Array.from(sums, (x) => x / aligned.length);
    const fit = { mean, centred: aligned.map((span) => span.map((x, i) => x - mean[i])) };
    this.#fitted.set(n, fit);
    return fit;
  }
}

function eachRow(rows: Float32Array, width: number, f: (row: Float32Array) => Float32Array): Float32Array {
  const out = new Float32Array(rows.length);
  for (let at = 0; at < rows.length; at += width) out.set(f(rows.subarray(at, at + width)), at);
  return out;
}

function randomOfLength(size: number, width: number, rng: Rng): Float32Array {
  const v = Float32Array.from({ length: width }, () => rng.normal());
  const scale = size / length(v);
  return v.map((x) => x * scale);
}

function length(v: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < v.length; i++) squares += v[i] ** 2;
  return Math.sqrt(squares);
}
