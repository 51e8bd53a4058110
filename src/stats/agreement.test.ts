/** @file Agreement of raters and rising curves, against the packages of `test/parity/stats-own/make_agreement.py` and a published example. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type AlphaLevel, krippendorffAlpha } from './alpha.ts';
import { isotonic } from './isotonic.ts';

const goldens = JSON.parse(
  readFileSync(new URL('../../test/parity/stats-own/agreement.json', import.meta.url), 'utf8'),
) as {
  alpha: { units: number[][]; alphas: Record<AlphaLevel, number> }[];
  isotonic: { x: number[]; y: number[]; asked: number[]; wanted: number[] }[];
};

describe('krippendorffAlpha', () => {
  it('gives the figures of the package, with holes and many raters', () => {
    for (const { units, alphas } of goldens.alpha)
      for (const [level, wanted] of Object.entries(alphas))
        expect(krippendorffAlpha(units, level as AlphaLevel), level).toBeCloseTo(wanted, 12);
  });

  it('gives the figures of the example in Krippendorff’s paper: four observers, twelve units, holes', () => {
    const units = [
      [1, 1, 1],
      [2, 2, 3, 2],
      [3, 3, 3, 3],
      [3, 3, 3, 3],
      [2, 2, 2, 2],
      [1, 2, 3, 4],
      [4, 4, 4, 4],
      [1, 1, 2, 1],
      [2, 2, 2, 2],
      [5, 5, 5],
      [1, 1],
      [3],
    ];
    const rounded = (level: AlphaLevel) => Number(krippendorffAlpha(units, level).toFixed(3));
    expect([rounded('nominal'), rounded('ordinal'), rounded('interval')]).toEqual([0.743, 0.815, 0.849]);
  });

  it('is 1 where all agree, and nothing where all ratings are one value', () => {
    expect(
      krippendorffAlpha(
        [
          [1, 1],
          [5, 5],
        ],
        'ordinal',
      ),
    ).toBe(1);
    expect(
      krippendorffAlpha(
        [
          [3, 3],
          [3, 3],
        ],
        'ordinal',
      ),
    ).toBeNaN();
  });
});

describe('isotonic', () => {
  it('is the curve of scipy, ties and all, and flat beyond its points', () => {
    for (const { x, y, asked, wanted } of goldens.isotonic) {
      const curve = isotonic(x, y);
      asked.forEach((at, i) => {
        expect(curve(at)).toBeCloseTo(wanted[i], 10);
      });
    }
  });

  it('refuses no points', () => {
    expect(() => isotonic([], [])).toThrow(RangeError);
  });
});
