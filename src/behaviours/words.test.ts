/** @file Claims about words, their one spelling, and the split hash. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bucket, normalise, words } from './words.ts';

it('splits on white space, isolates punctuation, keeps newlines', () => {
  expect(words('### Is |prod| 7?\n"Yes," it\'s well-known; no!')).toEqual(
    '### Is | prod | 7 ? \n " Yes , " it \' s well - known ; no !'.split(' '),
  );
});

it('has one spelling for all texts with the same words', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab7 \n\t.,|#-\'"!é') }), (text) => {
      const spelled = normalise(text);
      expect(words(spelled)).toEqual(words(text));
      expect(normalise(spelled)).toBe(spelled);
    }),
  );
});

it('hashes evenly, and as it always did', () => {
  const counts = Array(8).fill(0) as number[];
  for (let i = 0; i < 80_000; i++) {
    const b = bucket(`capital/${i}`, 8);
    counts[b] = (counts[b] ?? 0) + 1;
  }
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400);
  expect([bucket('', 1000), bucket('add/3 5', 1000), bucket('|prod|', 1000)]).toMatchInlineSnapshot(`
    [
      923,
      198,
      457,
    ]
  `);
});
