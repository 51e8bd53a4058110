/** @file The causal mask against its definition, key by key. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fillMask, UNSEEN } from './mask.ts';

test('a query sees the row’s own past and the new columns up to itself, within its window', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 3 }),
      fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
      (starts, queries, spare, window) => {
        const past = Math.max(...starts) + spare;
        const keys = past + queries;
        const mask = new Float32Array(starts.length * queries * keys);
        fillMask(mask, starts, { queries, past, window });
        starts.forEach((start, b) => {
          for (let t = 0; t < queries; t++)
            for (let s = 0; s < keys; s++) {
              const there = s < past ? s < start : s - past <= t;
              const position = s < past ? s : start + s - past;
              const near = window === undefined || start + t - position < window;
              const want = there && near ? 0 : UNSEEN;
              expect([b, t, s, mask[(b * queries + t) * keys + s]]).toEqual([b, t, s, Math.fround(want)]);
            }
        });
      },
    ),
    { seed: 3, numRuns: 200 },
  );
});
