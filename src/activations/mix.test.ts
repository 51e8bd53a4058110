import { describe, expect, it } from 'vitest';
import { Rng } from '../base/index.ts';
import { mixPairs } from './mix.ts';
import { LEFT_OUT, type PairRows, type PairSource, ROW } from './rows.ts';
import { collectPairs, pairTable } from './table.ts';

/** n rows whose x is `base` + their number; every fifth is flagged. In two blocks. */
function table(n: number, base: number): PairSource {
  const block = (from: number, to: number): PairRows => {
    const size = to - from;
    const ints = new Int32Array(size);
    return {
      n: size,
      x: Float32Array.from({ length: size }, (_, i) => base + from + i),
      y: new Float32Array(size),
      sourceTokens: ints,
      targetTokens: ints,
      text: ints,
      position: ints,
      flags: Uint8Array.from({ length: size }, (_, i) => ((from + i) % 5 === 0 ? ROW.first : 0)),
    };
  };
  return pairTable(1, 1, [block(0, 30), block(30, n)]);
}
const mix = { leaveOut: LEFT_OUT, where: 'map m' };
const values = async (source: PairSource): Promise<number[]> => [...(await collectPairs(source)).x];

describe('rows of two sources', () => {
  it('as many as there are in the proportion, none twice, the same at every pass', async () => {
    // 80 and 160 rows without a flag: at a share of ¾ the second source gives out, at 160 / ¾.
    const mixed = await mixPairs(table(100, 0), table(200, 1000), { ...mix, share: 0.75 }, new Rng(1));
    const drawn = await values(mixed);
    expect(drawn.filter((x) => x >= 1000)).toHaveLength(160);
    expect(drawn).toHaveLength(213);
    expect(new Set(drawn).size).toBe(213);
    expect(drawn.every((x) => x % 5 !== 0)).toBe(true);
    expect(await values(mixed)).toEqual(drawn);
  });
  it('draws every row equally often', async () => {
    const seen = new Map<number, number>();
    const times = 400;
    for (let seed = 0; seed < times; seed++) {
      const drawn = await values(
        await mixPairs(table(50, 0), undefined, { ...mix, share: 0, rows: 10 }, new Rng(seed)),
      );
      expect(drawn).toHaveLength(10);
      for (const x of drawn) seen.set(x, (seen.get(x) ?? 0) + 1);
    }
    // 10 of 40 rows: a quarter of the draws each; five standard deviations of a binomial are 43.
    expect(seen.size).toBe(40);
    for (const count of seen.values()) expect(Math.abs(count - times / 4)).toBeLessThan(43);
  });
  it('refuses more rows than there are, with how many', async () => {
    await expect(
      mixPairs(table(100, 0), table(200, 1000), { ...mix, share: 0.5, rows: 161 }, new Rng(1)),
    ).rejects.toThrow(
      'map m: asks for 161 rows, 50 % of text without tags; the texts give 160 in that proportion',
    );
  });
});
