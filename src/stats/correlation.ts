/** @file Correlation of two equally long samples: Pearson, Spearman, Kendall, each with a two-sided p. */

import { mean, rank } from './describe.ts';
import { normal, studentT } from './distributions.ts';

/** A correlation; NaN (`null` in JSON) when a side is constant or n < 2. */
export interface Correlation {
  readonly value: number;
  readonly n: number;
  /** Two-sided p of "no association". */
  readonly p: number;
}

/** Pearson's r; p from t = r √((n−2)/(1−r²)) with n − 2 degrees of freedom. n = 2 gives p = 1. */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>): Correlation {
  const n = sameLength(x, y);
  const centreX = mean(x);
  const centreY = mean(y);
  let xx = 0;
  let xy = 0;
  let yy = 0;
  for (let i = 0; i < n; i++) {
    const dx = x[i] - centreX;
    const dy = y[i] - centreY;
    xx += dx * dx;
    xy += dx * dy;
    yy += dy * dy;
  }
  if (xx === 0 || yy === 0 || n < 2) return { value: Number.NaN, n, p: Number.NaN };
  const value = Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
  if (n === 2) return { value, n, p: 1 };
  const t = Math.abs(value) * Math.sqrt((n - 2) / ((1 - value) * (1 + value)));
  return { value, n, p: 2 * studentT(n - 2).sf(t) };
}

/** Spearman's ρ: Pearson's r of the average ranks, p by the same t (as scipy). */
export function spearman(x: ArrayLike<number>, y: ArrayLike<number>): Correlation {
  sameLength(x, y);
  return pearson(rank(x).ranks, rank(y).ranks);
}

/**
 * Kendall's τ_b = (C − D) / √((n₀ − n₁)(n₀ − n₂)). p exact (counts of inversions) for n ≤ 33 without ties, else normal with the
 * tie-corrected variance of Kendall, "Rank Correlation Methods" (1970); no continuity correction (as scipy). Pairs are compared
 * one by one, n² / 2 steps.
 */
export function kendall(x: ArrayLike<number>, y: ArrayLike<number>): Correlation {
  const n = sameLength(x, y);
  const tiesX = rank(x).ties;
  const tiesY = rank(y).ties;
  const pairs = (n * (n - 1)) / 2;
  const lostX = tieSum(tiesX, (t) => (t * (t - 1)) / 2);
  const lostY = tieSum(tiesY, (t) => (t * (t - 1)) / 2);
  if (n < 2 || lostX === pairs || lostY === pairs) return { value: Number.NaN, n, p: Number.NaN };
  let score = 0; // C − D
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) score += Math.sign(x[i] - x[j]) * Math.sign(y[i] - y[j]);
  const value = score / Math.sqrt((pairs - lostX) * (pairs - lostY));
  if (tiesX.length === 0 && tiesY.length === 0 && n <= 33)
    return { value, n, p: inversionP(n, (pairs - Math.abs(score)) / 2) };
  const size = n * (n - 1);
  const variance =
    (size * (2 * n + 5) - spread(tiesX) - spread(tiesY)) / 18 +
    (2 * lostX * lostY) / size +
    (tieSum(tiesX, cubic) * tieSum(tiesY, cubic)) / (9 * size * (n - 2));
  return { value, n, p: Math.min(1, 2 * normal.sf(Math.abs(score) / Math.sqrt(variance))) };
}

/** Two-sided p of at most `fewest` inversions in a random order of n: the distribution is a convolution of uniforms on 0 … k−1. */
function inversionP(n: number, fewest: number): number {
  let share = [1];
  for (let k = 2; k <= n; k++) {
    const next = new Array<number>(share.length + k - 1).fill(0);
    share.forEach((s, i) => {
      for (let j = 0; j < k; j++) next[i + j] += s / k;
    });
    share = next;
  }
  return Math.min(1, 2 * share.slice(0, fewest + 1).reduce((a, b) => a + b, 0));
}

const cubic = (t: number): number => t * (t - 1) * (t - 2);
const spread = (ties: readonly number[]): number => tieSum(ties, (t) => t * (t - 1) * (2 * t + 5));

function tieSum(ties: readonly number[], f: (t: number) => number): number {
  return ties.reduce((s, t) => s + f(t), 0);
}

function sameLength(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (x.length !== y.length) throw new RangeError(`correlation: lengths differ, ${x.length} and ${y.length}`);
  return x.length;
}
