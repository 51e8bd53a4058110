/** @file Rates: Wilson intervals, and McNemar's exact test of two rates on the same cases. */
import { binomial, normal } from './distributions.ts';

/** A figure with its sample size and 95 % interval, as every rate and mean in `results.json` (docs/reference/files.md#results). */
export interface Estimate {
  value: number;
  n: number;
  ci95: [number, number];
}

/**
 * Wilson's score interval for k successes of n: the p with |p̂ − p| ≤ z √(p(1−p)/n). No continuity correction.
 * n = 0 gives [0, 1]. E. B. Wilson, JASA 22 (1927).
 */
export function wilson(k: number, n: number, level = 0.95): [number, number] {
  if (!(Number.isInteger(k) && Number.isInteger(n) && k >= 0 && k <= n))
    throw new RangeError(`wilson: wanted integers 0 ≤ k ≤ n, got ${k} of ${n}`);
  if (n === 0) return [0, 1];
  const z = criticalZ(level);
  const p = k / n;
  const z2 = (z * z) / n;
  const centre = p + z2 / 2;
  const half = z * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n));
  // The ends are exact at k = 0 and k = n, where rounding would leave ±1e-17.
  return [k === 0 ? 0 : (centre - half) / (1 + z2), k === n ? 1 : (centre + half) / (1 + z2)];
}

/** The share k/n with its Wilson 95 % interval. n = 0 gives value NaN (`null` in JSON) and the interval [0, 1]. */
export function proportion(k: number, n: number): Estimate {
  return { value: k / n, n, ci95: wilson(k, n) };
}

/** {@link proportion} of the true entries. */
export function rate(outcomes: readonly boolean[]): Estimate {
  return proportion(
    outcomes.reduce((k, o) => k + (o ? 1 : 0), 0),
    outcomes.length,
  );
}

/** Two-sided standard normal critical value of a confidence level, e.g. 1.959963984540054 for 0.95. */
export function criticalZ(level: number): number {
  if (!(level > 0 && level < 1)) throw new RangeError(`level: wanted 0 < level < 1, got ${level}`);
  return normal.quantile(0.5 + level / 2);
}

/** McNemar's exact test. */
interface McNemar {
  /** Cases where only the first succeeds. */
  readonly onlyFirst: number;
  /** Cases where only the second succeeds. */
  readonly onlySecond: number;
  /** Number of pairs. */
  readonly n: number;
  /** Two-sided: min(1, 2 P(X ≤ min)), X ~ Binomial(onlyFirst + onlySecond, ½). */
  readonly p: number;
  /** One-sided, alternative "the first succeeds more often": P(X ≥ onlyFirst). */
  readonly pFirstHigher: number;
  /** One-sided, alternative "the second succeeds more often": P(X ≥ onlySecond). */
  readonly pSecondHigher: number;
}

/** Exact test that two outcomes on the same cases have equal rates (Q. McNemar 1947, binomial form). No discordant pair gives p = 1. */
export function mcNemar(first: readonly boolean[], second: readonly boolean[]): McNemar {
  const { onlyFirst, onlySecond, n } = discordant(first, second);
  const m = onlyFirst + onlySecond;
  const upperTail = (k: number): number => (k === 0 ? 1 : binomial(m, 0.5).sf(k - 1));
  const pFirstHigher = upperTail(onlyFirst);
  const pSecondHigher = upperTail(onlySecond);
  const p = Math.min(1, 2 * Math.min(pFirstHigher, pSecondHigher));
  return { onlyFirst, onlySecond, n, p, pFirstHigher, pSecondHigher };
}

/** Counts of the pairs that differ. */
export function discordant(
  first: readonly boolean[],
  second: readonly boolean[],
): { onlyFirst: number; onlySecond: number; n: number } {
  if (first.length !== second.length)
    throw new RangeError(`paired outcomes: lengths differ, ${first.length} and ${second.length}`);
  let onlyFirst = 0;
  let onlySecond = 0;
  first.forEach((a, i) => {
    if (a && !second[i]) onlyFirst++;
    else if (!a && second[i]) onlySecond++;
  });
  return { onlyFirst, onlySecond, n: first.length };
}
