/** @file Distribution functions with precise tails. `sf` is the upper tail P(X > x), never computed as 1 − cdf. */
import { incompleteBeta, incompleteGamma, type Tails } from './special.ts';

/** A distribution on the real line. */
export interface Distribution {
  /** P(X ≤ x). */
  readonly cdf: (x: number) => number;
  /** P(X > x), precise far in the tail. */
  readonly sf: (x: number) => number;
  /** Smallest x with cdf(x) ≥ p, 0 < p < 1, by bisection to the last bit. */
  readonly quantile: (p: number) => number;
}

/** Standard normal: P(X > x) = Q(½, x²/2)/2 for x ≥ 0. */
export const normal: Distribution = symmetric((x) => incompleteGamma(0.5, (x * x) / 2).upper / 2);

/** Student's t with `df` > 0 degrees of freedom: P(T > t) = I_{df/(df+t²)}(df/2, ½)/2 for t ≥ 0. */
export function studentT(df: number): Distribution {
  requirePositive('studentT', df);
  return symmetric((t) => {
    const square = t * t;
    if (square === Number.POSITIVE_INFINITY) return 0;
    return incompleteBeta(df / 2, 0.5, df / (df + square), square / (df + square)).lower / 2;
  });
}

/** χ² with `df` > 0 degrees of freedom. */
export function chiSquared(df: number): Distribution {
  requirePositive('chiSquared', df);
  return continuous((x) => incompleteGamma(df / 2, x / 2), 0, Number.POSITIVE_INFINITY);
}

/** F with `d1`, `d2` > 0 degrees of freedom. */
export function fisherF(d1: number, d2: number): Distribution {
  requirePositive('fisherF', d1);
  requirePositive('fisherF', d2);
  return continuous(
    (x) => {
      if (x === Number.POSITIVE_INFINITY) return { lower: 1, upper: 0 };
      const total = d1 * x + d2;
      return incompleteBeta(d1 / 2, d2 / 2, (d1 * x) / total, d2 / total);
    },
    0,
    Number.POSITIVE_INFINITY,
  );
}

/** Beta(a, b) on [0, 1], a, b > 0. */
export function beta(a: number, b: number): Distribution {
  requirePositive('beta', a);
  requirePositive('beta', b);
  return continuous((x) => incompleteBeta(a, b, x), 0, 1);
}

/** Successes in `n` trials of probability 0 < p < 1: P(X ≤ k) = I_{1−p}(n−k, k+1). */
export function binomial(n: number, p: number): Pick<Distribution, 'cdf' | 'sf'> {
  if (!Number.isInteger(n) || n < 0 || !(p > 0 && p < 1))
    throw new RangeError(`binomial: wanted an integer n ≥ 0 and 0 < p < 1, got ${n}, ${p}`);
  const tails = (x: number): Tails => {
    const k = Math.floor(x);
    if (k < 0) return { lower: 0, upper: 1 };
    if (k >= n) return { lower: 1, upper: 0 };
    return incompleteBeta(n - k, k + 1, 1 - p, p);
  };
  return { cdf: (x) => tails(x).lower, sf: (x) => tails(x).upper };
}

/** From the upper tail at x ≥ 0 of a distribution symmetric about 0. */
function symmetric(upper: (x: number) => number): Distribution {
  const sf = (x: number): number => (x < 0 ? 1 - upper(-x) : upper(x));
  const cdf = (x: number): number => sf(-x);
  return {
    cdf,
    sf,
    quantile: (p) => invert(p, cdf, sf, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY),
  };
}

/** From both tails on (low, high); outside it the tails are 0 and 1. */
function continuous(tails: (x: number) => Tails, low: number, high: number): Distribution {
  const at = (x: number): Tails =>
    x <= low ? { lower: 0, upper: 1 } : x >= high ? { lower: 1, upper: 0 } : tails(x);
  const cdf = (x: number): number => at(x).lower;
  const sf = (x: number): number => at(x).upper;
  return { cdf, sf, quantile: (p) => invert(p, cdf, sf, low, high) };
}

/** Bisection on whichever tail is the smaller, so the quantile keeps its digits on both sides. */
function invert(
  p: number,
  cdf: (x: number) => number,
  sf: (x: number) => number,
  low: number,
  high: number,
): number {
  if (!(p > 0 && p < 1)) throw new RangeError(`quantile: wanted 0 < p < 1, got ${p}`);
  const isBelow = p <= 0.5 ? (x: number) => cdf(x) < p : (x: number) => sf(x) > 1 - p;
  let left = low;
  let right = high;
  if (left === Number.NEGATIVE_INFINITY) for (left = -1; !isBelow(left); ) left *= 2;
  if (right === Number.POSITIVE_INFINITY) for (right = 1; isBelow(right); ) right *= 2;
  for (;;) {
    const middle = (left + right) / 2;
    if (middle === left || middle === right) return right;
    if (isBelow(middle)) left = middle;
    else right = middle;
  }
}

function requirePositive(name: string, value: number): void {
  if (!(value > 0 && value < Number.POSITIVE_INFINITY))
    throw new RangeError(`${name}: wanted a finite parameter > 0, got ${value}`);
}
