import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ticks } from './ticks.ts';

describe('ticks', () => {
  it('are round, inside, and few', () => {
    expect(ticks(0, 1, 4)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
    expect(ticks(1, 80, 6)).toEqual([10, 20, 30, 40, 50, 60, 70, 80]);
    expect(ticks(0, 5, 6)).toEqual([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]);
    expect(ticks(3, 3, 4)).toEqual([3]);
    fc.assert(
      fc.property(
        fc.double({ min: -1e6, max: 1e6, noNaN: true }),
        fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
        (lo, width) => {
          const found = ticks(lo, lo + width, 4);
          expect(found.length).toBeGreaterThanOrEqual(2);
          expect(found.length).toBeLessThanOrEqual(10);
          for (const tick of found) {
            expect(tick).toBeGreaterThanOrEqual(lo - 1e-6 * width - 1e-6);
            expect(tick).toBeLessThanOrEqual(lo + width + 1e-6 * width + 1e-6);
          }
        },
      ),
      { seed: 2, numRuns: 200 },
    );
  });
});
