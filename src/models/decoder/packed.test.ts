/**
 * @file A decoder on packed weights computes what the same file dequantised computes, to float32 rounding. The two files were written by
 * gguf-py (test/parity/gguf/make.py) and hold Q8_0, F16, Q4_0 and BF16 (llama), and Q5_1, Q4_1 and Q5_0 (gemma3, tied head).
 */
import { cp, mkdtemp, open, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  type Checkpoint,
  fileSource,
  inspectCheckpoint,
  openCheckpoint,
  readGguf,
} from '../checkpoint/index.ts';
import { HookTable } from '../hooks.ts';
import { Decoder } from './decoder.ts';
import type { Residual } from './pass.ts';

const golden = join(import.meta.dirname, '../../../test/parity/gguf');
const IDS = [
  [1, 12, 30, 5, 5, 39],
  [1, 7, 22],
];
let cacheDir: string;
beforeAll(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'packed-'));
});
afterAll(() => rm(cacheDir, { recursive: true }));

const opened = (name: string, weights: 'f32' | 'packed'): Promise<Checkpoint> =>
  openCheckpoint(join(golden, name), { cacheDir, weights });

/** Largest difference over the largest number, of the real columns. */
function apart(a: Residual, b: Residual): number {
  const [, columns, d] = a.tensor.shape as [number, number, number];
  let [most, largest] = [0, 0];
  a.counts.forEach((count, row) => {
    for (let i = row * columns * d; i < (row * columns + count) * d; i++) {
      most = Math.max(most, Math.abs((a.tensor.data[i] as number) - (b.tensor.data[i] as number)));
      largest = Math.max(largest, Math.abs(a.tensor.data[i] as number));
    }
  });
  return most / largest;
}

describe.each(['tiny-llama.gguf', 'tiny-gemma3.gguf'])('%s', (name) => {
  let [plain, packed] = [undefined, undefined] as unknown as [Decoder, Decoder];
  beforeAll(async () => {
    plain = await Decoder.open(await opened(name, 'f32'), { threads: 1 });
    packed = await Decoder.open(await opened(name, 'packed'), { threads: 1 });
  });
  afterAll(async () => {
    await plain[Symbol.asyncDispose]();
    await packed[Symbol.asyncDispose]();
  });

  test('embeddings are equal to the bit, residuals and logits to rounding', async () => {
    const [a, b] = [plain.embed(IDS), packed.embed(IDS)];
    expect(b.tensor.data).toEqual(a.tensor.data);
    let [x, y] = [a, b];
    for (let i = 0; i < plain.nLayers; i++) {
      [x, y] = [await plain.run(x, { from: i, to: i + 1 }), await packed.run(y, { from: i, to: i + 1 })];
      expect(apart(x, y), `block ${i}`).toBeLessThan(1e-5);
    }
    const d = plain.config.dModel;
    const rows = (r: Residual) => ({ ...r.tensor, shape: [r.tensor.data.length / d, d] });
    const [p, q] = [await plain.unembed(rows(x)), await packed.unembed(rows(y))];
    const largest = p.data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const worst = p.data.reduce((most, v, i) => Math.max(most, Math.abs(v - (q.data[i] as number))), 0);
    expect(worst / largest).toBeLessThan(1e-5);
    expect(worst, 'other arithmetic was done').toBeGreaterThan(0);
  });

  test('hooks inside a block see and change the same', async () => {
    const run = async (decoder: Decoder): Promise<{ seen: Float32Array; out: Residual }> => {
      let seen = new Float32Array(0);
      const hooks = new HookTable(
        [
          [
            'blocks.1.hook_mlp_out',
            (activation) => {
              seen = activation.data.slice();
              activation.data.fill(0.5);
            },
          ],
        ],
        decoder.nLayers,
      );
      return { out: await decoder.run(decoder.embed(IDS, { hooks }), { hooks }), seen };
    };
    const [a, b] = [await run(plain), await run(packed)];
    expect(a.seen.length).toBeGreaterThan(0);
    const as = (data: Float32Array, { out }: { out: Residual }): Residual => ({
      ...out,
      tensor: { ...out.tensor, data },
    });
    expect(apart(as(a.seen, a), as(b.seen, b))).toBeLessThan(1e-5);
    expect(apart(a.out, b.out)).toBeLessThan(1e-5);
  });
});

describe('the cache of packed weights', () => {
  test('holds the matrices packed, and nothing as float32 that was quantised', async () => {
    const { packed, tensors, folder, stored } = await opened('tiny-llama.gguf', 'packed');
    const quantised = [...stored].filter(([, { type }]) => type.startsWith('Q')).map(([name]) => name);
    // the embedding is not the head: its rows are read from the GGUF
    const wanted = quantised.filter((name) => name !== 'model.embed_tokens.weight');
    expect([...(packed?.matrices.keys() ?? [])].sort()).toEqual(wanted.sort());
    for (const name of wanted) expect(tensors.has(name)).toBe(false);
    expect(tensors.get('model.layers.1.mlp.up_proj.weight')?.dtype).toBe('F16');
    expect((await readdir(folder)).sort()).toEqual(['.crosspatch.json', 'config.json', 'weights.bin']);
    const { byteLength } = packed?.matrices.get('model.layers.2.mlp.up_proj.weight')?.planes[0]?.codes ?? {};
    expect(byteLength).toBe((32 * 32) / 2);
  });

  test('one tensor is read as gguf-py has it, whatever is held', async () => {
    const [a, b] = [await opened('tiny-llama.gguf', 'f32'), await opened('tiny-llama.gguf', 'packed')];
    for (const name of [
      'model.embed_tokens.weight',
      'model.layers.0.self_attn.q_proj.weight',
      'model.norm.weight',
    ])
      expect(await b.readTensor(name)).toEqual(await a.readTensor(name));
    await expect(b.readTensor('x')).rejects.toThrow(/none of that name among \d+/);
    expect(await b.contentHash()).toBe(await a.contentHash());
  });

  test('a split file is packed as the whole one is', async () => {
    const whole = await opened('tiny-llama.gguf', 'packed');
    const parts = await opened('split', 'packed');
    const model = async (checkpoint: Checkpoint): Promise<number[]> => {
      await using decoder = await Decoder.open(checkpoint, { threads: 1 });
      return Array.from((await decoder.run(decoder.embed(IDS))).tensor.data.subarray(0, 96));
    };
    expect(await model(parts)).toEqual(await model(whole));
  });

  test('is made once, and again after a bit flipped', async () => {
    const own = join(cacheDir, 'own');
    const path = join(own, 'model.gguf');
    await cp(join(golden, 'tiny-llama.gguf'), path);
    const events: string[] = [];
    const openAgain = (): Promise<Checkpoint> =>
      openCheckpoint(path, {
        cacheDir: own,
        weights: 'packed',
        onProgress: (e) => void events.push(e.stage),
      });
    const { folder } = await openAgain();
    const made = events.length;
    expect(new Set(events)).toEqual(new Set(['checkpoint.pack']));
    await openAgain();
    expect(events.length).toBe(made);
    const file = join(folder, 'weights.bin');
    const before = await readFile(file);
    const handle = await open(file, 'r+');
    await handle.write(Uint8Array.of(before[100]! ^ 1), 0, 1, 100);
    await handle.close();
    await utimes(file, 1, 1);
    await openAgain();
    expect(events.length).toBe(2 * made);
    expect(await readFile(file)).toEqual(before);
  });

  test('a scale that is not a number is refused by name', async () => {
    const own = join(cacheDir, 'nan');
    const path = join(own, 'model.gguf');
    await cp(join(golden, 'tiny-llama.gguf'), path);
    const source = fileSource(path);
    const { offset } = readGguf(source, path).tensors.get('blk.2.ffn_up.weight')!;
    source[Symbol.dispose]();
    const handle = await open(path, 'r+');
    await handle.write(Uint8Array.of(0, 0x7c), 0, 2, offset); // d of the first block: infinity
    await handle.close();
    const spoilt = openCheckpoint(path, { cacheDir: own, weights: 'packed' });
    await expect(spoilt).rejects.toThrow(/"blk.2.ffn_up.weight": wanted finite weights/);
    expect(await readdir(join(own, 'gguf'))).toEqual([]);
  });
});

test('headers alone say what is stored, and write nothing', async () => {
  const empty = join(cacheDir, 'empty');
  vi.stubEnv('CROSSPATCH_CACHE', empty);
  try {
    const { kind, stored, config } = await inspectCheckpoint(join(golden, 'tiny-llama.gguf'));
    expect(kind).toBe('gguf');
    expect(config.model_type).toBe('llama');
    expect(stored.get('model.layers.0.mlp.up_proj.weight')).toEqual({ type: 'Q8_0', shape: [32, 32] });
    await expect(stat(empty)).rejects.toThrow('ENOENT');
  } finally {
    vi.unstubAllEnvs();
  }
});
