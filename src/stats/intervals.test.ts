import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Rng } from '../base/index.ts';
import { hierarchicalBootstrap } from './bootstrap.ts';
import {
  bootstrapMean,
  mcNemar,
  nonInferiority,
  pairedDifferenceInterval,
  proportion,
  rate,
  wilson,
} from './index.ts';

const z2 = 1.959963984540054 ** 2;

describe('wilson', () => {
  it('closed forms: 0 of n ends at z²/(n+z²), mirror image for n of n', () => {
    expect(wilson(0, 40)[0]).toBe(0);
    expect(wilson(0, 40)[1]).toBeCloseTo(z2 / (40 + z2), 14);
    expect(wilson(40, 40)[0]).toBeCloseTo(40 / (40 + z2), 14);
    expect(wilson(40, 40)[1]).toBe(1);
  });

  it('holds the share, lies in [0, 1], mirrors', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (n, share) => {
          const k = Math.round(share * n);
          const [low, high] = wilson(k, n);
          const mirror = wilson(n - k, n);
          expect(low).toBeLessThanOrEqual(k / n);
          expect(high).toBeGreaterThanOrEqual(k / n);
          expect(low).toBeGreaterThanOrEqual(0);
          expect(high).toBeLessThanOrEqual(1);
          expect(mirror[0]).toBeCloseTo(1 - high, 12);
        },
      ),
      { numRuns: 200, seed: 1 },
    );
  });

  it('says nothing about nothing, and refuses what is no count', () => {
    expect(proportion(0, 0)).toEqual({ value: Number.NaN, n: 0, ci95: [0, 1] });
    expect(rate([true, false, true, true])).toEqual(proportion(3, 4));
    expect(() => wilson(3, 2)).toThrow(/3 of 2/);
    expect(() => wilson(0.5, 2)).toThrow(/integers/);
  });
});

describe('mcNemar', () => {
  it('6 to 0 discordant pairs: one-sided 2⁻⁶, two-sided twice that', () => {
    const first = [...new Array<boolean>(6).fill(true), true, false];
    const second = [...new Array<boolean>(6).fill(false), true, false];
    const test = mcNemar(first, second);
    expect(test).toMatchObject({ onlyFirst: 6, onlySecond: 0, n: 8, pSecondHigher: 1 });
    expect(test.pFirstHigher).toBeCloseTo(1 / 64, 15);
    expect(test.p).toBeCloseTo(1 / 32, 15);
    expect(mcNemar(second, first).pSecondHigher).toBe(test.pFirstHigher);
    expect(mcNemar(first, first)).toMatchObject({ p: 1, pFirstHigher: 1, pSecondHigher: 1 });
  });
});

describe('nonInferiority', () => {
  it('identical outcomes: interval ± z²/(n+z²), so 5 points need 73 prompts', () => {
    const same = (n: number): boolean[] => new Array<boolean>(n).fill(true);
    const [low, high] = nonInferiority(same(200), same(200)).ci95;
    expect(low).toBeCloseTo(-z2 / (200 + z2), 12);
    expect(high).toBeCloseTo(z2 / (200 + z2), 12);
    expect(nonInferiority(same(72), same(72)).nonInferior).toBe(false);
    expect(nonInferiority(same(73), same(73)).nonInferior).toBe(true);
  });

  it('interval and p agree: low > −margin exactly when p < 0.025; the sign is mapped − native', () => {
    const rng = new Rng(5);
    let inferior = 0;
    for (let i = 0; i < 300; i++) {
      const n = 20 + rng.int(200);
      const native = Array.from({ length: n }, () => rng.next() < 0.9);
      const mapped = native.map((x) => (rng.next() < 0.02 ? !x : x));
      const test = nonInferiority(native, mapped);
      expect(test.nonInferior).toBe(test.p < 0.025);
      expect(test.ci95[0]).toBeLessThanOrEqual(test.difference);
      expect(test.ci95[1]).toBeGreaterThanOrEqual(test.difference);
      if (!test.nonInferior) inferior++;
    }
    expect(inferior).toBeGreaterThan(20);
    expect(inferior).toBeLessThan(280);
    expect(nonInferiority([true, true], [true, false]).difference).toBe(-0.5);
  });

  it('covers the true difference about 95 times in 100', () => {
    const rng = new Rng(11);
    const trials = 1000;
    let covered = 0;
    for (let t = 0; t < trials; t++) {
      let b = 0;
      let c = 0;
      for (let i = 0; i < 100; i++) {
        const u = rng.next();
        if (u < 0.04) b++;
        else if (u < 0.14) c++;
      }
      const [low, high] = pairedDifferenceInterval(b, c, 100);
      if (low <= -0.06 && -0.06 <= high) covered++;
    }
    expect(covered / trials).toBeGreaterThan(0.93);
    expect(covered / trials).toBeLessThan(0.97);
  });

  it('stays inside [−1, 1] at total disagreement, and refuses bad margins and no pairs', () => {
    expect(pairedDifferenceInterval(0, 10, 10)[0]).toBe(-1);
    expect(pairedDifferenceInterval(10, 0, 10)[1]).toBe(1);
    expect(() => nonInferiority([true], [true], 0)).toThrow(/margin/);
    expect(() => nonInferiority([], [])).toThrow(/at least one pair/);
  });
});

describe('bootstrap', () => {
  it('the same seed gives the same interval, another seed another', () => {
    const values = Array.from({ length: 50 }, (_, i) => Math.sin(i));
    expect(bootstrapMean(values, new Rng(1))).toEqual(bootstrapMean(values, new Rng(1)));
    expect(bootstrapMean(values, new Rng(1)).ci95).not.toEqual(bootstrapMean(values, new Rng(2)).ci95);
  });

  it('for many values it is the normal interval x̄ ± 1.96 s/√n', () => {
    const rng = new Rng(3);
    const values = Array.from({ length: 1000 }, () => rng.normal());
    const { value, n, ci95 } = bootstrapMean(values, rng);
    expect(n).toBe(1000);
    const half = 1.96 / Math.sqrt(1000);
    expect((value - ci95[0]) / half).toBeCloseTo(1, 1);
    expect((ci95[1] - value) / half).toBeCloseTo(1, 1);
  });

  it('two values a, b: the mean of a resample is a, (a+b)/2 or b with ¼, ½, ¼', () => {
    expect(bootstrapMean([0, 1], new Rng(1)).ci95).toEqual([0, 1]);
    expect(bootstrapMean([0, 1], new Rng(1), { level: 0.4 }).ci95).toEqual([0.5, 0.5]);
    expect(bootstrapMean([4], new Rng(1)).ci95).toEqual([4, 4]);
    expect(bootstrapMean([], new Rng(1)).value).toBeNaN();
  });

  it('levels: variation between seeds widens the interval, each group weighs the same', () => {
    const rng = new Rng(9);
    const seeds = [0.2, 0.5, 0.8].map((p) => [
      Array.from({ length: 200 }, () => (rng.next() < p ? 1 : 0)),
      Array.from({ length: 100 }, () => (rng.next() < p ? 1 : 0)),
    ]);
    const nested = hierarchicalBootstrap(seeds, new Rng(1), { resamples: 2000 });
    const flat = bootstrapMean(seeds.flat(2), new Rng(1), { resamples: 2000 });
    expect(nested.n).toBe(900);
    const width = (e: { ci95: [number, number] }): number => e.ci95[1] - e.ci95[0];
    expect(width(nested)).toBeGreaterThan(4 * width(flat));
    expect(hierarchicalBootstrap([[1, 1, 1, 1], [0]], new Rng(1)).value).toBe(0.5);
    expect(() => hierarchicalBootstrap([[1], []], new Rng(1))).toThrow(/empty/);
  });

  it('one level is the flat bootstrap', () => {
    const values = [1, 4, 2, 8, 5, 7];
    expect(hierarchicalBootstrap(values, new Rng(4))).toEqual(bootstrapMean(values, new Rng(4)));
  });
});
