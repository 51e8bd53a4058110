/** @file Exponentials of rows against `Math.exp`, one by one. */
import { describe, expect, it } from 'vitest';
import { exponentials, sumOfExponentials } from './exponentials.ts';
import { Rng } from './rng.ts';

const rng = new Rng(3);
const rows = [1, 30, 200, 800].map((width) => Float32Array.from({ length: 5000 }, () => -rng.next() * width));

describe('exponentials', () => {
  it.each(rows.map((row) => [Math.round(-Math.min(...row)), row] as const))(
    'of values down to −%d',
    (_, row) => {
      exponentials(row).forEach((value, i) => {
        expect(Math.abs(value - Math.fround(Math.exp(row[i])))).toBeLessThanOrEqual(2 ** -24 * value);
      });
      const wanted = row.reduce((sum, x) => sum + Math.exp(x), 0);
      expect(Math.abs(sumOfExponentials(row, 0) / wanted - 1)).toBeLessThan(2e-12);
      const shifted = row.map((x) => x + 100);
      const exact = shifted.reduce((sum, x) => sum + Math.exp(x - 100), 0);
      expect(Math.abs(sumOfExponentials(shifted, 100) / exact - 1)).toBeLessThan(2e-12);
    },
  );

  it('at the ends: 1 at 0, 0 for −∞ and what float64 has no number for, NaN stays', () => {
    expect([...exponentials(Float32Array.of(0, -745.5, Number.NEGATIVE_INFINITY))]).toEqual([1, 0, 0]);
    expect(sumOfExponentials(Float32Array.of(5, Number.NEGATIVE_INFINITY), 5)).toBe(1);
    expect(exponentials(Float32Array.of(Number.NaN))[0]).toBeNaN();
    expect(sumOfExponentials(Float32Array.of(1, Number.NaN), 1)).toBeNaN();
    expect(exponentials(Float32Array.of(1e-7))[0]).toBeCloseTo(1, 6);
  });
});
