/** @file Krippendorff's α: how far raters of the same units agree beyond chance (K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011). */

/** How unlike two values are: `nominal` equal or not, `ordinal` by how many ratings lie between them, `interval` by their squared difference. */
export type AlphaLevel = 'nominal' | 'ordinal' | 'interval';

/**
 * α = 1 − observed / expected disagreement. `units`: per thing rated, the ratings it got (any number of raters, in any order; a unit with fewer
 * than two says nothing and is left out). 1: they agree wholly; 0: as by chance; below 0: worse. NaN where all ratings are one value.
 */
export function krippendorffAlpha(units: readonly (readonly number[])[], level: AlphaLevel): number {
  const rated = units.filter((ratings) => ratings.length > 1);
  const values = [...new Set(rated.flat())].sort((a, b) => a - b);
  const place = new Map(values.map((value, i) => [value, i]));
  const totals = values.map(() => 0);
  for (const value of rated.flat()) totals[place.get(value) as number]++;
  const unlike = differences(values, totals, level);
  let observed = 0;
  for (const ratings of rated) {
    let within = 0;
    for (const a of ratings)
      for (const b of ratings) within += unlike[place.get(a) as number][place.get(b) as number];
    observed += within / (ratings.length - 1);
  }
  let expected = 0;
  totals.forEach((a, i) => {
    totals.forEach((b, j) => {
      expected += a * b * unlike[i][j];
    });
  });
  const n = totals.reduce((sum, count) => sum + count, 0);
  return 1 - ((n - 1) * observed) / expected;
}

/** Squared difference of each two values. */
function differences(values: readonly number[], totals: readonly number[], level: AlphaLevel): number[][] {
  return values.map((a, i) =>
    values.map((b, j) => {
      if (level === 'nominal') return i === j ? 0 : 1;
      if (level === 'interval') return (a - b) ** 2;
      const [low, high] = [Math.min(i, j), Math.max(i, j)];
      const between = totals.slice(low, high + 1).reduce((sum, count) => sum + count, 0);
      return (between - (totals[i] + totals[j]) / 2) ** 2;
    }),
  );
}
