/** @file Correlation of two equally long samples: Pearson and Spearman, each with a two-sided p. */

import { mean, rank } from './describe.ts';
import { studentT } from './distributions.ts';

/** A correlation; NaN (`null` in JSON) when a side is constant or n < 2. */
interface Correlation {
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

function sameLength(x: ArrayLike<number>, y: ArrayLike<number>): number {
  if (x.length !== y.length) throw new RangeError(`correlation: lengths differ, ${x.length} and ${y.length}`);
  return x.length;
}
