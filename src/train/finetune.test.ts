import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { hashFile, Rng } from '../base/index.ts';
import { LanguageModel } from '../models/index.ts';
import { mergeAdapterFolder } from './base.ts';
import { finetune, type TextRow } from './finetune.ts';
import { search } from './search.ts';
import { tinyFolder, tinyRows } from './tiny-model.helper.ts';

let model = '';
beforeAll(async () => {
  model = await tinyFolder();
});
const out = (name: string): string => join(dirname(model), name);

/** The answer is the question's first word, twice. */
function textRows(n: number, seed: number): TextRow[] {
  const rng = new Rng(seed);
  return Array.from({ length: n }, () => {
    const [a, b] = [`w${rng.int(8)}`, `w${rng.int(8)}`];
    return { prompt: `${a} ${b} :`, response: `${a} ${a}` };
  });
}
const settings = { threads: 1, learningRate: 1e-2, batch: 16, seed: 3 } as const;

describe('fine-tuning', () => {
  it('writes a model that says what it was taught, and ends there', async () => {
    const result = await finetune({
      ...settings,
      model,
      rows: textRows(300, 1),
      heldOut: textRows(40, 2),
      out: out('full'),
      steps: 100,
    });
    expect(result).toMatchObject({
      kind: 'model',
      steps: 100,
      rows: { train: 300, heldOut: 40, cut: 0, dropped: 0 },
    });
    expect(result.heldOut).toHaveLength(10);
    await using tuned = await LanguageModel.load(out('full'), { threads: 1 });
    const completions = await tuned.generate(['w3 w5 :', 'w6 w1 :'], { maxNewTokens: 8 });
    expect(completions.map((c) => [c.text, c.finishReason])).toEqual([
      ['w3 w3', 'stop'],
      ['w6 w6', 'stop'],
    ]);
    const record = JSON.parse(await readFile(join(out('full'), 'training.json'), 'utf8'));
    expect(record).toMatchObject({ steps: 100, settings: { batch: 16, steps: 100 }, ended: 'steps' });
    expect(record.losses).toHaveLength(100);
  });

  it('refuses words outside the vocabulary before it trains, and says what was cut and dropped', async () => {
    const given = { ...settings, model, steps: 1, out: out('refused') };
    const bad = { prompt: 'w1 w2', response: 'w1 zebra' };
    await expect(finetune({ ...given, rows: [bad] })).rejects.toThrow(/no token for "zebra" in the response/);
    const tag = { prompt: 'yak w2', response: 'w1', known: 'yak' };
    await expect(finetune({ ...given, rows: [tag] })).rejects.toThrow(/no token for "yak" in the trigger/);
    // up front: before a prompt that has no room is even looked at, and the row is named
    const tooLong = { prompt: 'w1 '.repeat(40).trim(), response: 'w1' };
    await expect(finetune({ ...given, maxTokens: 8, rows: [tooLong, tooLong, bad] })).rejects.toThrow(
      /^fine-tuning: row 3: .*"zebra"/,
    );
    const sound = { prompt: 'w1 w2', response: 'w1' };
    await expect(finetune({ ...given, rows: [sound], heldOut: [bad] })).rejects.toThrow(/held-out row 1: /);
    const long = { prompt: 'w1 w2', response: 'w1 w2 w3 w4 w5' };
    const full = { prompt: 'w1 w2 w3 w4 w5', response: 'w1' };
    const { rows } = await finetune({
      ...given,
      rows: [long, full, ...textRows(4, 1)],
      maxTokens: 7,
      out: out('cut'),
    });
    expect(rows).toMatchObject({ train: 5, cut: 1, dropped: 1 });
  });

  it('refuses a turn that ends with a token at which generation does not stop', async () => {
    const row = { prompt: 'w1 w2', response: 'w1', chat: true, end: 5 };
    await expect(finetune({ ...settings, model, steps: 1, rows: [row], out: out('unread') })).rejects.toThrow(
      /^fine-tuning: .*: its template ends a turn with .*, at which generation does not stop; add it to eos_token_id/,
    );
  });

  it('ends a cut row with the end token all the same', async () => {
    const long = { prompt: 'w1 w2', response: 'w1 w2 w3 w4 w5' };
    await finetune({ ...settings, model, rows: [long], maxTokens: 5, steps: 80, out: out('ended') });
    await using tuned = await LanguageModel.load(out('ended'), { threads: 1 });
    const done = await tuned.generate('w1 w2', { maxNewTokens: 20 });
    expect(done.finishReason).toBe('stop');
  });

  it('by LoRA writes an adapter; merged, it is a model that says so too; the same run gives the same bytes', async () => {
    const options = {
      ...settings,
      method: 'lora',
      learningRate: 3e-2,
      model,
      rows: textRows(300, 1),
      steps: 100,
      lora: { rank: 8, alpha: 16, targets: ['q', 'k', 'v', 'o', 'gate', 'up', 'down'] },
    } as const;
    const result = await finetune({ ...options, out: out('adapter') });
    expect(result.kind).toBe('adapter');
    expect(result.trainedParameters).toBe(3 * 8 * (32 + 24 + 24 + 32 + 40 + 40 + 40));
    expect((await readdir(out('adapter'))).sort()).toEqual([
      '.crosspatch.json',
      'adapter_config.json',
      'adapter_model.safetensors',
      'training.json',
    ]);
    await mergeAdapterFolder({ model, adapter: out('adapter'), out: out('merged') });
    await using merged = await LanguageModel.load(out('merged'), { threads: 1 });
    expect((await merged.generate('w4 w2 :', { maxNewTokens: 8 })).text).toBe('w4 w4');
    await finetune({ ...options, out: out('adapter2') });
    const hash = (name: string) => hashFile(join(out(name), 'adapter_model.safetensors'));
    expect(await hash('adapter2')).toBe(await hash('adapter'));
  });

  it('takes token rows, counts what it cut and left out, and says so when nothing is left', async () => {
    const rows = [...tinyRows(5), { ids: [5, 6, 7, 8], weights: [0, 0, 0, 1] }];
    const options = { ...settings, model, rows, steps: 1, maxTokens: 3, packing: true } as const;
    const result = await finetune({ ...options, out: out('cut') });
    expect(result.rows).toEqual({ train: 5, heldOut: 0, cut: 5, dropped: 1 });
    const none = finetune({ ...options, rows: rows.slice(5), out: out('none') });
    await expect(none).rejects.toThrow('no row is left of 1; every prompt has 3 tokens or more');
    const frozen = finetune({
      ...options,
      rates: { embed: 0, head: 0, blocks: [{ from: 0, to: 2, factor: 0 }] },
      out: out('none'),
    });
    await expect(frozen).rejects.toThrow('every rate is 0');
  });

  it('removes the state of a finished run', async () => {
    const checkpoint = { folder: out('state'), every: 1 };
    await finetune({ ...settings, model, rows: textRows(16, 1), steps: 2, checkpoint, out: out('short') });
    await expect(readdir(out('state'))).rejects.toThrow('ENOENT');
  });
});

describe('search', () => {
  it('runs the grid from the same weights and finds the best; a run that diverges is a row, not an end', async () => {
    const { runs, best } = await search({
      ...settings,
      model,
      rows: textRows(200, 1),
      heldOut: textRows(40, 2),
      steps: 30,
      learningRates: [1e-4, 1e-2, 30],
      batches: [8, 16],
    });
    expect(runs.map((r) => [r.learning_rate, r.batch])).toEqual([
      [1e-4, 8],
      [1e-4, 16],
      [1e-2, 8],
      [1e-2, 16],
      [30, 8],
      [30, 16],
    ]);
    expect(runs[best].learning_rate).toBe(1e-2);
    expect(runs[0].held_out_loss).toBeGreaterThan(runs[2].held_out_loss!);
    expect(runs[5]).toMatchObject({ diverged: true, held_out_loss: null });
    expect(runs[0].curve.step).toHaveLength(30);
    expect(runs[0].curve.loss[0]).toBeCloseTo(runs[2].curve.loss[0], 6);
  });
});
