/**
 * @file Every family against Hugging Face transformers: logits and every residual, 4 prompts of unequal length in one batch.
 * Goldens: `make_family_goldens.py`. float32 is held to 1e-4 absolute (measured worst ≈ 5e-6; values are O(1)).
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Decoder, HookTable, openCheckpoint, readSafetensors, readTensorFloat32 } from '../../src/models/index.ts';

const root = fileURLToPath(new URL('./families/', import.meta.url));

function worst(got: Float32Array, want: Float32Array, counts: readonly number[], columns: number): number {
  const width = want.length / counts.length / columns;
  let max = 0;
  counts.forEach((n, b) => {
    for (let i = b * columns * width; i < (b * columns + n) * width; i++) max = Math.max(max, Math.abs((got[i] as number) - (want[i] as number)));
  });
  return max;
}

describe.each(readdirSync(root))('family %s equals transformers', (name) => {
  let decoder: Decoder;
  const golden = new Map<string, Float32Array>();
  const ids: number[][] = [];
  const columns = 13;

  beforeAll(async () => {
    decoder = await Decoder.open(await openCheckpoint(`${root}${name}`));
    for (const t of (await readSafetensors(`${root}${name}/golden.safetensors`)).tensors) golden.set(t.name, (await readTensorFloat32(t)).data);
    const flat = golden.get('ids')!;
    const mask = golden.get('mask')!;
    for (let b = 0; b < 4; b++) {
      ids.push(Array.from(flat.slice(b * columns, (b + 1) * columns)).filter((_, t) => mask[b * columns + t] === 1));
    }
  });
  afterAll(() => decoder[Symbol.asyncDispose]());

  it('residuals, final norm and logits, run whole and in pieces', async () => {
    const want = (key: string) => golden.get(`f32.${key}`) ?? golden.get(`f64.${key}`)!;
    for (const inside of [false, true]) {
      const seen = new Map<string, Float32Array>();
      const names = ['hook_embed'];
      for (let i = 0; i < decoder.nLayers; i++) {
        names.push(`blocks.${i}.hook_resid_post`);
        if (inside) names.push(`blocks.${i}.hook_resid_mid`);
      }
      const hooks = new HookTable(names.map((n) => [n, (a) => void seen.set(n, a.data.slice())] as const), decoder.nLayers);
      const out = await decoder.run(decoder.embed(ids, { hooks }), { hooks });
      const counts = ids.map((r) => r.length);
      expect(worst(seen.get('hook_embed')!, want('embed'), counts, columns)).toBeLessThan(1e-6);
      for (let i = 0; i < decoder.nLayers; i++) {
        expect(worst(seen.get(`blocks.${i}.hook_resid_post`)!, want(`resid_post.${i}`), counts, columns), `block ${i}`).toBeLessThan(1e-4);
        if (inside) expect(worst(seen.get(`blocks.${i}.hook_resid_mid`)!, want(`resid_mid.${i}`), counts, columns)).toBeLessThan(1e-4);
      }
      const rows = { dtype: 'f32' as const, shape: [4 * columns, decoder.config.dModel], data: out.tensor.data };
      expect(worst((await decoder.unembed(rows)).data, want('logits'), counts, columns)).toBeLessThan(1e-4);
    }
  });
});
