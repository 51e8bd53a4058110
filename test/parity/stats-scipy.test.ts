/** @file Statistics, linear algebra and text scores against the goldens of `stats/` (scipy, statsmodels, numpy, sacrebleu, rouge-score). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Rng } from '../../src/base/index.ts';
import { chrf, chrfPlusPlus, rougeL, tokenF1 } from '../../src/evaluate/judges/index.ts';
import {
  affineError,
  cholesky,
  Gram,
  pseudoInverse,
  ridge,
  svd,
  symmetricEigen,
} from '../../src/maps/linalg.ts';
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

const load = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`stats/${name}.json`, import.meta.url), 'utf8')) as T;
/** Relative difference; 0 for equal values; below 1e-290 digits run out (subnormal numbers), so absolute there. */
const relative = (got: number, wanted: number): number =>
  got === wanted ? 0 : Math.abs(got - wanted) / Math.max(Math.abs(wanted), 1e-290);
const worst = (got: ArrayLike<number>, wanted: readonly number[]): number =>
  got.length === wanted.length
    ? wanted.reduce((most, w, i) => Math.max(most, Math.abs(got[i] - w)), 0)
    : Number.POSITIVE_INFINITY;

describe('distributions', () => {
  type Law = 'normal' | 't' | 'chi2' | 'f' | 'beta';
  const goldens =
    load<Record<Law, { tails: [number[], number, number, number][]; ppf: [number[], number, number][] }>>(
      'distributions',
    );
  const make: Record<Law, (a: number, b: number) => Distribution> = {
    normal: () => stats.normal,
    t: stats.studentT,
    chi2: stats.chiSquared,
    f: stats.fisherF,
    beta: stats.beta,
  };
  for (const law of Object.keys(make) as Law[])
    it(`${law}: tails and quantiles to the 10th digit`, () => {
      const { tails, ppf } = goldens[law];
      expect(tails.length + ppf.length).toBeGreaterThan(20);
      for (const [[a = 0, b = 0], x, cdf, sf] of tails) {
        const d = make[law](a, b);
        expect(relative(d.cdf(x), cdf), `${law}(${a},${b}).cdf(${x})`).toBeLessThan(1e-10);
        expect(relative(d.sf(x), sf), `${law}(${a},${b}).sf(${x})`).toBeLessThan(1e-10);
      }
      for (const [[a = 0, b = 0], p, x] of ppf) {
        const got = make[law](a, b).quantile(p);
        expect(Math.abs(got - x), `${law}(${a},${b}).quantile(${p})`).toBeLessThan(
          1e-10 * Math.abs(x) + 1e-15,
        );
      }
    });
});

describe('proportions', () => {
  const goldens = load<{
    wilson: [number, number, number, number, number][];
    binom_test: [number, number, number, number, number, number][];
    mcnemar_exact: [number, number, number][];
  }>('proportions');

  it('Wilson', () => {
    for (const [k, n, level, low, high] of goldens.wilson)
      expect(worst(stats.wilson(k, n, level), [low, high])).toBeLessThan(1e-13);
  });

  it('binomial tails and McNemar', () => {
    for (const [k, n, p, , greater, less] of goldens.binom_test) {
      expect(relative(stats.binomial(n, p).cdf(k), less)).toBeLessThan(1e-11);
      expect(relative(stats.binomial(n, p).sf(k - 1), greater)).toBeLessThan(1e-11);
    }
    for (const [b, c, p] of goldens.mcnemar_exact) {
      const first = Array.from({ length: b + c }, (_, i) => i < b);
      expect(
        relative(
          stats.mcNemar(
            first,
            first.map((x) => !x),
          ).p,
          p,
        ),
      ).toBeLessThan(1e-11);
    }
  });
});

describe('tests', () => {
  interface Paired {
    name: string;
    a: number[];
    b: number[];
    d_z: number;
    wilcoxon_method: 'exact' | 'approx';
    tests: Record<
      Alternative,
      { t: number; df: number; t_p: number; t_ci95: [number, number] } & Record<
        'wilcoxon wilcox' | 'wilcoxon wilcox corrected',
        [number, number]
      >
    >;
  }
  it.each(load<{ cases: Paired[] }>('paired').cases)('paired: $name', (golden) => {
    for (const [alternative, wanted] of Object.entries(golden.tests) as [
      Alternative,
      Paired['tests']['greater'],
    ][]) {
      const t = stats.pairedT(golden.a, golden.b, alternative);
      expect(relative(t.t, wanted.t)).toBeLessThan(1e-10);
      expect(relative(t.p, wanted.t_p)).toBeLessThan(1e-10);
      expect(relative(t.dz, golden.d_z)).toBeLessThan(1e-10);
      const w = stats.wilcoxon(golden.a, golden.b, alternative);
      const exact = golden.wilcoxon_method === 'exact';
      const [, p] = wanted[exact ? 'wilcoxon wilcox' : 'wilcoxon wilcox corrected'];
      expect(w.method).toBe(exact ? 'exact' : 'normal');
      expect(relative(w.p, p)).toBeLessThan(1e-10);
    }
    const { difference } = stats.pairedT(golden.a, golden.b);
    expect(worst(difference.ci95, golden.tests['two-sided'].t_ci95)).toBeLessThan(1e-11);
  });

  type Kind = 'pearson' | 'spearman';
  const correlations = load<{
    cases: ({ name: string; x: number[]; y: number[] } & Record<Kind, [number, number]>)[];
  }>('correlation').cases;
  const correlate = { pearson: stats.pearson, spearman: stats.spearman };
  it.each(correlations)('correlation: $name', (golden) => {
    for (const kind of Object.keys(correlate) as Kind[]) {
      const got = correlate[kind](golden.x, golden.y);
      expect(relative(got.value, golden[kind][0]), `${kind}`).toBeLessThan(1e-12);
      expect(relative(got.p, golden[kind][1]), `${kind} p`).toBeLessThan(1e-10);
    }
  });

  it('Holm', () => {
    for (const { p, adjusted } of load<{ cases: { p: number[]; adjusted: number[] }[] }>('holm').cases)
      expect(worst(stats.holm(p), adjusted)).toBeLessThan(1e-15);
  });

  it('bootstrap: the same draws give the same percentile interval', () => {
    const golden = load<{
      values: number[];
      indices: number[][];
      means: number[];
      ci95: number[];
      ci90: number[];
    }>('bootstrap');
    /** Hands out the golden's indices instead of drawing. */
    class Scripted extends Rng {
      readonly #script = golden.indices.flat();
      #at = 0;
      override uint32(): number {
        // The constructor of Rng warms up before the script exists.
        const index = #script in this ? this.#script[this.#at++] : 0;
        return Math.ceil((index * 2 ** 32) / golden.values.length);
      }
    }
    const resamples = golden.indices.length;
    const { ci95 } = stats.bootstrapMean(golden.values, new Scripted(1), { resamples });
    const { ci95: ci90 } = stats.bootstrapMean(golden.values, new Scripted(1), { resamples, level: 0.9 });
    expect(worst(ci95, golden.ci95)).toBeLessThan(1e-13);
    expect(worst(ci90, golden.ci90)).toBeLessThan(1e-13);
  });
});

describe('linear algebra', () => {
  const golden = load<{
    x: number[][];
    y: number[][];
    ridge: { lambda_: number; W: number[][]; b: number[]; fvu: number; mse: number }[];
    singular_values: number[];
    pinv: number[][];
    truncated_pinv: Record<string, number[][]>;
    rank_deficient: { a: number[][]; rank: number; pinv: number[][] };
    symmetric: { a: number[][]; eigenvalues: number[]; cholesky: number[][] };
  }>('linear-algebra');
  const flat = (rows: number[][]): Float64Array => Float64Array.from(rows.flat());

  it('ridge at every λ, W, b, fvu and mse; both methods', async () => {
    const gram = new Gram(24, 17);
    await gram.add(Float32Array.from(golden.x.flat()), Float32Array.from(golden.y.flat()));
    const lambdas = golden.ridge.map((r) => r.lambda_);
    const byEigen = ridge(gram, lambdas);
    const positive = golden.ridge.filter((r) => r.lambda_ > 0);
    const byCholesky = ridge(
      gram,
      positive.map((r) => r.lambda_),
      { method: 'cholesky' },
    );
    // The golden keeps x and y in float64; a Gram takes float32, so they part at about 1e-7.
    const compare = (fit: (typeof byEigen)[number], r: (typeof golden.ridge)[number]): void => {
      expect(worst(fit.weight, r.W.flat()), `W at ${r.lambda_}`).toBeLessThan(1e-5);
      expect(worst(fit.bias, r.b), `b at ${r.lambda_}`).toBeLessThan(1e-5);
      const error = affineError(fit, gram);
      expect(relative(error.fvu, r.fvu)).toBeLessThan(1e-5);
      expect(relative(error.mse, r.mse)).toBeLessThan(1e-5);
    };
    golden.ridge.forEach((r, i) => {
      compare(byEigen[i], r);
    });
    positive.forEach((r, i) => {
      compare(byCholesky[i], r);
    });
  });

  it('singular values, pseudo-inverse, truncations, deficient rank', () => {
    const w = flat(golden.ridge[0].W);
    const { values } = svd(w, 17, 24);
    expect(worst(values, golden.singular_values)).toBeLessThan(1e-11);
    expect(worst(pseudoInverse(w, 17, 24).matrix, golden.pinv.flat())).toBeLessThan(1e-11);
    for (const [rank, wanted] of Object.entries(golden.truncated_pinv)) {
      const k = Number(rank);
      const rtol = ((values[k - 1] + (values[k] ?? 0)) / 2 / values[0]) * 0.999;
      const truncated = pseudoInverse(w, 17, 24, rtol);
      expect(truncated.rank).toBe(k);
      expect(worst(truncated.matrix, wanted.flat())).toBeLessThan(1e-11);
    }
    const { a, rank, pinv } = golden.rank_deficient;
    const deficient = pseudoInverse(flat(a), a.length, a[0].length);
    expect(deficient.rank).toBe(rank);
    expect(worst(deficient.matrix, pinv.flat())).toBeLessThan(1e-11);
  });

  it('eigenvalues and Cholesky factor', () => {
    const { a, eigenvalues, cholesky: factor } = golden.symmetric;
    const n = a.length;
    const falling = eigenvalues.toSorted((x, y) => y - x);
    expect(worst(symmetricEigen(flat(a), n).values, falling)).toBeLessThan(1e-12 * falling[0]);
    expect(worst(cholesky(flat(a), n), factor.flat())).toBeLessThan(1e-11);
  });
});

describe('text', () => {
  const { pairs } = load<{
    pairs: {
      hypothesis: string;
      reference: string;
      chrf: number;
      chrf_pp: number;
      rouge_l: number;
      token_f1: number;
    }[];
  }>('text');

  it('chrF and chrF++ of 64 pairs equal sacrebleu', () => {
    for (const p of pairs) {
      expect(chrf(p.hypothesis, p.reference) * 100).toBeCloseTo(p.chrf, 11);
      expect(chrfPlusPlus(p.hypothesis, p.reference) * 100).toBeCloseTo(p.chrf_pp, 11);
    }
  });

  it('ROUGE-L of the ASCII pairs', () => {
    const plain = pairs.filter((p) => /^[\t\n\r -~]*$/.test(p.hypothesis + p.reference));
    expect(plain.length).toBeGreaterThan(20);
    for (const p of plain) expect(rougeL(p.hypothesis, p.reference)).toBeCloseTo(p.rouge_l, 12);
  });

  it('token F1 of the pairs without punctuation (the golden keeps it in the words, ours drops it)', () => {
    const bare = pairs.filter((p) => /^[\p{L}\p{N}\s]*$/u.test(p.hypothesis + p.reference));
    expect(bare.length).toBeGreaterThan(15);
    for (const p of bare) expect(tokenF1(p.hypothesis, p.reference)).toBeCloseTo(p.token_f1, 12);
  });
});
