/** @file Area under the ROC curve with DeLong's interval (E. DeLong et al., Biometrics 44, 1988), and the same for pairs. */
import { rank } from './describe.ts';
import { criticalZ, type Estimate } from './proportions.ts';

/**
 * P(a positive score > a negative one) + ½ P(equal), with a 95 % interval; `n` counts the scores of both kinds. `paired`: the i-th
 * positive and the i-th negative are one unit, whose two parts may go together (N. Obuchowski, Biometrics 53, 1997); the interval is
 * then the wider of both ways, since few pairs can agree by chance. A perfect ranking has an interval of no width: look at n.
 */
export function auroc(
  positive: ArrayLike<number>,
  negative: ArrayLike<number>,
  options: { readonly paired?: boolean } = {},
): Estimate {
  const [m, n] = [positive.length, negative.length];
  if (m === 0 || n === 0) throw new RangeError(`auroc: wanted scores of both kinds, got ${m} and ${n}`);
  const { paired = false } = options;
  if (paired && m !== n) throw new RangeError(`auroc: wanted pairs, got ${m} and ${n} scores`);
  const all = rank([...Array.from(positive), ...Array.from(negative)]).ranks;
  const amongPositive = rank(positive).ranks;
  const amongNegative = rank(negative).ranks;
  // V10[i]: share of negatives below positive i; V01[j]: share of positives above negative j (ties count half).
  const v10 = Float64Array.from(amongPositive, (r, i) => (all[i] - r) / n);
  const v01 = Float64Array.from(amongNegative, (r, j) => 1 - (all[m + j] - r) / m);
  const value = v10.reduce((sum, v) => sum + v, 0) / m;
  const variance = paired
    ? spread(
        Float64Array.from(v10, (v, i) => v + v01[i]),
        2 * value,
      ) / n
    : spread(v10, value) / m + spread(v01, value) / n;
  const half = criticalZ(0.95) * Math.sqrt(variance);
  return { value, n: m + n, ci95: [Math.max(0, value - half), Math.min(1, value + half)] };
}

/** Sample variance about a known mean; 0 for a single value. */
function spread(values: Float64Array, centre: number): number {
  if (values.length < 2) return 0;
  return values.reduce((sum, v) => sum + (v - centre) ** 2, 0) / (values.length - 1);
}
