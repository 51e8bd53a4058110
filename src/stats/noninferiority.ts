/**
 * @file Is the mapped vector nearly as good as the native one? Paired difference of proportions by Tango's score method
 * (T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
 * Statistics in Medicine 17, 1998). Test and interval are one: the lower end of the 95 % interval is above −margin exactly
 * when the one-sided p is below 0.025. It behaves at rates of 0 and 1, where Wald intervals collapse.
 */
import { normal } from './distributions.ts';
import { criticalZ, discordant } from './proportions.ts';

/** Result of {@link nonInferiority}. */
interface NonInferiority {
  /** mapped rate − native rate. */
  readonly difference: number;
  /** Two-sided 95 % score interval of the difference. */
  readonly ci95: [number, number];
  /** One-sided p of H₀: difference ≤ −margin. Small means "not inferior by as much as the margin". */
  readonly p: number;
  /** The margin asked for, a share. */
  readonly margin: number;
  /** ci95[0] > −margin. */
  readonly nonInferior: boolean;
  /** Number of pairs. */
  readonly n: number;
}

/** Paired non-inferiority of `mapped` against `native` (same prompts, same order) with `margin` 0 < m < 1, default 0.05. */
export function nonInferiority(
  native: readonly boolean[],
  mapped: readonly boolean[],
  margin = 0.05,
): NonInferiority {
  if (!(margin > 0 && margin < 1))
    throw new RangeError(`nonInferiority: wanted 0 < margin < 1, got ${margin}`);
  const { onlyFirst: lost, onlySecond: gained, n } = discordant(native, mapped);
  if (n === 0) throw new RangeError('nonInferiority: wanted at least one pair, got none');
  const ci95 = pairedDifferenceInterval(gained, lost, n);
  return {
    difference: (gained - lost) / n,
    ci95,
    p: normal.sf(scoreStatistic(gained, lost, n, -margin)),
    margin,
    nonInferior: ci95[0] > -margin,
    n,
  };
}

/** Tango's score interval of p₁ − p₂ for n pairs: `onlyFirst` succeed under the first alone, `onlySecond` under the second alone. */
export function pairedDifferenceInterval(
  onlyFirst: number,
  onlySecond: number,
  n: number,
  level = 0.95,
): [number, number] {
  const z = criticalZ(level);
  const observed = (onlyFirst - onlySecond) / n;
  // The statistic falls as the hypothesised difference rises: +z at the lower end, −z at the upper.
  const solve = (target: number, low: number, high: number): number => {
    let left = low;
    let right = high;
    for (;;) {
      const middle = (left + right) / 2;
      if (middle <= left || middle >= right) return middle;
      if (scoreStatistic(onlyFirst, onlySecond, n, middle) > target) left = middle;
      else right = middle;
    }
  };
  return [observed === -1 ? -1 : solve(z, -1, observed), observed === 1 ? 1 : solve(-z, observed, 1)];
}

/** (b − c − nδ) / √(n(2q̂ + δ(1 − δ))): b, c discordant counts, q̂ the maximum-likelihood share of the c cell when p₁ − p₂ = δ. */
function scoreStatistic(b: number, c: number, n: number, delta: number): number {
  const linear = -b - c + (2 * n - b + c) * delta;
  const constant = -c * delta * (1 - delta);
  const root = Math.sqrt(Math.max(0, linear * linear - 8 * n * constant));
  // The larger root of 2n q² + linear q + constant, in the form that does not cancel.
  const q = linear > 0 ? (-2 * constant) / (linear + root) : (root - linear) / (4 * n);
  const numerator = b - c - n * delta;
  const spread = n * (2 * q + delta * (1 - delta));
  if (spread <= 0) return numerator === 0 ? 0 : numerator * Number.POSITIVE_INFINITY;
  return numerator / Math.sqrt(spread);
}
