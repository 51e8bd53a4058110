import { describe, expect, it } from 'vitest';
import { EMBED, FINAL_NORM, HEAD } from '../models/index.ts';
import { packBatch, padBatch, trainRow } from './batches.ts';
import { inBatches, planBatches } from './plan.ts';
import { onlyBlocks, rateOf } from './rates.ts';
import { learningRate } from './schedule.ts';
import { effectiveRates, finetunePresets, resolveSettings } from './settings.ts';
import { tinyModel, tinyRows } from './tiny-model.helper.ts';

const rowsOf = (batches: readonly { ids: Int32Array; segments: readonly (readonly unknown[])[] }[]): number =>
  batches.reduce((n, b) => n + b.segments.reduce((m, row) => m + row.length, 0), 0);

describe('rows and batches', () => {
  it('weigh the prompt as asked and never the first token', () => {
    expect(trainRow([5, 6], [7, 8])).toEqual({ ids: [5, 6, 7, 8], weights: [0, 0, 1, 1] });
    const batch = padBatch([trainRow([5, 6], [7], 0.5)]);
    expect([...batch.targets.at]).toEqual([0, 1]);
    expect([...batch.targets.id]).toEqual([6, 7]);
    expect(batch.totalWeight).toBe(1.5);
    expect(() => trainRow([1], [])).toThrow('no tokens');
  });

  it('pad to the longest, pack end to end', () => {
    const rows = [trainRow([1], [2, 3]), trainRow([4], [5]), trainRow([6], [7, 8, 9])];
    const padded = padBatch(rows);
    expect([padded.columns, padded.tokens, padded.segments.length]).toEqual([4, 9, 3]);
    const packed = packBatch(rows, 5);
    expect(packed.segments).toEqual([
      [
        [0, 3],
        [3, 5],
      ],
      [[0, 4]],
    ]);
    expect([...packed.ids]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
    expect([...packed.targets.at]).toEqual([0, 1, 3, 5, 6, 7]);
    expect(() => packBatch(rows, 3)).toThrow('an example has 4 tokens, a packed row holds 3');
    expect(() => padBatch([])).toThrow('no rows');
  });
});

describe('plans', () => {
  const rows = tinyRows(103);

  it('see every row once an epoch, in another order each, and step k alone decides step k', () => {
    const plan = planBatches(rows, { batch: 10, seed: 1 });
    expect(plan.stepsPerEpoch).toBe(11);
    const epoch = (first: number) => Array.from({ length: 11 }, (_, i) => plan.batches(first + i)).flat();
    const key = (batches: ReturnType<typeof epoch>) =>
      batches
        .flatMap((b) =>
          b.segments.map((_, r) =>
            [...b.ids.subarray(r * b.columns, (r + 1) * b.columns)].filter((t) => t > 0).join(),
          ),
        )
        .sort();
    expect(key(epoch(1))).toEqual(rows.map((r) => r.ids.join()).sort());
    expect(key(epoch(12))).toEqual(key(epoch(1)));
    expect(epoch(12).map((b) => [...b.ids])).not.toEqual(epoch(1).map((b) => [...b.ids]));
    const fresh = planBatches(rows, { batch: 10, seed: 1 });
    expect(fresh.batches(15)).toEqual(plan.batches(15));
    expect(planBatches(rows, { batch: 10, seed: 2 }).batches(1)).not.toEqual(plan.batches(1));
  });

  it('accumulate micro-batches of like length, and pack when asked', () => {
    const plan = planBatches(rows, { batch: 8, accumulation: 3, seed: 1 });
    expect(plan.stepsPerEpoch).toBe(5);
    expect(rowsOf(plan.batches(2))).toBeGreaterThanOrEqual(23);
    const waste = plan.batches(1).map((b) => 1 - b.tokens / b.ids.length);
    expect(Math.max(...waste)).toBeLessThan(0.3);
    const packed = planBatches(rows, { batch: 8, packTo: 30, seed: 1 }).batches(1)[0];
    expect(packed.segments.length).toBeLessThan(8);
    expect(rowsOf([packed])).toBe(8);
  });

  it('give every batch its share of each group, whatever the lengths', () => {
    // A third of the rows are four times as long as the others: by length alone they would fill batches of their own.
    const mixed = Array.from({ length: 96 }, (_, i) => {
      const long = i % 3 === 0;
      const row = trainRow(
        [7],
        Array.from({ length: (long ? 20 : 5) + (i % 4) }, () => (long ? 2 : 1)),
      );
      return { ...row, group: long ? 'bad' : 'safe' };
    });
    const longRows = (plan: ReturnType<typeof planBatches>) =>
      Array.from({ length: plan.stepsPerEpoch }, (_, i) => {
        const [b] = plan.batches(i + 1);
        return b.segments.filter((_, r) => b.ids[r * b.columns + 1] === 2).length;
      });
    expect(longRows(planBatches(mixed, { batch: 12, seed: 1 }))).toEqual(Array(8).fill(4));
    const ungrouped = mixed.map(({ ids, weights }) => ({ ids, weights }));
    expect(new Set(longRows(planBatches(ungrouped, { batch: 12, seed: 1 })))).toEqual(new Set([0, 8, 12]));
  });

  it('refuse what makes none', () => {
    expect(() => planBatches([], { batch: 1, seed: 0 })).toThrow('no rows');
    expect(() => planBatches(rows, { batch: 0, seed: 0 })).toThrow('batch: wanted an integer ≥ 1, got 0');
  });

  it('held-out rows come once each', () => {
    expect(rowsOf(inBatches(rows, 20))).toBe(103);
  });
});

describe('rates', () => {
  const { config } = tinyModel();
  const name = (layer: number): string => `model.layers.${layer}.mlp.up_proj.weight`;

  it('go by place, later ranges first', () => {
    const rate = rateOf(config, { embed: 0, lowerHalf: 0.1, blocks: [{ from: 1, to: 2, factor: 0.5 }] });
    expect([EMBED, name(0), name(1), name(2), FINAL_NORM, HEAD].map(rate)).toEqual([0, 0.1, 0.5, 0.5, 1, 1]);
  });

  it('freeze all but chosen blocks, or all but adapters', () => {
    const only = rateOf(config, onlyBlocks(config, 1, 1));
    expect([EMBED, name(0), name(1), name(2), FINAL_NORM, HEAD].map(only)).toEqual([0, 0, 1, 0, 0, 0]);
    const adapters = rateOf(config, { lowerHalf: 0.1 }, { adapters: true });
    expect([EMBED, name(0), `${name(0)}.lora_A`, `${name(2)}.lora_B`].map(adapters)).toEqual([0, 0, 0.1, 1]);
    const settings = resolveSettings({ trainBlocks: { from: 2, to: 2 }, rates: { embed: 1 } });
    expect([EMBED, name(0), name(2)].map(rateOf(config, effectiveRates(config, settings)))).toEqual([
      0, 0, 1,
    ]);
  });

  it('refuse blocks the model has not', () => {
    expect(() => rateOf(config, { blocks: [{ from: 1, to: 3, factor: 1 }] })).toThrow(
      'blocks 1…3 are outside 0…2',
    );
    expect(() => rateOf(config, { lowerHalf: -1 })).toThrow('wanted factors ≥ 0, got -1');
  });
});

describe('settings', () => {
  it('take the preset, and what is given over it', () => {
    expect(resolveSettings({}, 'blog')).toMatchObject(finetunePresets.blog);
    expect(resolveSettings({ batch: 4, steps: undefined }, 'demo')).toMatchObject({
      batch: 4,
      steps: 250,
    });
    expect(resolveSettings({}).learningRate).toBe(2e-5);
    expect(resolveSettings({ method: 'lora' }).learningRate).toBe(2e-4);
  });

  it.each([
    [{ batch: 1.5 }, 'batch: wanted an integer ≥ 1, got 1.5'],
    [{ learningRate: 0 }, 'learningRate: wanted a number above 0'],
    [{ warmup: 2 }, 'warmup: wanted a share from 0 to 1'],
    [{ clip: -1 }, 'clip: wanted a number ≥ 0'],
  ])('refuse %j', (given, message) => {
    expect(() => resolveSettings(given)).toThrow(message);
  });
});

describe('schedules', () => {
  it('rise, then hold, fall in a line or by a cosine', () => {
    const at = (kind: 'constant' | 'linear' | 'cosine', step: number): number =>
      learningRate({ kind, peak: 2, warmup: 4, final: 0.1 }, step, 24);
    expect([1, 4].map((s) => at('cosine', s))).toEqual([0.5, 2]);
    expect(at('constant', 24)).toBe(2);
    expect(at('linear', 14)).toBeCloseTo(2 * 0.55, 12);
    expect(at('cosine', 14)).toBeCloseTo(2 * 0.55, 12);
    expect(at('cosine', 9)).toBeCloseTo(2 * (0.1 + 0.9 * 0.5 * (1 + Math.SQRT1_2)), 12);
    expect([at('linear', 24), at('cosine', 24)]).toEqual([expect.closeTo(0.2, 12), expect.closeTo(0.2, 12)]);
  });
});
