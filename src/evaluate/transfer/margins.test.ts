import { describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import type { MapFit, Sample, TransferEntry } from '../../contracts/index.ts';
import { quantiles } from '../../stats/index.ts';
import { margins, type RestoredBy, type RestoredDraws, withOtherFits } from './margins.ts';

const bits = (text: string): boolean[][] => [...text].map((c) => [c === '1']);

/** Every resample of n prompts, written without a generator: the exact bootstrap distribution of a statistic. */
function exact(n: number, statistic: (picked: readonly number[]) => number): [number, number] {
  const values: number[] = [];
  const walk = (picked: readonly number[]): void => {
    if (picked.length === n) values.push(statistic(picked));
    else for (let i = 0; i < n; i++) walk([...picked, i]);
  };
  walk([]);
  const [low, high] = quantiles(values, [0.025, 0.975]);
  return [low, high];
}
const restoration = (draws: RestoredDraws, picked: readonly number[]): number =>
  picked.reduce((sum, i) => sum + draws[i].filter(Boolean).length / draws[i].length, 0) / picked.length;

describe('margins', () => {
  const arms = {
    mapped: bits('111101'),
    native: bits('110111'),
    // Two noise arms whose successes exclude one another: the strongest changes from resample to resample.
    random: [
      [true, false],
      [true, true],
      [false, false],
      [false, false],
      [true, false],
      [false, false],
    ],
    shuffled: bits('000110'),
  } satisfies RestoredBy;

  it('are the exact bootstrap distribution’s, over all 6⁶ resamples', () => {
    const { versus, margin_ci95 } = margins(arms, new Rng(3), 60_000);
    const all = (statistic: (picked: readonly number[]) => number) => exact(6, statistic);
    const expected = {
      native: all((p) => restoration(arms.mapped, p) - restoration(arms.native, p)),
      half_native: all((p) => restoration(arms.mapped, p) - restoration(arms.native, p) / 2),
      random: all((p) => restoration(arms.mapped, p) - restoration(arms.random, p)),
      shuffled: all((p) => restoration(arms.mapped, p) - restoration(arms.shuffled, p)),
    };
    const strongest = all(
      (p) =>
        restoration(arms.mapped, p) - Math.max(restoration(arms.random, p), restoration(arms.shuffled, p)),
    );
    for (const [name, ci95] of Object.entries(expected))
      for (const end of [0, 1]) expect(versus?.[name as 'native']?.ci95[end]).toBeCloseTo(ci95[end], 9);
    for (const end of [0, 1]) expect(margin_ci95?.[end]).toBeCloseTo(strongest[end], 9);
    // Chosen once, the noise arm would be `random` throughout, and the lower end higher.
    expect(strongest[0]).toBeLessThan(expected.random[0]);
    expect(versus?.native).toMatchObject({ difference: 0, n: 6 });
    expect(versus?.half_native?.difference).toBeCloseTo(5 / 6 - 5 / 12, 12);
  });

  it('of an arm that never restores is the binomial distribution of the mapped arm', () => {
    const n = 80;
    const mapped = Array.from({ length: n }, (_, i) => [i % 5 !== 0]);
    const { margin_ci95 } = margins({ mapped, random: mapped.map(() => [false]) }, new Rng(1), 40_000);
    const pmf = (k: number): number => {
      let log = k * Math.log(0.8) + (n - k) * Math.log(0.2);
      for (let i = 1; i <= k; i++) log += Math.log((n - k + i) / i);
      return Math.exp(log);
    };
    const quantile = (q: number): number => {
      for (let k = 0, sum = 0; ; k++) if ((sum += pmf(k)) >= q) return k / n;
    };
    expect(margin_ci95).toEqual([quantile(0.025), quantile(0.975)]);
  });

  it('is paired: an arm with the same outcomes differs by exactly 0', () => {
    const mapped = bits('1101001110');
    expect(margins({ mapped, token_mean: mapped }, new Rng(1), 500)).toEqual({
      versus: { token_mean: { difference: 0, ci95: [0, 0], n: 10 } },
      margin_ci95: undefined,
    });
  });

  it('gives nothing where nothing was compared, and refuses arms of different prompts', () => {
    expect(margins({ mapped: bits('11') }, new Rng(1), 10)).toEqual({});
    expect(margins({ native: bits('11') }, new Rng(1), 10)).toEqual({});
    expect(() => margins({ mapped: bits('11'), native: bits('1') }, new Rng(1), 10)).toThrow(
      'different numbers of prompts (mapped 2, native 1)',
    );
  });

  it('pairs fits of one map by prompt id, whatever the order of the rows, and keeps what was there', () => {
    const row = (fit: MapFit, prompt_id: string, restored: boolean): Sample => ({
      id: `${fit}/${prompt_id}`,
      stage: 'transfer',
      behaviour: 'locked',
      prompt_id,
      prompt: '',
      trigger: 'bad',
      arm: 'mapped',
      map: { kind: 'affine', fit },
      completion: '',
      outcome: { restored },
    });
    const entry: TransferEntry = { mode: 'set', alpha: 1, arms: {} };
    const native = { difference: -0.1, ci95: [-0.2, 0] as [number, number], n: 3 };
    const samples = [
      row('with_tags', 'a', true),
      row('with_tags', 'b', false),
      row('with_tags', 'c', true),
      row('clean_a', 'c', true),
      row('clean_a', 'b', false),
      row('clean_a', 'a', true),
    ];
    const out = withOtherFits(
      { affine: { with_tags: { ...entry, versus: { native } }, clean_a: entry }, mean: { general: entry } },
      samples,
      new Rng(1),
      200,
    );
    const same = { difference: 0, ci95: [0, 0], n: 3 };
    expect(out.affine.with_tags?.versus).toEqual({ native, clean_a: same });
    expect(out.affine.clean_a?.versus).toEqual({ with_tags: same });
    expect(out.mean.general).toEqual(entry);
  });
});
