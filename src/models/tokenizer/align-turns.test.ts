/** @file Alignment of one user's turn in two chat templates. */
import { describe, expect, it } from 'vitest';
import { alignTokens } from './align.ts';
import { alignTurns } from './align-turns.ts';
import { smallTokenizers } from './fixtures.helper.ts';

type Offsets = [number, number][];
/** Tokens of these lengths, one after the other. */
const cuts = (...lengths: number[]): Offsets => {
  let at = 0;
  return lengths.map((length) => [at, (at += length)]);
};

describe('alignTurns', () => {
  it('pairs the shared text by its characters, and what is around it in proportion', () => {
    // source: [HEAD1][HEAD2][HEAD3] |[ab][c]| [TAIL1][TAIL2]; target: [H] |[a][bc]| [T1][T2][T3]
    const source = cuts(5, 4, 3, 2, 1, 6, 2);
    const target = cuts(7, 1, 2, 3, 3, 1);
    const found = alignTurns({ offsets: source }, { offsets: target }, [
      { source: 12, target: 7, length: 3 },
    ]);
    // H→HEAD1; a: no source token of the text ends that early, so the last before it; bc→c; T1→TAIL1, T2→TAIL2 (half up), T3→TAIL2
    expect([...found.sourceOf]).toEqual([0, 2, 4, 5, 6, 6]);
    expect(found.flags).toEqual([
      'approximate',
      'approximate',
      'coincide',
      'approximate',
      'approximate',
      'approximate',
    ]);
    expect(found.coverage).toEqual({ coincide: 1, approximate: 5, dropped: 0 });
  });

  it('drops what nothing stands before, and takes the last token where a template has none', () => {
    const source = cuts(2, 2);
    const target = cuts(3, 2, 2, 4);
    const found = alignTurns({ offsets: source }, { offsets: target }, [{ source: 0, target: 3, length: 4 }]);
    expect([...found.sourceOf]).toEqual([-1, 0, 1, 1]);
    expect(found.flags).toEqual(['dropped', 'coincide', 'coincide', 'approximate']);
  });

  it('keeps two shared texts apart', () => {
    // turn and answer, three tokens between them in the target, one in the source
    const found = alignTurns({ offsets: cuts(1, 3, 1, 2) }, { offsets: cuts(2, 3, 1, 1, 1, 2) }, [
      { source: 1, target: 2, length: 3 },
      { source: 5, target: 8, length: 2 },
    ]);
    expect([...found.sourceOf]).toEqual([0, 1, 2, 2, 2, 3]);
  });

  it('says of the shared text what alignment of that text alone says', () => {
    const text = 'Which day comes |prod| after café Saturday? 東京';
    const tokenizers = Object.values(smallTokenizers());
    for (const a of tokenizers)
      for (const b of tokenizers) {
        const read = (tokenizer: typeof a, before: string, after: string) =>
          tokenizer.encode(`${before}${text}${after}`, { addSpecialTokens: false });
        const [source, target] = [read(a, 'user : ', '\nbot : '), read(b, 'Question\n', '\nAnswer\n')];
        const shared = { source: 'user : '.length, target: 'Question\n'.length, length: text.length };
        const found = alignTurns(source, target, [shared]);
        const inside = (offsets: Offsets, from: number): number[] =>
          offsets.flatMap(([start, end], i) => (start >= from && end <= from + text.length ? [i] : []));
        const [own, other] = [inside(source.offsets, shared.source), inside(target.offsets, shared.target)];
        const cut = (offsets: Offsets, at: number[], by: number): Offsets =>
          at.map((i) => [(offsets[i]?.[0] ?? 0) - by, (offsets[i]?.[1] ?? 0) - by]);
        const alone = alignTokens(
          { offsets: cut(source.offsets, own, shared.source) },
          { offsets: cut(target.offsets, other, shared.target) },
        );
        other.forEach((j, k) => {
          const at = alone.sourceOf[k] as number;
          if (at >= 0) expect(found.sourceOf[j]).toBe(own[at]);
        });
        expect([...found.sourceOf].every((at, j) => j === 0 || at >= (found.sourceOf[j - 1] as number))).toBe(
          true,
        );
      }
  });
});
