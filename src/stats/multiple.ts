/** @file Many comparisons. */

/**
 * Holm's step-down adjusted p-values, in the order given: the i-th smallest of m is multiplied by m − i + 1, made non-decreasing and
 * capped at 1. Reject those ≤ α to keep the family-wise error at α. S. Holm, Scand. J. Statistics 6 (1979).
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a] - pValues[b]);
  const adjusted = new Array<number>(pValues.length);
  let floor = 0;
  order.forEach((index, i) => {
    const p = pValues[index];
    if (!(p >= 0 && p <= 1)) throw new RangeError(`holm: wanted p-values in [0, 1], got ${p}`);
    floor = Math.max(floor, Math.min(1, p * (pValues.length - i)));
    adjusted[index] = floor;
  });
  return adjusted;
}
