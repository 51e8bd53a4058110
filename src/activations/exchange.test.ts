/** @file Captures to files with vLLM's keys and back, and files that are not what they should be. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  Decoder,
  openCheckpoint,
  readSafetensors,
  readTensorFloat32,
  writeSafetensors,
} from '../models/index.ts';
import type { CaptureIndex } from './capture-index.ts';
import { captureActivations, exportActivations, importActivations, writeCapture } from './index.ts';
import { OpenCapture } from './read-capture.ts';

const HOOKS = ['blocks.0.hook_resid_post', 'blocks.2.hook_resid_post'];
const FAMILY = fileURLToPath(new URL('../../test/parity/families/llama', import.meta.url));
const IDENTITY = { model: 'llama', modelHash: 'a', tokenizerHash: 'b' };
const TEXTS = [
  { id: 'a/1 ä', ids: [5, 9, 4, 30, 2, 11] },
  { id: 'b', ids: [7, 8] },
  { id: 'c', ids: [3, 3, 9, 1] },
];

let decoder: Decoder;
let folder: string;
let captured: CaptureIndex;
/** [T,H,D] of every text. */
const hidden: Float32Array[] = [];
beforeAll(async () => {
  decoder = await Decoder.open(await openCheckpoint(FAMILY), { threads: 1 });
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-exchange-'));
  captured = await writeCapture(join(folder, 'ours'), decoder, TEXTS, {
    ...IDENTITY,
    hooks: HOOKS,
    shardRows: 7,
  });
  for await (const text of captureActivations(decoder, TEXTS, { hooks: HOOKS })) hidden.push(text.hidden);
});
afterAll(async () => {
  await decoder[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

let made = 0;
const fresh = (): string => join(folder, `made-${made++}`);
const taken = (from: string, options: Partial<Parameters<typeof importActivations>[3]> = {}) =>
  importActivations(from, fresh(), decoder, { ...IDENTITY, check: 1, ...options });

/** A folder as another tool writes it: nothing in it but the two tensors. */
interface Foreign {
  readonly ids: readonly number[];
  readonly shape: readonly number[];
  readonly data: Float32Array | Uint8Array;
}
async function foreign(files: Readonly<Record<string, Foreign>>): Promise<string> {
  const path = fresh();
  await mkdir(path);
  for (const [name, { ids, shape, data }] of Object.entries(files))
    await writeSafetensors(join(path, `${name}.safetensors`), [
      { name: 'token_ids', dtype: 'I64', shape: [ids.length], data: BigInt64Array.from(ids, BigInt) },
      { name: 'hidden_states', dtype: 'F32', shape, data },
    ]);
  return path;
}
const text = (i: number): { ids: number[]; data: Float32Array; d: number } => ({
  ids: TEXTS[i]!.ids,
  data: hidden[i]!,
  d: decoder.config.dModel,
});
/** Text `i` in vLLM's order. */
const usual = (i: number): Foreign => {
  const { ids, data, d } = text(i);
  return { ids, data, shape: [ids.length, 2, d] };
};
/** Text `i` layer by layer. */
const turned = (i: number): Foreign => {
  const { ids, data, d } = text(i);
  const out = new Float32Array(data.length);
  ids.forEach((_, t) => {
    for (let h = 0; h < 2; h++)
      out.set(data.subarray((t * 2 + h) * d, (t * 2 + h + 1) * d), (h * ids.length + t) * d);
  });
  return { ids, data: out, shape: [2, ids.length, d] };
};

async function stored(path: string): Promise<Float32Array[]> {
  const out: Float32Array[] = [];
  for await (const found of (await OpenCapture.open(path)).texts()) out.push(found.hidden);
  return out;
}

describe('the same texts captured again', () => {
  /** Text `i` with every number of layer `h` times 1 + `by[h]`. */
  const scaled = (i: number, by: readonly [number, number]): Foreign => {
    const { ids, data, d } = text(i);
    const out = data.map((x, k) => x * (1 + (by[Math.floor(k / d) % 2] as number)));
    return { ids, data: out, shape: [ids.length, 2, d] };
  };

  it('tells the noise of whoever captured them, whatever the files are called and whichever comes first, and keeps it', async () => {
    const from = await foreign({ a: usual(0), b: usual(1), c: usual(2) });
    const again = await foreign({ a: scaled(2, [0, 0.25]), b: scaled(0, [0, 0.1]), z: scaled(1, [0, 0.1]) });
    const { index, noise } = await taken(from, { hooks: HOOKS, again, check: 0 });
    const near = (x: number) => expect.closeTo(x, 5);
    expect(noise.again?.layers).toEqual([
      { hook: HOOKS[0], difference: 0, median: 0, max: 0 },
      { hook: HOOKS[1], difference: expect.any(Number), median: near(0.1), max: near(0.25) },
    ]);
    const { difference = 0 } = noise.again?.layers[1] ?? {};
    expect(difference).toBeGreaterThan(0.1);
    expect(difference).toBeLessThan(0.25);
    expect([noise.again?.texts, noise.again?.rows]).toEqual([3, 12]);
    expect(index.noise).toEqual({ again: noise.again });
  });

  it('is refused when it is not the same: another text, another model, the folder itself', async () => {
    const from = await foreign({ a: usual(0), b: usual(1) });
    const lacking = await foreign({ a: usual(0) });
    await expect(taken(from, { hooks: HOOKS, again: lacking })).rejects.toThrow(
      /holds no text with the tokens of b \(7, 8…\); capture the same texts twice/,
    );
    const other = await foreign({ a: scaled(0, [0, 0]), b: scaled(1, [0, 3]) });
    await expect(taken(from, { hooks: HOOKS, again: other })).rejects.toThrow(
      /blocks\.2\.hook_resid_post differs by [\d.]+ of its length from the first capture; these are two models/,
    );
    await expect(taken(from, { hooks: HOOKS, again: `${from}/` })).rejects.toThrow(/is the folder itself/);
  });
});

describe('export and import', () => {
  it('give the capture back, byte by byte', async () => {
    const out = fresh();
    await exportActivations(join(folder, 'ours'), out);
    expect((await readdir(out)).filter((name) => name.endsWith('.safetensors')).sort()).toEqual([
      'a%2F1%20%C3%A4.safetensors',
      'b.safetensors',
      'c.safetensors',
    ]);
    const [states, tokens] = (await readSafetensors(join(out, 'c.safetensors'))).tensors.toSorted((a, b) =>
      a.name < b.name ? -1 : 1,
    );
    expect([states!.shape, [...(await readTensorFloat32(tokens!)).data]]).toEqual([
      [4, 2, decoder.config.dModel],
      TEXTS[2]!.ids,
    ]);
    expect((await readTensorFloat32(states!)).data).toEqual(hidden[2]);
    const again = fresh();
    const { index, noise } = await importActivations(out, again, decoder, {
      ...IDENTITY,
      check: 3,
      shardRows: 7,
    });
    expect(index).toEqual({ ...captured, noise });
    const layers = HOOKS.map((hook) => ({ hook, difference: 0, median: 0, max: 0 }));
    expect(noise).toEqual({ model: { texts: 3, rows: 9, layers }, again: undefined });
  });
});

describe('files of others', () => {
  const hooks = HOOKS;

  it('are read in the order their shapes show, and one that fits both follows the others', async () => {
    for (const make of [usual, turned]) {
      const from = await foreign({ a: make(0), b: make(1), c: make(2) });
      const out = fresh();
      await importActivations(from, out, decoder, { ...IDENTITY, hooks, check: 2 });
      expect(await stored(out)).toEqual(hidden);
    }
    const alone = await foreign({ b: turned(1) });
    await expect(taken(alone, { hooks })).rejects.toThrow(/as many tokens as layers.*--order/);
    const told = fresh();
    await importActivations(alone, told, decoder, { ...IDENTITY, hooks, order: 'layers', check: 1 });
    expect(await stored(told)).toEqual([hidden[1]]);
    await expect(taken(alone, { hooks, order: 'tokens' })).rejects.toThrow(/layer 0 of the files differs/);
    const mixed = await foreign({ a: usual(0), b: usual(1), c: turned(2) });
    await expect(taken(mixed, { hooks })).rejects.toThrow(/--order/);
  });

  it('must name their layers, and truly', async () => {
    const from = await foreign({ a: usual(0) });
    await expect(taken(from)).rejects.toThrow(/do not say which layers.*--blocks/);
    await expect(taken(from, { hooks: hooks.toReversed() })).rejects.toThrow(
      /layer 0 of the files differs by .* at blocks.2.hook_resid_post, by 0.* from blocks.0.hook_resid_post/,
    );
    await expect(
      taken(from, { hooks: ['blocks.0.hook_resid_post', 'blocks.9.hook_resid_post'] }),
    ).rejects.toThrow(/blocks 0…2/);
    const noise = { ...usual(0), data: usual(0).data.map((_x, i) => Math.sin(i * i)) };
    await expect(taken(await foreign({ a: noise }), { hooks })).rejects.toThrow(
      /of its length|another model/,
    );
  });

  const spoilt = (): Uint8Array => {
    const data = hidden[0]!.slice();
    data[17] = Number.NaN;
    return new Uint8Array(data.buffer);
  };
  it.each<[string, () => Foreign, RegExp]>([
    ['NaN', () => ({ ...usual(0), data: spoilt() }), /hidden_states.*NaN|finite/i],
    ['too few rows', () => ({ ...usual(0), ids: [...TEXTS[0]!.ids, 5] }), /prefix caching off/],
    [
      'another width',
      () => ({ ids: [1], shape: [1, 2, 3], data: new Float32Array(6) }),
      /width is .*another model/,
    ],
    [
      'more layers',
      () => ({ ids: [1], shape: [1, 3, 64], data: new Float32Array(192) }),
      /give 3 layers|another model/,
    ],
    [
      'a token of no vocabulary',
      () => ({ ...usual(0), ids: [5, 9, 4, 30, 2, 1e6] }),
      /token_ids\[5\] is 1000000/,
    ],
    ['a negative token', () => ({ ...usual(0), ids: [5, -1, 4, 30, 2, 11] }), /token_ids\[1\] is -1/],
  ])('with %s are refused', async (_what, make, message) => {
    const out = fresh();
    const from = await foreign({ a: make() });
    await expect(importActivations(from, out, decoder, { ...IDENTITY, hooks, check: 0 })).rejects.toThrow(
      message,
    );
    await expect(readdir(out)).rejects.toThrow();
  });

  it('without the tensors, packed, or absent are refused', async () => {
    const path = fresh();
    await expect(taken(path, { hooks })).rejects.toThrow(/cannot read/);
    await mkdir(path);
    await writeFile(join(path, 'a.safetensors.zst'), '');
    await expect(taken(path, { hooks })).rejects.toThrow(/decompress/);
    await writeSafetensors(join(path, 'a.safetensors'), [
      { name: 'token_ids', dtype: 'I64', shape: [1], data: BigInt64Array.of(1n) },
    ]);
    await expect(taken(path, { hooks })).rejects.toThrow(/wanted tensors token_ids and hidden_states/);
    await writeFile(join(path, 'a.safetensors'), 'short');
    await expect(taken(path, { hooks })).rejects.toThrow(/a\.safetensors/);
  });
});
