/** @file Plain descriptions of a sample: mean, variance, quantiles, ranks. */

/** Neumaier's compensated sum: exact to the last digit for any ordinary sample. */
export function sum(values: ArrayLike<number>): number {
  let total = 0;
  let lost = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    const next = total + v;
    lost += Math.abs(total) >= Math.abs(v) ? total - next + v : v - next + total;
    total = next;
  }
  return total + lost;
}

/** Arithmetic mean; NaN for an empty sample. */
export function mean(values: ArrayLike<number>): number {
  return sum(values) / values.length;
}

/** Σ(x − x̄)² / (n − ddof), two passes. `ddof` defaults to 1 (the sample variance); NaN if n ≤ ddof. */
export function variance(values: ArrayLike<number>, ddof = 1): number {
  if (values.length <= ddof) return Number.NaN;
  const centre = mean(values);
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i] - centre) ** 2;
  return squares / (values.length - ddof);
}

/** √variance. `ddof` defaults to 1. */
export function standardDeviation(values: ArrayLike<number>, ddof = 1): number {
  return Math.sqrt(variance(values, ddof));
}

/** Quantile 0 ≤ q ≤ 1 by linear interpolation of the order statistics (Hyndman & Fan type 7, numpy's default); NaN for an empty sample. */
export function quantile(values: ArrayLike<number>, q: number): number {
  return quantiles(values, [q])[0];
}

/** Several {@link quantile}s with one sort. */
export function quantiles(values: ArrayLike<number>, qs: readonly number[]): number[] {
  const sorted = Float64Array.from(values).sort();
  return qs.map((q) => {
    if (!(q >= 0 && q <= 1)) throw new RangeError(`quantile: wanted 0 ≤ q ≤ 1, got ${q}`);
    if (sorted.length === 0) return Number.NaN;
    const at = q * (sorted.length - 1);
    const below = Math.floor(at);
    const low = sorted[below];
    const high = sorted[Math.min(below + 1, sorted.length - 1)];
    return low + (at - below) * (high - low);
  });
}

/** Ranks from 1, ties given their average rank; `ties` holds the size of each group of equal values larger than 1. */
export function rank(values: ArrayLike<number>): { ranks: Float64Array; ties: number[] } {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a] - values[b]);
  const ranks = new Float64Array(values.length);
  const ties: number[] = [];
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]] === values[order[start]]) end++;
    for (let i = start; i < end; i++) ranks[order[i]] = (start + 1 + end) / 2;
    if (end - start > 1) ties.push(end - start);
    start = end;
  }
  return { ranks, ties };
}
