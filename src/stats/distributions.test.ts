import { describe, expect, it } from 'vitest';
import { beta, binomial, chiSquared, fisherF, normal, studentT } from './distributions.ts';

describe('closed forms', () => {
  it('t with 1 degree of freedom is Cauchy: sf = ½ − atan(t)/π, ≈ 1/(πt) far out', () => {
    for (const t of [0, 0.3, 1, 5]) expect(studentT(1).sf(t)).toBeCloseTo(0.5 - Math.atan(t) / Math.PI, 14);
    expect(studentT(1).sf(1e12) * Math.PI * 1e12).toBeCloseTo(1, 12);
  });

  it('χ² with 2 degrees of freedom is exponential, also at 1e-261', () => {
    for (const x of [0.01, 2, 40, 1200]) expect(chiSquared(2).sf(x) / Math.exp(-x / 2)).toBeCloseTo(1, 12);
  });

  it('beta(a, 1) has cdf x^a; F(2, 2) has sf 1/(1+x)', () => {
    for (const x of [0.01, 0.5, 0.97]) expect(beta(3.5, 1).cdf(x)).toBeCloseTo(x ** 3.5, 14);
    for (const x of [0.01, 1, 50]) expect(fisherF(2, 2).sf(x)).toBeCloseTo(1 / (1 + x), 14);
  });

  it('binomial tails at the ends', () => {
    expect(binomial(10, 0.5).sf(9)).toBeCloseTo(2 ** -10, 16);
    expect(binomial(10, 0.5).cdf(10)).toBe(1);
    expect(binomial(10, 0.5).cdf(-1)).toBe(0);
  });
});

describe('shape', () => {
  const all = { normal, t: studentT(3), chi2: chiSquared(4), f: fisherF(5, 7), beta: beta(2, 6) };

  it('cdf + sf = 1, cdf rises, quantile is its inverse', () => {
    for (const [name, d] of Object.entries(all)) {
      let last = 0;
      for (const p of [1e-8, 0.01, 0.2, 0.5, 0.8, 0.99]) {
        const x = d.quantile(p);
        expect(d.cdf(x) / p, `${name} ${p}`).toBeCloseTo(1, 11);
        expect(d.cdf(x) + d.sf(x)).toBeCloseTo(1, 14);
        expect(d.cdf(x)).toBeGreaterThan(last);
        last = d.cdf(x);
      }
    }
  });

  it('outside the support and at infinity the tails are 0 and 1', () => {
    expect(chiSquared(4).cdf(-1)).toBe(0);
    expect(beta(2, 6).sf(1.5)).toBe(0);
    expect(normal.sf(Number.POSITIVE_INFINITY)).toBe(0);
    expect(studentT(3).cdf(Number.NEGATIVE_INFINITY)).toBe(0);
    expect(fisherF(5, 7).sf(Number.POSITIVE_INFINITY)).toBe(0);
  });

  it('refuses bad parameters', () => {
    expect(() => studentT(0)).toThrow(/studentT/);
    expect(() => normal.quantile(1)).toThrow(/0 < p < 1/);
    expect(() => binomial(2.5, 0.5)).toThrow(/binomial/);
  });
});
