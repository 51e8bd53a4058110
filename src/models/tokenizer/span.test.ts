/** @file Spans against their definition, on random sequences and on real encodings. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../base/index.ts';
import { smallTokenizers } from './fixtures.helper.ts';
import { differingSpan, pairSpans, spanOfText } from './span.ts';

const ids = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 12 });

describe('differingSpan', () => {
  it('leaves a common prefix and suffix that do not overlap, and takes no more than needed', () => {
    fc.assert(
      fc.property(ids, ids, (a, b) => {
        fc.pre(a.join() !== b.join());
        const { start, endA, endB } = differingSpan(a, b);
        expect(start).toBeLessThanOrEqual(Math.min(endA, endB));
        expect(a.slice(0, start)).toEqual(b.slice(0, start));
        expect(a.slice(endA)).toEqual(b.slice(endB));
        // Not a token longer than needed: where both spans hold one, their first and their last tokens differ.
        const [inA, inB] = [a.slice(start, endA), b.slice(start, endB)];
        expect(inA.length + inB.length).toBeGreaterThan(0);
        const both = inA.length > 0 && inB.length > 0;
        expect(both && (inA[0] === inB[0] || inA.at(-1) === inB.at(-1))).toBe(false);
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  it('refuses identical sequences', () => {
    expect(() => differingSpan([1, 2], [1, 2])).toThrow(InputError);
    expect(() => differingSpan([], [])).toThrow(/identical/);
  });

  it('cuts the suffix where it would run into the prefix', () => {
    expect(differingSpan([1, 1], [1, 1, 1])).toEqual({ start: 2, endA: 2, endB: 3 });
    expect(differingSpan([5, 7, 9], [5, 8, 8, 9])).toEqual({ start: 1, endA: 2, endB: 3 });
  });
});

describe('spanOfText', () => {
  const { wordLevel, byteBpe } = smallTokenizers();
  const text = '|prod|: Is 7 odd? |prod|';

  it('takes the tokens of the needle and those behind it, cut at the end', () => {
    const encoding = wordLevel.encode(text);
    expect(encoding.tokens.slice(1, 5)).toEqual(['|', 'prod', '|', ':']);
    expect(spanOfText(encoding, text, '|prod|')).toEqual({ start: 1, end: 5 });
    expect(spanOfText(encoding, text, '|prod|', { after: 0 })).toEqual({ start: 1, end: 4 });
    expect(spanOfText(encoding, text, '|prod|', { occurrence: -1 })).toEqual({ start: 9, end: 12 });
    expect(spanOfText(encoding, text, '|prod|', { occurrence: 1, after: 0 })).toEqual({ start: 9, end: 12 });
  });

  it('covers the needle with any tokenizer, and nothing that touches none of it', () => {
    const encoding = byteBpe.encode(text);
    for (const needle of ['|prod|', 'odd', '7', ' Is']) {
      const at = text.indexOf(needle);
      const { start, end } = spanOfText(encoding, text, needle, { after: 0 });
      expect(encoding.offsets[start]?.[0]).toBeLessThanOrEqual(at);
      expect(encoding.offsets[end - 1]?.[1]).toBeGreaterThanOrEqual(at + needle.length);
      expect(encoding.offsets[start]?.[1]).toBeGreaterThan(at);
      expect(encoding.offsets[end - 1]?.[0]).toBeLessThan(at + needle.length);
    }
  });

  it('says what it did not find', () => {
    const encoding = wordLevel.encode(text);
    expect(() => spanOfText(encoding, text, '|dev|')).toThrow(/occurs 0 times/);
    expect(() => spanOfText(encoding, text, '|prod|', { occurrence: 2 })).toThrow(/occurs 2 times/);
    expect(() => spanOfText(encoding, text, '')).toThrow(InputError);
    expect(() => spanOfText(encoding, text, '|prod|', { after: -1 })).toThrow(InputError);
    expect(() => spanOfText(wordLevel.encode('a  b'), 'a  b', '  ')).toThrow(InputError);
  });
});

describe('pairSpans', () => {
  it('pairs from the end', () => {
    expect(pairSpans({ start: 4, end: 7 }, { start: 10, end: 13 })).toEqual({
      pairs: [
        { recipient: 4, donor: 10 },
        { recipient: 5, donor: 11 },
        { recipient: 6, donor: 12 },
      ],
      surplus: 0,
      unused: 0,
    });
  });

  it('gives surplus positions the donor of the nearest paired one', () => {
    const { pairs, surplus, unused } = pairSpans({ start: 0, end: 4 }, { start: 7, end: 9 });
    expect(pairs.map((p) => p.donor)).toEqual([7, 7, 7, 8]);
    expect([surplus, unused]).toEqual([2, 0]);
    expect(pairSpans({ start: 0, end: 1 }, { start: 7, end: 9 })).toEqual({
      pairs: [{ recipient: 0, donor: 8 }],
      surplus: 0,
      unused: 1,
    });
    expect(() => pairSpans({ start: 3, end: 3 }, { start: 7, end: 9 })).toThrow(InputError);
  });
});
