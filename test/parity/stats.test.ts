/** @file `src/stats` against mpmath (tails) and scipy (tests); the goldens and their script are in `stats-own/`. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Rng } from '../../src/base/index.ts';
import * as bootstrap from '../../src/stats/bootstrap.ts';
import * as correlation from '../../src/stats/correlation.ts';
import * as descriptions from '../../src/stats/describe.ts';
import type { Distribution } from '../../src/stats/distributions.ts';
import * as distributions from '../../src/stats/distributions.ts';
import * as multiple from '../../src/stats/multiple.ts';
import * as noninferiority from '../../src/stats/noninferiority.ts';
import type { Alternative } from '../../src/stats/paired.ts';
import * as paired from '../../src/stats/paired.ts';
import * as proportions from '../../src/stats/proportions.ts';

const stats = {
  ...bootstrap,
  ...correlation,
  ...descriptions,
  ...distributions,
  ...multiple,
  ...noninferiority,
  ...paired,
  ...proportions,
};

interface Goldens {
  tails: [name: Name, parameters: number[], x: number, cdf: number, sf: number][];
  quantiles: [name: Name, parameters: number[], p: number, x: number][];
  wilson: [k: number, n: number, level: number, low: number, high: number][];
  describe: {
    values: number[];
    mean: number;
    variance: number;
    quantiles: [number, number][];
  };
  paired: ({
    name: string;
    a: number[];
    b: number[];
    dz: number;
    exact: boolean;
    t: [number, number, number, number];
    rank_sum: number;
  } & Record<Alternative, { t: number; w: number }>)[];
  mcnemar: [number, number, number, number, number][];
  tango: [number, number, number, number, number, number][];
  correlation: ({ name: string; x: number[]; y: number[] } & Record<
    'pearson' | 'spearman',
    [number, number]
  >)[];
  bootstrap: { values: number[]; ci95: [number, number] };
}
type Name = 'normal' | 'studentT' | 'chiSquared' | 'fisherF' | 'beta' | 'binomial';

const goldens = JSON.parse(
  readFileSync(new URL('stats-own/goldens.json', import.meta.url), 'utf8'),
) as Goldens;

const make: Record<Name, (a: number, b: number) => Pick<Distribution, 'cdf' | 'sf'>> = {
  normal: () => stats.normal,
  studentT: stats.studentT,
  chiSquared: stats.chiSquared,
  fisherF: stats.fisherF,
  beta: stats.beta,
  binomial: stats.binomial,
};

const correlate = { pearson: stats.pearson, spearman: stats.spearman };

/** Relative difference; 0 for equal values, two zeros among them. */
const relative = (got: number, wanted: number): number =>
  got === wanted ? 0 : Math.abs(got - wanted) / Math.max(Math.abs(wanted), Number.MIN_VALUE);

describe('tails', () => {
  for (const name of Object.keys(make) as Name[]) {
    it(`${name}: both tails to 11 digits, relative, down to 1e-290`, () => {
      const rows = goldens.tails.filter((row) => row[0] === name);
      expect(rows.length).toBeGreaterThan(10);
      for (const [, [a = 0, b = 0], x, cdf, sf] of rows) {
        const d = make[name](a, b);
        expect(relative(d.cdf(x), cdf), `${name}(${a},${b}).cdf(${x})`).toBeLessThan(1e-11);
        expect(relative(d.sf(x), sf), `${name}(${a},${b}).sf(${x})`).toBeLessThan(1e-11);
      }
    });
  }

  it('quantiles to 11 digits', () => {
    for (const [name, [a = 0, b = 0], p, x] of goldens.quantiles) {
      const d = make[name](a, b) as Distribution;
      expect(Math.abs(d.quantile(p) - x), `${name}(${a},${b}) ${p}`).toBeLessThan(
        1e-11 * Math.abs(x) + 1e-15,
      );
    }
  });
});

describe('samples', () => {
  it('mean, variance, quantiles equal numpy', () => {
    const { values, ...wanted } = goldens.describe;
    expect(relative(stats.mean(values), wanted.mean)).toBeLessThan(1e-13);
    expect(relative(stats.variance(values), wanted.variance)).toBeLessThan(1e-13);
    for (const [q, x] of wanted.quantiles)
      expect(relative(stats.quantile(values, q), x), `q ${q}`).toBeLessThan(1e-13);
  });

  it('Wilson intervals equal scipy', () => {
    for (const [k, n, level, low, high] of goldens.wilson) {
      const [gotLow, gotHigh] = stats.wilson(k, n, level);
      expect(Math.abs(gotLow - low)).toBeLessThan(1e-13);
      expect(Math.abs(gotHigh - high)).toBeLessThan(1e-13);
    }
  });

  it("the bootstrap interval is near scipy's own percentile interval", () => {
    const { values, ci95 } = goldens.bootstrap;
    const got = stats.bootstrapMean(values, new Rng(1)).ci95;
    const width = ci95[1] - ci95[0];
    // The 2.5 % quantile of 10,000 draws wanders by about 1.5 % of the width.
    expect(Math.abs(got[0] - ci95[0])).toBeLessThan(0.04 * width);
    expect(Math.abs(got[1] - ci95[1])).toBeLessThan(0.04 * width);
  });
});

describe('paired tests', () => {
  for (const row of goldens.paired) {
    it(`${row.name}: t, interval, d_z, Wilcoxon`, () => {
      for (const alternative of ['two-sided', 'greater', 'less'] as const) {
        const t = stats.pairedT(row.a, row.b, alternative);
        expect(relative(t.t, row.t[0])).toBeLessThan(1e-11);
        expect(t.df).toBe(row.t[1]);
        expect(relative(t.p, row[alternative].t), `t ${alternative}`).toBeLessThan(1e-10);
        expect(relative(t.dz, row.dz)).toBeLessThan(1e-11);
        expect(relative(t.difference.ci95[0], row.t[2])).toBeLessThan(1e-10);
        expect(relative(t.difference.ci95[1], row.t[3])).toBeLessThan(1e-10);
        const w = stats.wilcoxon(row.a, row.b, alternative);
        expect(w.method).toBe(row.exact ? 'exact' : 'normal');
        expect(w.rankSumPositive).toBe(row.rank_sum);
        expect(relative(w.p, row[alternative].w), `wilcoxon ${alternative}`).toBeLessThan(1e-10);
      }
    });
  }

  it("McNemar equals scipy's binomial test", () => {
    for (const [onlyFirst, onlySecond, p, first, second] of goldens.mcnemar) {
      const got = stats.mcNemar(...pairs(onlyFirst, onlySecond, onlyFirst + onlySecond + 7));
      expect(relative(got.p, p)).toBeLessThan(1e-12);
      expect(relative(got.pFirstHigher, first)).toBeLessThan(1e-12);
      expect(relative(got.pSecondHigher, second)).toBeLessThan(1e-12);
    }
  });

  it('non-inferiority equals a numerically maximised constrained likelihood', () => {
    for (const [gained, lost, n, low, high, p] of goldens.tango) {
      const [mapped, native] = pairs(gained, lost, n);
      const got = stats.nonInferiority(native, mapped, 0.05);
      expect(got.difference).toBeCloseTo((gained - lost) / n, 14);
      // The numerical maximisation is good to about 1e-6.
      expect(Math.abs(got.ci95[0] - low)).toBeLessThan(1e-5);
      expect(Math.abs(got.ci95[1] - high)).toBeLessThan(1e-5);
      expect(Math.abs(got.p - p)).toBeLessThan(1e-5);
    }
  });
});

describe('correlation', () => {
  for (const row of goldens.correlation) {
    it(`${row.name}: Pearson, Spearman`, () => {
      for (const kind of ['pearson', 'spearman'] as const) {
        const got = correlate[kind](row.x, row.y);
        expect(relative(got.value, row[kind][0]), `${kind}`).toBeLessThan(1e-12);
        expect(relative(got.p, row[kind][1]), `${kind}`).toBeLessThan(1e-10);
      }
    });
  }
});

/** Outcomes of n pairs, `b` of them true under the first alone and `c` under the second alone; the rest true under both. */
function pairs(b: number, c: number, n: number): [boolean[], boolean[]] {
  const first = Array.from({ length: n }, (_, i) => i < b || i >= b + c);
  const second = Array.from({ length: n }, (_, i) => i >= b);
  return [first, second];
}
