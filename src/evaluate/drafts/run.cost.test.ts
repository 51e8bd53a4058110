/** @file What verified drafts compute, counted pass by pass: no block before the patched one twice, never more rows than a batch. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Rng } from '../../base/index.ts';
import { captureResiduals } from '../../interventions/index.ts';
import { Decoder, openCheckpoint } from '../../models/index.ts';
import { decodePatched } from './decode.ts';
import { type DraftRow, runDrafted } from './run.ts';

const folder = fileURLToPath(new URL('../../../test/parity/families/llama', import.meta.url));

/** One stretch of blocks that was run. */
interface Pass {
  readonly from: number;
  readonly to: number;
  readonly rows: number;
  readonly tokens: number;
}

let decoder: Decoder;
beforeAll(async () => {
  decoder = await Decoder.open(await openCheckpoint(folder));
});
afterAll(() => decoder[Symbol.asyncDispose]());

/** Every pass of the decoder while `body` runs; the passes themselves are the real ones. */
async function passesOf(body: () => Promise<unknown>): Promise<Pass[]> {
  const run = vi.spyOn(decoder, 'run');
  try {
    await body();
    return run.mock.calls.map(([residual, options]) => ({
      from: options?.from ?? 0,
      to: options?.to ?? decoder.nLayers,
      rows: residual.counts.length,
      tokens: residual.counts.reduce((a, b) => a + b, 0),
    }));
  } finally {
    run.mockRestore();
  }
}

/** Prompts with their own completion as draft; every run puts a row's own activations back, so its draft is its outcome. */
async function selfPatched(n: number) {
  const rng = new Rng(11);
  const prompts = Array.from({ length: n }, (_, i) =>
    Array.from({ length: 6 + (i % 3) }, () => rng.int(decoder.config.vocabSize)),
  );
  const rules = { maxNewTokens: 8, stopTokens: [] };
  const own = await decodePatched(decoder, prompts, [], rules);
  const blocks = Array.from({ length: decoder.nLayers }, (_, b) => b);
  const donors = await captureResiduals(
    decoder,
    prompts.map((ids) => ({ ids, positions: [3] })),
    blocks,
  );
  const rows = prompts.map((ids, i): DraftRow => ({ ids, drafts: [own[i]], from: 3 }));
  const runsOf = (row: number, block: number) => [
    { arm: 'self', positions: [3], values: donors[row][block] },
  ];
  return { rows, blocks, runsOf, rules };
}

describe('what verified drafts compute', () => {
  it('blocks up to the patched one run once for all blocks that are patched; behind it only the suffix and its draft', async () => {
    const { rows, blocks, runsOf, rules } = await selfPatched(5);
    const outcomes: string[] = [];
    const passes = await passesOf(async () => {
      for await (const { outcome } of runDrafted(decoder, { rows, blocks, runsOf }, rules))
        outcomes.push(outcome.how);
    });
    expect(new Set(outcomes)).toEqual(new Set(['draft']));

    const before = rows.reduce((sum, row) => sum + row.from, 0);
    const suffix = rows.reduce((sum, row) => sum + row.ids.length - row.from + rules.maxNewTokens - 1, 0);
    const n = decoder.nLayers;
    // Token × block evaluations of each block: what stands before the patch, the unpatched suffix, and a suffix a patch below it.
    const counted = blocks.map((block) =>
      passes.reduce((sum, p) => (p.from <= block && block < p.to ? sum + p.tokens : sum), 0),
    );
    expect(counted).toEqual(blocks.map((block) => before + suffix * (1 + block)));
    // The unpatched passes come one block after the other, none twice.
    const unpatched = passes.filter((p) => p.tokens === suffix && p.to < n);
    expect(unpatched.map((p) => [p.from, p.to])).toEqual(
      Array.from({ length: n - 1 }, (_, block) => [block, block + 1]),
    );
    // The plain way: every block for every patched block, prompt and new tokens.
    const plain = await passesOf(() =>
      decodePatched(
        decoder,
        rows.map((r) => r.ids),
        rows.map((_, i) => ({ ...runsOf(i, 0)[0], block: 0 })),
        rules,
      ),
    );
    const plainTokens = plain.reduce((sum, p) => sum + p.tokens, 0);
    expect(plainTokens).toBe(before + suffix);
    expect(counted.reduce((a, b) => a + b)).toBeLessThan(plainTokens * n * n);
  });

  it('rows side by side never exceed the batch, however many prompts there are: kept residuals are bounded', async () => {
    const { rows, blocks, runsOf, rules } = await selfPatched(23);
    const passes = await passesOf(async () => {
      for await (const _ of runDrafted(decoder, { rows, blocks, runsOf }, { ...rules, batch: 4 }));
    });
    expect(Math.max(...passes.map((p) => p.rows))).toBe(4);
    const columns = Math.max(...rows.map((r) => r.ids.length)) + rules.maxNewTokens;
    expect(Math.max(...passes.map((p) => p.tokens))).toBeLessThanOrEqual(4 * columns);
  });
});
