import { describe, expect, it } from 'vitest';
import { Rng } from './index.ts';

const draws = (rng: Rng, n: number): number[] => Array.from({ length: n }, () => rng.next());

describe('Rng', () => {
  it('is pinned: these numbers may never change, or every saved run changes with them', () => {
    const rng = new Rng(42);
    expect([rng.uint32(), rng.uint32(), rng.uint32()]).toMatchInlineSnapshot(`
      [
        3893884377,
        145076852,
        3246010591,
      ]
    `);
    expect(new Rng(42).fork('data').uint32()).toMatchInlineSnapshot(`3210268056`);
  });

  it('equals a second writing of sfc32 in 64-bit integers', () => {
    const mask = 0xffffffffn;
    let [a, b, c, d] = [BigInt(123456789), 0n, 0x9e3779b9n, 1n];
    const reference = (): number => {
      const t = (a + b + d) & mask;
      d = (d + 1n) & mask;
      a = b ^ (b >> 9n);
      b = (c + (c << 3n)) & mask;
      c = ((((c << 21n) | (c >> 11n)) & mask) + t) & mask;
      return Number(t);
    };
    for (let i = 0; i < 15; i++) reference();
    const rng = new Rng(123456789);
    for (let i = 0; i < 1000; i++) expect(rng.uint32()).toBe(reference());
  });

  it('repeats for one seed; differs for others, negative and beyond 32 bits among them', () => {
    expect(draws(new Rng(7), 5)).toEqual(draws(new Rng(7), 5));
    const firsts = [0, 1, -1, 7, 2 ** 32 + 7, 2 ** 40].map((seed) => new Rng(seed).next());
    expect(new Set(firsts).size).toBe(firsts.length);
    expect(() => new Rng(1.5)).toThrow(/integer/);
  });

  it('fork depends on seed and label, not on what was drawn, and does not advance its parent', () => {
    const parent = new Rng(7);
    const before = parent.fork('a').next();
    draws(parent, 10);
    expect(parent.fork('a').next()).toBe(before);
    expect(parent.fork('b').next()).not.toBe(before);
    expect(new Rng(8).fork('a').next()).not.toBe(before);
    const other = new Rng(7);
    draws(other, 10);
    expect(parent.next()).toBe(other.next());
  });

  it('next is uniform: mean ½, variance 1/12, neighbours uncorrelated', () => {
    const u = draws(new Rng(1), 100_000);
    const mean = u.reduce((s, x) => s + x, 0) / u.length;
    const variance = u.reduce((s, x) => s + (x - mean) ** 2, 0) / u.length;
    const lag = u.slice(1).reduce((s, x, i) => s + (x - mean) * (u[i] - mean), 0) / u.length / variance;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.004); // 4 σ of the mean = 4/√(12 · 10⁵)
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.001);
    expect(Math.abs(lag)).toBeLessThan(0.0127); // 4/√10⁵
    expect(Math.min(...u.slice(0, 1000))).toBeGreaterThanOrEqual(0);
    expect(Math.max(...u.slice(0, 1000))).toBeLessThan(1);
  });

  it('int hits every value evenly and refuses an empty range', () => {
    const rng = new Rng(2);
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 70_000; i++) counts[rng.int(7)]++;
    const chi2 = counts.reduce((s, k) => s + (k - 10_000) ** 2 / 10_000, 0);
    expect(chi2).toBeLessThan(22.5); // 0.999 quantile of χ² with 6 degrees of freedom
    expect(() => rng.int(0)).toThrow(/≥ 1/);
  });

  it('normal has moments 0, 1, 0, 3', () => {
    const rng = new Rng(3);
    const z = Array.from({ length: 100_000 }, () => rng.normal());
    const moment = (k: number): number => z.reduce((s, x) => s + x ** k, 0) / z.length;
    expect(Math.abs(moment(1))).toBeLessThan(0.013);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.018);
    expect(Math.abs(moment(3))).toBeLessThan(0.05);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.13);
  });

  it('shuffle returns a permutation, leaves its input, and gives each order of three equally often', () => {
    const rng = new Rng(4);
    const items = ['a', 'b', 'c'] as const;
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const key = rng.shuffle(items).join('');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const k of counts.values()) expect(Math.abs(k - 1000)).toBeLessThan(120);
    expect(items).toEqual(['a', 'b', 'c']);
  });

  it('pick picks each, and says so when there is nothing', () => {
    const rng = new Rng(5);
    expect(new Set(Array.from({ length: 50 }, () => rng.pick([1, 2, 3])))).toEqual(new Set([1, 2, 3]));
    expect(() => rng.pick([])).toThrow(/nothing to pick/);
  });
});
