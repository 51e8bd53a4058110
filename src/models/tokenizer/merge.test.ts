/** @file Both merging algorithms against the plainest one: look for the best pair, join it, start again. */
import { describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import { mergeSymbols } from './merge.ts';
import { PairTable } from './pair-table.ts';

interface Rule {
  left: number;
  right: number;
  merged: number;
}

function plainMerge(symbols: readonly number[], rules: readonly Rule[]): { id: number; length: number }[] {
  const out = symbols.map((id) => ({ id, length: 1 }));
  for (;;) {
    let best = { rank: rules.length, at: -1 };
    for (let i = 0; i + 1 < out.length; i++) {
      const rank = rules.findIndex((r) => r.left === out[i]?.id && r.right === out[i + 1]?.id);
      if (rank >= 0 && rank < best.rank) best = { rank, at: i };
    }
    if (best.at < 0) return out;
    const [a, b] = out.splice(best.at, 2) as [{ id: number; length: number }, { id: number; length: number }];
    out.splice(best.at, 0, { id: rules[best.rank].merged, length: a.length + b.length });
  }
}

describe('mergeSymbols', () => {
  it.each([12, 200])('equals the plain algorithm on words of up to %i symbols', (longest) => {
    const rng = new Rng(longest);
    for (let round = 0; round < 60; round++) {
      const rules: Rule[] = [];
      const seen = new Set<string>();
      for (let next = 4; next < 40; next++) {
        const rule = { left: rng.int(next), right: rng.int(next), merged: next };
        if (seen.has(`${rule.left},${rule.right}`)) continue;
        seen.add(`${rule.left},${rule.right}`);
        rules.push(rule);
      }
      const shuffled = rng.shuffle(rules);
      const pairs = new PairTable(shuffled.length);
      for (const [rank, r] of shuffled.entries()) pairs.set(r.left, r.right, rank, r.merged);
      const symbols = Array.from({ length: 1 + rng.int(longest) }, () => rng.int(4));
      const ids = Int32Array.from(symbols);
      const starts = Int32Array.from(symbols.keys());
      const ends = starts.map((i) => i + 1);
      const n = mergeSymbols({ ids, starts, ends }, symbols.length, pairs);
      const got = Array.from({ length: n }, (_, i) => ({
        id: ids[i],
        length: ends[i] - starts[i],
      }));
      expect(got).toEqual(plainMerge(symbols, shuffled));
    }
  });
});
