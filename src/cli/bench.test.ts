/** @file `bench --only sweep` and `--only maps` on a bundled model and few rows: outcomes and keys. No test judges a time. */
import { describe, expect, it } from 'vitest';
import { Rng } from '../base/index.ts';
import { benchMaps } from './bench/maps.ts';
import type { SweepFigures } from './bench/sweep.ts';
import { Turns } from './bench/timing.ts';
import { crosspatch } from './crosspatch.helper.ts';

const bench = (...argv: string[]) => crosspatch(['bench', '--model', 'tiny-llama-s', '--quiet', ...argv]);

describe('bench', () => {
  it('sweep: both ways give the same completions at every block', async () => {
    const { code, out, err } = await bench(
      '--only',
      'sweep',
      '--prompts',
      '6',
      '--max-tokens',
      '8',
      '--json',
    );
    expect([code, err]).toEqual([0, '']);
    const { sweep, ...rest } = JSON.parse(out) as { sweep: SweepFigures };
    expect(Object.keys(rest)).toEqual(['model', 'rounds', 'machine']);
    expect(sweep).toMatchObject({ blocks: 6, prompts: 6, new_tokens: 8, completions: 36 });
    expect(sweep.same + sweep.near_ties).toBe(36);
    const { accepted, continued, again } = sweep.ended;
    expect(accepted + continued + again).toBe(36);
    expect(sweep.acceptance).toBeGreaterThan(0);
    expect(sweep.acceptance).toBeLessThanOrEqual(1);
    for (const spent of [sweep.plain, sweep.drafts, sweep.unpatched])
      expect(Math.min(...Object.values(spent))).toBeGreaterThan(0);
  });

  it('compares within turns: what slows a whole turn does not show in a ratio', () => {
    const turns = new Turns(
      new Map([
        ['a', [10, 4, 30, 1]],
        ['b', [20, 8, 60, 2]],
      ]),
    );
    expect([turns.rate('a'), turns.rate('b'), turns.ratio('a', 'b')]).toEqual([7, 14, 0.5]);
    const drifting = new Turns(
      new Map([
        ['a', [1, 2, 3]],
        ['b', [3, 2, 1]],
      ]),
    );
    expect(drifting.ratio('a', 'b')).toBe(1);
  });

  it('maps: a stream of rows is fitted well', async () => {
    const maps = await benchMaps({
      rows: 8192,
      source: 48,
      target: 40,
      rng: new Rng(0),
      signal: new AbortController().signal,
    });
    expect(maps).toMatchObject({ source_width: 48, target_width: 40, rows_bytes: 4 * 6144 * 88 });
    expect(maps.quarter.rows).toBe(2048);
    expect(maps.whole.rows).toBe(8192);
    // y is linear in x but for noise of 0.1² / (1 + ¼ + 0.1²) of its variance.
    expect(maps.whole.fvu).toBeGreaterThan(0.1 ** 2 / 1.26);
    expect(maps.whole.fvu).toBeLessThan(0.012);
    expect(maps.whole.high_water - maps.quarter.high_water).toBe(maps.growth);
  });

  it('shows both as a table', async () => {
    const { code, out } = await bench('--only', 'sweep', '--prompts', '2', '--max-tokens', '4');
    expect(code).toBe(0);
    expect(out).toMatch(/sweep by verified drafts .*12 of 12 completions the same/);
    expect(out).toMatch(/% of draft tokens accepted/);
  });
});
