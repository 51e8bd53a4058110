/** @file Two measurements of the same cases: paired t, Wilcoxon signed rank, effect size. Differences are first − second. */

import { mean, rank, standardDeviation } from './describe.ts';
import { normal, studentT } from './distributions.ts';
import type { Estimate } from './proportions.ts';

/** Which departure from "no difference" counts: either way, first above second, first below second. */
export type Alternative = 'two-sided' | 'greater' | 'less';

/** Result of {@link pairedT}. */
interface PairedT {
  /** mean difference / (s_d / √n). */
  readonly t: number;
  /** n − 1. */
  readonly df: number;
  readonly p: number;
  /** Cohen's d_z, see {@link cohenDz}. */
  readonly dz: number;
  /** Mean of first − second with its two-sided 95 % t interval. */
  readonly difference: Estimate;
}

/**
 * Student's t-test on the differences. Needs n ≥ 2. All differences zero: t = 0, p = 1; all equal (to 1e-12) and not zero: t = ±∞,
 * as in scipy (`null` in JSON).
 */
export function pairedT(
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  alternative: Alternative = 'two-sided',
): PairedT {
  const d = differences(first, second);
  const n = d.length;
  if (n < 2) throw new RangeError(`pairedT: wanted at least 2 pairs, got ${n}`);
  const centre = mean(d);
  const error = spread(d) / Math.sqrt(n);
  const distribution = studentT(n - 1);
  const t = error === 0 && centre === 0 ? 0 : centre / error;
  const half = distribution.quantile(0.975) * error;
  return {
    t,
    df: n - 1,
    p: tail(alternative, t, distribution.sf),
    dz: cohenDz(first, second),
    difference: { value: centre, n, ci95: [centre - half, centre + half] },
  };
}

/** Cohen's d_z = mean difference / standard deviation of the differences (n − 1); 0 when all differences are zero. */
export function cohenDz(first: ArrayLike<number>, second: ArrayLike<number>): number {
  const d = differences(first, second);
  const centre = mean(d);
  return centre === 0 ? 0 : centre / spread(d);
}

/** Standard deviation of differences; 0 when they are equal but for the last bits, where it would be a figure of rounding alone. */
function spread(d: Float64Array): number {
  const largest = d.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const deviation = standardDeviation(d);
  return deviation <= 1e-12 * largest ? 0 : deviation;
}

/** Result of {@link wilcoxon}. */
interface Wilcoxon {
  /** Sum of the ranks of the positive differences. */
  readonly rankSumPositive: number;
  /** Sum of the ranks of the negative differences. */
  readonly rankSumNegative: number;
  /** Pairs that differ; zeros are discarded (Wilcoxon's own rule). */
  readonly n: number;
  readonly p: number;
  readonly method: 'exact' | 'normal';
}

/**
 * Wilcoxon signed-rank test. Zero differences are discarded. Exact for n ≤ 50 without ties; else the normal approximation with tie
 * correction of the variance and continuity correction ½: `scipy.stats.wilcoxon(zero_method="wilcox", correction=True)`.
 */
export function wilcoxon(
  first: ArrayLike<number>,
  second: ArrayLike<number>,
  alternative: Alternative = 'two-sided',
): Wilcoxon {
  const d = differences(first, second).filter((x) => x !== 0);
  const n = d.length;
  const { ranks, ties } = rank(d.map(Math.abs));
  let positive = 0;
  for (let i = 0; i < n; i++) if (d[i] > 0) positive += ranks[i];
  const whole = (n * (n + 1)) / 2;
  const common = { rankSumPositive: positive, rankSumNegative: whole - positive, n };
  if (n === 0) return { ...common, p: 1, method: 'exact' };
  if (n <= 50 && ties.length === 0) {
    const atLeast = signedRankTail(n, positive); // P(W⁺ ≥ w)
    const atMost = signedRankTail(n, whole - positive); // P(W⁺ ≤ w), by symmetry
    const p = { greater: atLeast, less: atMost, 'two-sided': Math.min(1, 2 * Math.min(atLeast, atMost)) };
    return { ...common, p: p[alternative], method: 'exact' };
  }
  const tieLoss = ties.reduce((s, t) => s + (t ** 3 - t), 0);
  const deviation = Math.sqrt((n * (n + 1) * (2 * n + 1) - tieLoss / 2) / 24);
  const excess = positive - whole / 2;
  const correction = { greater: 0.5, less: -0.5, 'two-sided': 0.5 * Math.sign(excess) }[alternative];
  return { ...common, p: tail(alternative, (excess - correction) / deviation, normal.sf), method: 'normal' };
}

/** P(W⁺ ≥ w) under the null: subsets of {1 … n} by their sum, counted as probabilities. */
function signedRankTail(n: number, w: number): number {
  const most = (n * (n + 1)) / 2;
  const share = new Float64Array(most + 1);
  share[0] = 1;
  for (let r = 1; r <= n; r++)
    for (let s = (r * (r + 1)) / 2; s >= 0; s--) share[s] = (share[s] + (s >= r ? share[s - r] : 0)) / 2;
  let total = 0;
  for (let s = most; s >= w; s--) total += share[s];
  return total;
}

/** p of a statistic whose null distribution is symmetric about 0 with upper tail `sf`. */
function tail(alternative: Alternative, statistic: number, sf: (x: number) => number): number {
  if (alternative === 'greater') return sf(statistic);
  if (alternative === 'less') return sf(-statistic);
  return Math.min(1, 2 * sf(Math.abs(statistic)));
}

function differences(first: ArrayLike<number>, second: ArrayLike<number>): Float64Array {
  if (first.length !== second.length)
    throw new RangeError(`paired samples: lengths differ, ${first.length} and ${second.length}`);
  return Float64Array.from(first, (x, i) => x - second[i]);
}
