/** @file Rules of a SentencePiece vocabulary found one by one, against the list that is written into a tokenizer.json. */
import { describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import { CutMerges } from './gguf-spm.ts';
import { mergeSymbols } from './merge.ts';
import { PairTable } from './pair-table.ts';

const LETTERS = ['a', 'b', '\u00e9', '\u{1f600}', '\u2581'];

/** A vocabulary of the letters and of joins of its tokens; few different scores, so that many tie; some tokens take no part. */
function vocabulary(rng: Rng, scores: number): { tokens: string[]; merges: CutMerges } {
  const tokens = [...LETTERS];
  const vocab = new Map(tokens.map((token, id) => [token, id]));
  while (tokens.length < 60) {
    const token = `${tokens[rng.int(tokens.length)]}${tokens[rng.int(tokens.length)]}`;
    if (vocab.has(token)) continue;
    vocab.set(token, tokens.length);
    tokens.push(token);
  }
  const given = tokens.map(() => (rng.int(10) === 0 ? undefined : -rng.int(scores)));
  return { tokens, merges: new CutMerges(tokens, vocab, (id) => given[id]) };
}

describe('rules of a SentencePiece vocabulary', () => {
  it.each([1, 4, 1000])('are those of the list, in its order, at %i scores', (scores) => {
    const rng = new Rng(scores);
    for (let round = 0; round < 3; round++) {
      const { tokens, merges } = vocabulary(rng, scores);
      const listed = new Map(merges.toJSON().map((rule, rank) => [rule.join('|'), rank]));
      const rules = merges.rules();
      const found: { rank: number; listed: number }[] = [];
      for (const [l, left] of tokens.entries())
        for (const [r, right] of tokens.entries()) {
          const slot = rules.find(l, r);
          const place = listed.get(`${left}|${right}`);
          expect(slot >= 0, `${left} ${right}`).toBe(place !== undefined);
          if (place === undefined) continue;
          expect(tokens[rules.merged(slot)]).toBe(left + right);
          found.push({ rank: rules.rank(slot), listed: place });
        }
      found.sort((a, b) => a.rank - b.rank);
      expect(found.map((rule) => rule.listed)).toEqual([...listed.values()]);
    }
  });

  it('merge long words as the list does, whatever was asked before', () => {
    const rng = new Rng(5);
    const { tokens, merges } = vocabulary(rng, 6);
    const table = new PairTable(1);
    for (const [rank, [left, right]] of merges.toJSON().entries())
      table.set(tokens.indexOf(left), tokens.indexOf(right), rank, tokens.indexOf(left + right));
    const rules = merges.rules();
    for (const length of [3, 40, 300, 2000]) {
      const symbols = Array.from({ length }, () => rng.int(LETTERS.length));
      const merged = [table, rules].map((by) => {
        const ids = Int32Array.from(symbols);
        const starts = Int32Array.from(symbols.keys());
        const n = mergeSymbols({ ids, starts, ends: starts.map((i) => i + 1) }, length, by);
        return [...ids.subarray(0, n)];
      });
      expect(merged[1]).toEqual(merged[0]);
    }
  });
});
