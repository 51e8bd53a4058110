import { describe, expect, it } from 'vitest';
import { pearson, spearman } from './correlation.ts';
import { rank, standardDeviation, sum, variance } from './describe.ts';
import { holm, mean, pairedT, quantile, wilcoxon } from './index.ts';
import { cohenDz } from './paired.ts';

describe('descriptions', () => {
  it('compensated sum keeps what plain addition loses', () => {
    expect(sum([1e16, 1, -1e16, 1])).toBe(2);
  });

  it('variance with either divisor; undefined where it has no meaning', () => {
    expect(variance([1, 2, 3, 4])).toBeCloseTo(5 / 3, 15);
    expect(variance([1, 2, 3, 4], 0)).toBeCloseTo(5 / 4, 15);
    expect(standardDeviation([5, 5, 5])).toBe(0);
    expect(variance([7])).toBeNaN();
    expect(mean([])).toBeNaN();
  });

  it('quantiles interpolate and leave the input as it was', () => {
    const values = [3, 1, 2];
    expect(quantile(values, 0.25)).toBe(1.5);
    expect(values).toEqual([3, 1, 2]);
    expect(() => quantile(values, 1.1)).toThrow(/0 ≤ q ≤ 1/);
  });

  it('ranks share ties', () => {
    const { ranks, ties } = rank([10, 20, 10, 5, 20, 20]);
    expect([...ranks]).toEqual([2.5, 5, 2.5, 1, 5, 5]);
    expect(ties).toEqual([2, 3]);
  });
});

describe('paired tests', () => {
  it('t by hand: differences 1, 2, 3 give t = 2√3, d_z = 2', () => {
    const t = pairedT([2, 4, 6], [1, 2, 3]);
    expect(t.t).toBeCloseTo(2 * Math.sqrt(3), 14);
    expect(t.dz).toBeCloseTo(2, 14);
    // t with 2 degrees of freedom: two-sided p = 1 − t/√(2 + t²)
    expect(t.p).toBeCloseTo(1 - t.t / Math.sqrt(2 + t.t ** 2), 14);
    expect(t.difference.value).toBe(2);
    expect(t.difference.ci95[0] + t.difference.ci95[1]).toBeCloseTo(4, 14);
  });

  it('no difference at all: t = 0, p = 1, d_z = 0', () => {
    expect(pairedT([1, 2], [1, 2])).toMatchObject({ t: 0, p: 1, dz: 0 });
    expect(wilcoxon([1, 2], [1, 2])).toMatchObject({ n: 0, p: 1 });
    expect(cohenDz([1, 2], [1, 2])).toBe(0);
    // equal but for rounding: no finite effect size
    expect(pairedT([1, 1 - 1e-16, 1 + 2e-16], [0, 0, 0])).toMatchObject({ t: Infinity, dz: Infinity, p: 0 });
  });

  it('swapping the sides swaps the one-sided p', () => {
    const a = [1.2, 0.4, 3.3, 2.1, 5];
    const b = [1, 1, 1, 1, 1.5];
    for (const test of [pairedT, wilcoxon]) {
      expect(test(a, b, 'greater').p).toBeCloseTo(test(b, a, 'less').p, 14);
      expect(test(a, b).p).toBeCloseTo(test(b, a).p, 14);
    }
  });

  it('Wilcoxon: five differences all positive have exact one-sided p 2⁻⁵', () => {
    expect(wilcoxon([1, 2, 3, 4, 5], [0, 0, 0, 0, 0], 'greater').p).toBe(1 / 32);
    expect(wilcoxon([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]).p).toBe(1 / 16);
  });

  it('refuses unequal lengths and single pairs', () => {
    expect(() => pairedT([1, 2], [1])).toThrow(/2 and 1/);
    expect(() => pairedT([1], [1])).toThrow(/at least 2 pairs/);
  });
});

describe('correlation', () => {
  it('a monotone curve: Spearman 1, Pearson below', () => {
    const x = [1, 2, 3, 4, 5];
    const y = x.map(Math.exp);
    expect(spearman(x, y)).toMatchObject({ value: 1, p: 0 });
    expect(pearson(x, y).value).toBeLessThan(0.95);
  });

  it('is odd in each argument and undefined for a constant side', () => {
    const x = [3, 1, 4, 1, 5, 9, 2, 6];
    const y = [2, 7, 1, 8, 2, 8, 1, 8];
    for (const f of [pearson, spearman]) {
      expect(
        f(
          x.map((v) => -v),
          y,
        ).value,
      ).toBeCloseTo(-f(x, y).value, 14);
      expect(
        f(
          x,
          y.map(() => 3),
        ).value,
      ).toBeNaN();
    }
  });
});

describe('holm', () => {
  it('keeps the order given, is non-decreasing in p and capped', () => {
    const adjusted = holm([0.04, 0.01, 0.03, 0.5]);
    [0.09, 0.04, 0.09, 0.5].forEach((p, i) => {
      expect(adjusted[i]).toBeCloseTo(p, 15);
    });
    expect(holm([0.9, 0.8])).toEqual([1, 1]);
    expect(holm([])).toEqual([]);
    expect(() => holm([Number.NaN])).toThrow(/p-values/);
  });
});
