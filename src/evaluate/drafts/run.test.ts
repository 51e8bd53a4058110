/** @file Verified drafts end exactly as plain hooked generation does: random small models, every block, `set` and `add`. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import type { Patch } from '../../interventions/index.ts';
import { captureResiduals } from '../../interventions/index.ts';
import { Decoder, openCheckpoint } from '../../models/index.ts';
import { decodePatched } from './decode.ts';
import {
  type Draft,
  type DraftRow,
  draftAcceptance,
  noStats,
  type PatchedOutcome,
  type PatchedRun,
  runDrafted,
} from './run.ts';

const families = fileURLToPath(new URL('../../../test/parity/families/', import.meta.url));

describe.each(['llama', 'gemma3_text', 'qwen3'])('verified drafts on a random %s', (family) => {
  let decoder: Decoder;
  beforeAll(async () => {
    decoder = await Decoder.open(await openCheckpoint(`${families}${family}`));
  });
  afterAll(() => decoder[Symbol.asyncDispose]());

  it('equal hooked generation on every row at every block, stop tokens and limits included', async () => {
    const rng = new Rng(7);
    const vocab = decoder.config.vocabSize;
    const prompts = Array.from({ length: 9 }, (_, i) =>
      Array.from({ length: 5 + (i % 4) * 3 }, () => rng.int(vocab)),
    );
    const free = { maxNewTokens: 12, stopTokens: [] };
    const unstopped = await decodePatched(decoder, prompts, [], free);
    // Stop tokens that really come up, so that rows end at different lengths.
    const rules = { maxNewTokens: 12, stopTokens: [unstopped[0].ids[3], unstopped[1].ids[6]] };
    const own = await decodePatched(decoder, prompts, [], rules);
    const other = own.map((_, i) => own[(i + 1) % own.length] as Draft);
    const from = prompts.map((p) => p.length - 4);
    const rows: DraftRow[] = prompts.map((ids, i) => ({ ids, drafts: [own[i], other[i]], from: from[i] }));
    const blocks = Array.from({ length: decoder.nLayers }, (_, i) => i);
    const donors = await captureResiduals(
      decoder,
      prompts.map((ids, i) => ({ ids, positions: [from[i], from[i] + 2] })),
      blocks,
    );
    const runs = new Map<string, PatchedRun>();
    const runsOf = (row: number, block: number): PatchedRun[] => {
      const positions = [from[row], from[row] + 2];
      const base = donors[row][block];
      return [0, 0.3, 3].map((size, k) => {
        const noise = new Rng(1000 * row + 10 * block + k);
        const step = Float32Array.from(base, (x) => x * size * noise.normal());
        const mode = k === 1 ? 'add' : 'set';
        const values = mode === 'add' ? step : Float32Array.from(base, (x, j) => x + step[j]);
        const run: PatchedRun = { arm: `noise ${k}`, positions, values, mode, draft: k % 2 };
        runs.set(`${row}/${block}/${k}`, run);
        return run;
      });
    };
    const outcomes = new Map<string, PatchedOutcome>();
    const stats = noStats();
    const ended = runDrafted(decoder, { rows, blocks, runsOf }, { ...rules, batch: 7, stats });
    for await (const { row, block, run, outcome } of ended)
      outcomes.set(`${row}/${block}/${run.arm.split(' ')[1]}`, outcome);
    expect(outcomes.size).toBe(9 * decoder.nLayers * 3);
    expect(stats.runs).toBe(outcomes.size);
    expect(stats.accepted + stats.continued + stats.again).toBe(stats.runs);

    const keys = [...outcomes.keys()];
    const place = (key: string) => key.split('/').map(Number) as [number, number, number];
    const plain = await decodePatched(
      decoder,
      keys.map((key) => prompts[place(key)[0]]),
      keys.map((key): Patch => ({ ...runs.get(key)!, block: place(key)[1] })),
      rules,
    );
    let changed = 0;
    let stopped = 0;
    keys.forEach((key, i) => {
      const { ids, finish } = outcomes.get(key)!;
      expect({ key, ids, finish }).toEqual({ key, ids: plain[i].ids, finish: plain[i].finish });
      if (ids.join() !== own[place(key)[0]].ids.join()) changed++;
      if (finish === 'stop') stopped++;
    });
    // The comparison means something: patches changed rows, some rows stopped, both ways of finishing were used.
    expect(changed).toBeGreaterThan(10);
    expect(stopped).toBeGreaterThan(3);
    expect(stats.accepted).toBeGreaterThan(10);
    expect(stats.continued).toBeGreaterThan(3);
    // A run patched with its own activations keeps its completion, by its draft alone.
    expect(draftAcceptance(stats)).toBeGreaterThan(0.2);
    expect(draftAcceptance(stats)).toBeLessThan(1);
    rows.forEach((_, row) => {
      for (const block of blocks) expect(outcomes.get(`${row}/${block}/0`)!.ids).toEqual(own[row].ids);
    });
  });

  it('what a run has come to is a draft from then on: for the same run again, and behind the next block', async () => {
    const rng = new Rng(7);
    const vocab = decoder.config.vocabSize;
    const prompts = Array.from({ length: 4 }, (_, i) => Array.from({ length: 6 + i }, () => rng.int(vocab)));
    const rules = { maxNewTokens: 10, stopTokens: [] };
    const own = await decodePatched(decoder, prompts, [], rules);
    const rows = prompts.map((ids, i): DraftRow => ({ ids, drafts: [own[i]], from: 2 }));
    // More ends a row than are kept, each come to twice in a block: all runs of a wave side by side, the second time last.
    const ends = 6;
    const patchOf = (row: number, k: number): PatchedRun & { readonly k: number } => {
      const noise = new Rng(100 * row + (k % ends));
      const values = Float32Array.from({ length: decoder.config.dModel }, () => 4 * noise.normal());
      return { k, arm: `noise ${k % ends}`, positions: [3], values };
    };
    const blocks = [0, 1, 2];
    const outcomes = new Map<string, PatchedOutcome>();
    const runsOf = (row: number) => Array.from({ length: 2 * ends }, (_, k) => patchOf(row, k));
    const ended = runDrafted(decoder, { rows, blocks, runsOf }, { ...rules, batch: 4 });
    for await (const { row, block, run, outcome } of ended) outcomes.set(`${row}/${block}/${run.k}`, outcome);
    const keys = [...outcomes.keys()];
    const place = (key: string) => key.split('/').map(Number) as [number, number, number];
    const plain = await decodePatched(
      decoder,
      keys.map((key) => prompts[place(key)[0]]),
      keys.map((key): Patch => ({ ...patchOf(place(key)[0], place(key)[2]), block: place(key)[1] })),
      rules,
    );
    let again = 0;
    let learnt = 0;
    keys.forEach((key, i) => {
      const [row, block, k] = place(key);
      const { ids, how } = outcomes.get(key)!;
      expect({ key, ids }).toEqual({ key, ids: plain[i].ids });
      if (how !== 'draft' || ids.join() === own[row].ids.join()) return;
      if (k >= ends) again++;
      else if (block > 0) learnt++;
    });
    expect(again).toBeGreaterThan(10);
    expect(learnt).toBeGreaterThan(0);
  });

  it('a patch that is no number ends in an error that says so', async () => {
    const prompt = [3, 9, 4, 11];
    const rules = { maxNewTokens: 3, stopTokens: [] };
    const drafts = await decodePatched(decoder, [prompt], [], rules);
    const values = new Float32Array(decoder.config.dModel).fill(Number.NaN);
    const ended = runDrafted(
      decoder,
      {
        rows: [{ ids: prompt, drafts, from: 3 }],
        blocks: [0],
        runsOf: () => [{ arm: 'a', positions: [3], values }],
      },
      rules,
    );
    await expect(ended.next()).rejects.toThrow(
      /forward pass: wanted finite activations, got NaN in row 0 after block/,
    );
  });

  it('the probe is the difference of the logits that a plain pass gives', async () => {
    const prompt = [3, 9, 4, 11, 30, 8];
    const rules = { maxNewTokens: 4, stopTokens: [] };
    const [own] = await decodePatched(decoder, [prompt], [], rules);
    const prefix = own.ids.slice(0, 2);
    const block = 1;
    const values = Float32Array.from({ length: decoder.config.dModel }, (_, i) => Math.sin(i));
    const runsOf = (): PatchedRun[] => [
      { arm: 'a', positions: [3], values, probe: { prefix, up: 5, down: 17 } },
    ];
    let probe = Number.NaN;
    const rows = [{ ids: prompt, drafts: [own], from: 2 }];
    for await (const { outcome } of runDrafted(decoder, { rows, blocks: [block], runsOf }, rules))
      probe = outcome.probe!;

    const ids = [...prompt, ...prefix];
    const first = await decoder.run(decoder.embed([ids]), { to: block + 1 });
    const d = decoder.config.dModel;
    first.tensor.data.set(values, 3 * d);
    const last = await decoder.run(first, { from: block + 1 });
    const logits = await decoder.unembed({
      dtype: 'f32',
      shape: [1, d],
      data: last.tensor.data.slice((ids.length - 1) * d, ids.length * d),
    });
    expect(Math.abs(probe - (logits.data[5] - logits.data[17]))).toBeLessThan(1e-4);
  });
});
