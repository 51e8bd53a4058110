/** @file AUROC and DeLong's variance against their O(n²) definitions; the interval against what repeated samples do. */
import { expect, it } from 'vitest';
import { Rng } from '../base/index.ts';
import { auroc } from './auroc.ts';

/** ψ(x, y) = 1, ½ or 0: the kernel of the Mann-Whitney statistic. */
const psi = (x: number, y: number): number => (x > y ? 1 : x === y ? 0.5 : 0);

/** Area and variance as DeLong et al. write them, every pair compared. */
function byLoops(positive: readonly number[], negative: readonly number[]) {
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const area = mean(positive.map((x) => mean(negative.map((y) => psi(x, y)))));
  const s10 = positive.map((x) => (mean(negative.map((y) => psi(x, y))) - area) ** 2);
  const s01 = negative.map((y) => (mean(positive.map((x) => psi(x, y))) - area) ** 2);
  const [m, n] = [positive.length, negative.length];
  return { area, variance: (mean(s10) * m) / (m - 1) / m + (mean(s01) * n) / (n - 1) / n };
}

it.each([1, 2, 3, 4])('equals the loops over all pairs, ties included (seed %d)', (seed) => {
  const rng = new Rng(seed);
  const positive = Array.from({ length: 17 }, () => Math.round(4 * (rng.normal() + 0.7)) / 4);
  const negative = Array.from({ length: 23 }, () => Math.round(4 * rng.normal()) / 4);
  const { area, variance } = byLoops(positive, negative);
  const { value, n, ci95 } = auroc(positive, negative);
  expect(value).toBeCloseTo(area, 12);
  expect(n).toBe(40);
  expect((ci95[1] - value) / 1.959963984540054).toBeCloseTo(Math.sqrt(variance), 12);
});

it('is 1, 0 and ½ for perfect, reversed and equal scores', () => {
  expect(auroc([3, 4], [1, 2])).toEqual({ value: 1, n: 4, ci95: [1, 1] });
  expect(auroc([1, 2], [3, 4]).value).toBe(0);
  expect(auroc([5, 5], [5, 5]).value).toBe(0.5);
});

it('covers the true area about as often as it says, paired scores that go together included', () => {
  const rng = new Rng(5);
  // Differences of two normals a distance 1 apart: Φ(1/√2).
  const truth = 0.7602499389065233;
  const covers = (paired: boolean, shared: number): number => {
    let inside = 0;
    for (let trial = 0; trial < 400; trial++) {
      const common = Array.from({ length: 60 }, () => rng.normal() * Math.sqrt(shared));
      const own = (): number => rng.normal() * Math.sqrt(1 - shared);
      const { ci95 } = auroc(
        common.map((c) => c + own() + 1),
        common.map((c) => c + own()),
        { paired },
      );
      if (ci95[0] <= truth && truth <= ci95[1]) inside++;
    }
    return inside / 400;
  };
  expect(covers(false, 0)).toBeGreaterThan(0.91);
  expect(covers(false, 0)).toBeLessThan(0.985);
  // Going together makes the plain interval too wide, never too narrow.
  expect(covers(true, 0.5)).toBeGreaterThan(0.93);
});

it('refuses what has no area', () => {
  expect(() => auroc([], [1])).toThrow(/wanted scores of both kinds/);
  expect(() => auroc([1, 2], [1], { paired: true })).toThrow(/wanted pairs/);
});
