import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { InputError } from '../../base/index.ts';
import { CheckpointError } from './errors.ts';
import { safetensorsBytes } from './fuzz.helper.ts';
import { openCheckpoint } from './open.ts';
import { readSafetensors, readTensorFloat32, tensorPieces } from './safetensors-file.ts';
import { headerLength, parseSafetensorsHeader } from './safetensors-header.ts';
import { type TensorToWrite, writeSafetensors } from './safetensors-write.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safetensors-'));
});
afterEach(() => rm(folder, { recursive: true }));

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const f32 = (name: string, values: number[]): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape: [values.length],
  data: Float32Array.from(values),
});

describe('header', () => {
  const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = 'F32'): string =>
    JSON.stringify({ dtype, shape, data_offsets: [begin, end] });
  const parse = (json: string, dataBytes: number): unknown =>
    parseSafetensorsHeader(encode(json), 8 + encode(json).length + dataBytes, 'x');

  test('tensors come in the order of their bytes, offsets from the start of the file', () => {
    const json = `{"b":${entry(4, 12)},"a":${entry(0, 4, [1])},"__metadata__":{"k":"v"}}  `;
    expect(parse(json, 12)).toEqual({
      metadata: { k: 'v' },
      tensors: [
        { name: 'a', dtype: 'F32', shape: [1], offset: 8 + json.length, byteLength: 4 },
        { name: 'b', dtype: 'F32', shape: [2], offset: 8 + json.length + 4, byteLength: 8 },
      ],
    });
  });

  test.each([
    [
      'truncated data',
      `{"a":${entry(0, 8)}}`,
      4,
      /wanted \d+ bytes, where the last tensor ends, got .*truncated/,
    ],
    ['bytes nobody owns', `{"a":${entry(0, 8)}}`, 12, /no tensor owns/],
    [
      'overlap',
      `{"a":${entry(0, 8)},"b":${entry(4, 12)}}`,
      12,
      /"b".*begin at byte 8.*got 4 \(tensors overlap\)/,
    ],
    ['a hole', `{"a":${entry(0, 8)},"b":${entry(12, 16)}}`, 16, /got 12 \(a hole\)/],
    ['the same bytes twice', `{"a":${entry(0, 8)},"b":${entry(0, 8)}}`, 8, /overlap/],
    ['a repeated tensor', `{"a":${entry(0, 4)},"\\u0061":${entry(4, 8)}}`, 8, /"a" twice/],
    [
      'a repeated field',
      '{"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}}',
      4,
      /"dtype" twice/,
    ],
    ['shape and bytes that disagree', `{"a":${entry(0, 8, [3])}}`, 8, /wanted 12 bytes for F32 \[3\]/],
    ['a product that overflows', `{"a":${entry(0, 0, [2 ** 40, 2 ** 40])}}`, 0, /below 2\^53/],
    ['a negative dimension', `{"a":${entry(0, 8, [-2])}}`, 8, /shape of whole numbers/],
    ['a fraction', `{"a":${entry(0, 8, [0.5])}}`, 8, /shape of whole numbers/],
    ['backward offsets', `{"a":${entry(8, 0)}}`, 8, /wanted|shape/],
    ['an unknown dtype', `{"a":${entry(0, 8, [8], 'F8_E4M3')}}`, 8, /got "F8_E4M3"; take a checkpoint in/],
    ['an unknown field', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', 4, /got "x"/],
    ['metadata that is no text', '{"__metadata__":{"a":1}}', 0, /strings to strings/],
    ['no object', '[]', 0, /begins with \{/],
    ['broken JSON', '{"a":', 0, /does not parse/],
  ])('refuses %s', (_, json, dataBytes, message) => {
    expect(() => parse(json, dataBytes)).toThrow(InputError);
    expect(() => parse(json, dataBytes)).toThrow(message);
  });

  test('refuses broken UTF-8', () => {
    const json = Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d);
    expect(() => parseSafetensorsHeader(json, 15, 'x')).toThrow(/wanted UTF-8 text, got the byte 0xff/);
  });

  test('refuses a length beyond the file or beyond the limit, before allocating it', () => {
    const length = (n: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(n).buffer);
    expect(headerLength(length(92n), 100, 'x')).toBe(92);
    expect(() => headerLength(length(93n), 100, 'x')).toThrow(/truncated/);
    expect(() => headerLength(length(100_000_001n), 1e12, 'x')).toThrow(/at most 100000000 bytes/);
    expect(() => headerLength(length(2n ** 64n - 1n), 1e12, 'x')).toThrow(CheckpointError);
    expect(() => headerLength(new Uint8Array(3), 3, 'x')).toThrow(/got 3 bytes/);
  });
});

describe('writer', () => {
  test('what is written is read back, whatever the dtype, whole or in pieces', async () => {
    const path = join(folder, 'sub', 'x.safetensors');
    const values = Float32Array.from([1, -2.5, 2 ** -24, 65504, 0.1, -0]);
    await writeSafetensors(
      path,
      [
        { name: 'half', dtype: 'F16', shape: [2, 3], data: values },
        { name: 'brain', dtype: 'BF16', shape: [6], data: values },
        { name: 'ids', dtype: 'I64', shape: [2], data: BigInt64Array.of(5n, -6n) },
        { name: 'small', dtype: 'I32', shape: [1], data: Int32Array.of(7) },
        { name: 'empty', dtype: 'F32', shape: [0, 4], data: new Float32Array(0) },
        {
          name: 'pieces',
          dtype: 'F32',
          shape: [6],
          data: async function* () {
            yield values.subarray(0, 2);
            yield values.subarray(2);
          },
        },
      ],
      { b: '2', a: '1' },
    );
    const file = await readSafetensors(path);
    expect(file.metadata).toEqual({ a: '1', b: '2' });
    // by falling element size, then name
    expect(file.tensors.map((t) => t.name)).toEqual(['ids', 'empty', 'pieces', 'small', 'brain', 'half']);
    expect(file.tensors[0].offset % 8).toBe(0);
    const read = Object.fromEntries(
      await Promise.all(
        file.tensors.map(async (t) => [t.name, [...(await readTensorFloat32(t)).data]] as const),
      ),
    );
    expect(read).toEqual({
      half: [1, -2.5, 2 ** -24, 65504, 0.0999755859375, -0],
      brain: [1, -2.5, 2 ** -24, 65536, 0.10009765625, -0],
      ids: [5, -6],
      small: [7],
      empty: [],
      pieces: [...values],
    });
    const lengths: number[] = [];
    for await (const piece of tensorPieces(file.tensors[2], 16)) lengths.push(piece.length);
    expect(lengths).toEqual([16, 8]);
  });

  test('the order given does not matter: same content, same bytes', async () => {
    const [a, b] = [f32('a', [1]), f32('b', [2, 3])];
    await writeSafetensors(join(folder, '1'), [a, b]);
    await writeSafetensors(join(folder, '2'), [b, a]);
    expect(await readFile(join(folder, '1'))).toEqual(await readFile(join(folder, '2')));
  });

  test.each([
    ['a failing source', { ...f32('a', [1, 2]), data: failing }, /gone/],
    [
      'too little data',
      { ...f32('a', [1, 2]), data: new Float32Array(1) },
      /wanted 8 bytes for F32 \[2\], got 4/,
    ],
    ['too much data', { ...f32('a', [1, 2]), data: new Float32Array(3) }, /got 12/],
    ['values of another kind', { ...f32('a', [1, 2]), data: new Int32Array(2) }, /got Int32Array/],
  ])('%s leaves the old file and nothing else', async (_, tensor, message) => {
    const path = join(folder, 'x.safetensors');
    await writeFile(path, 'old');
    await expect(writeSafetensors(path, [f32('0', [1]), tensor])).rejects.toThrow(message);
    expect(await readdir(folder)).toEqual(['x.safetensors']);
    expect(await readFile(path, 'utf8')).toBe('old');
  });

  test('refuses a repeated name', async () => {
    await expect(writeSafetensors(join(folder, 'x'), [f32('a', [1]), f32('a', [2])])).rejects.toThrow(
      /"a" twice/,
    );
  });
});

async function* failing(): AsyncGenerator<Float32Array> {
  yield Float32Array.of(1);
  throw new Error('gone');
}

describe('folders', () => {
  const index = (map: unknown): string => JSON.stringify({ metadata: {}, weight_map: map });
  async function shards(at: string, files: Record<string, TensorToWrite[]>): Promise<void> {
    for (const [name, tensors] of Object.entries(files)) await writeSafetensors(join(at, name), tensors);
    const map = Object.entries(files).flatMap(([file, tensors]) => tensors.map((t) => [t.name, file]));
    await writeFile(join(at, 'model.safetensors.index.json'), index(Object.fromEntries(map)));
    await writeFile(join(at, 'config.json'), '{"model_type":"llama"}');
  }
  const two = { '1.safetensors': [f32('a', [1])], '2.safetensors': [f32('b', [2]), f32('c', [3])] };

  test('a checkpoint written by the Python library opens', async () => {
    const golden = join(import.meta.dirname, '../../../test/parity/families/llama');
    const checkpoint = await openCheckpoint(golden);
    expect(checkpoint.kind).toBe('hf');
    expect(checkpoint.config.model_type).toBe('llama');
    const info = checkpoint.tensors.get('model.embed_tokens.weight')!;
    expect(info.shape).toEqual([checkpoint.config.vocab_size, checkpoint.config.hidden_size]);
    const { data } = await checkpoint.readTensor('model.embed_tokens.weight');
    expect(data.some((v) => v !== 0) && data.every(Number.isFinite)).toBe(true);
  });

  test('sharded: all tensors, one folder, names checked', async () => {
    await shards(folder, two);
    const checkpoint = await openCheckpoint(folder);
    expect([...checkpoint.tensors.keys()].sort()).toEqual(['a', 'b', 'c']);
    expect((await checkpoint.readTensor('c')).data).toEqual(Float32Array.of(3));
    await expect(checkpoint.readTensor('d')).rejects.toThrow(/a tensor "d"/);
  });

  test('a hub cache (symlinks to blobs) is used in place: folder and files are the real ones', async () => {
    const blobs = join(folder, 'blobs');
    const snapshot = join(folder, 'snapshots', 'main');
    await shards(blobs, two);
    await mkdir(snapshot, { recursive: true });
    for (const name of await readdir(blobs)) await symlink(`../../blobs/${name}`, join(snapshot, name));
    const checkpoint = await openCheckpoint(snapshot, { cacheDir: join(folder, 'cache') });
    expect(checkpoint.folder).toBe(blobs);
    for (const t of checkpoint.tensors.values()) expect(dirname(t.file)).toBe(blobs);
    expect(await readdir(folder)).not.toContain('cache');
  });

  test('shards in different real folders are linked into one', async () => {
    const model = join(folder, 'model');
    await shards(model, two);
    await mkdir(join(folder, 'elsewhere'));
    await link(join(model, '2.safetensors'), join(folder, 'elsewhere', 'real.safetensors'));
    await rm(join(model, '2.safetensors'));
    await symlink('../elsewhere/real.safetensors', join(model, '2.safetensors'));
    for (const round of [1, 2]) {
      const checkpoint = await openCheckpoint(model, { cacheDir: join(folder, 'cache') });
      expect(checkpoint.folder, `round ${round}`).toContain(join('cache', 'flat'));
      for (const t of checkpoint.tensors.values()) {
        expect(dirname(t.file)).toBe(checkpoint.folder);
        expect((await stat(t.file)).nlink).toBeGreaterThan(1); // no copy
      }
      expect((await checkpoint.readTensor('b')).data).toEqual(Float32Array.of(2));
    }
  });

  test.each([
    ['a shard that is missing', { a: '1.safetensors', b: '3.safetensors' }, /3\.safetensors.*got nothing/],
    ['a path out of the folder', { a: '../1.safetensors' }, /names of \.safetensors files/],
    ['a map that is none', [], /a map of tensors to files/],
  ])('refuses an index with %s', async (_, map, message) => {
    await shards(folder, two);
    await writeFile(join(folder, 'model.safetensors.index.json'), index(map));
    await expect(openCheckpoint(folder)).rejects.toThrow(message);
  });

  test('refuses a file that is a hole, and a large header of no tensors', async () => {
    const path = join(folder, 'model.safetensors');
    const header = encode(
      JSON.stringify({ a: { dtype: 'F32', shape: [2 ** 38], data_offsets: [0, 2 ** 40] } }),
    );
    await writeFile(path, safetensorsBytes(header, new Uint8Array(0)));
    await truncate(path, 8 + header.length + 2 ** 40);
    await expect(readSafetensors(path)).rejects.toThrow(/a sparse file/);
    const objects = encode(`{"a":[${'{},'.repeat(600_000)}{}]}`);
    expect(() => parseSafetensorsHeader(objects, 8 + objects.length, 'x')).toThrow(
      /600003 objects and arrays/,
    );
  });

  test('refuses a tensor in two shards, a truncated file, pickles, and what is no model', async () => {
    await shards(folder, { ...two, '3.safetensors': [f32('a', [9])] });
    const map = { a: '1.safetensors', b: '2.safetensors', c: '2.safetensors' };
    await writeFile(join(folder, 'model.safetensors.index.json'), index({ ...map, z: '3.safetensors' }));
    await expect(openCheckpoint(folder)).rejects.toThrow(/"a" in two/);

    await writeFile(
      join(folder, 'model.safetensors'),
      safetensorsBytes(encode('{"a":1}'), new Uint8Array(0)),
    );
    await expect(openCheckpoint(folder)).rejects.toThrow(/"a".*wanted \{dtype/);
    await expect(openCheckpoint(join(folder, 'model.safetensors'))).rejects.toThrow(/give the folder/);
    await expect(openCheckpoint(join(folder, 'nowhere'))).rejects.toThrow(/nothing there; check the path/);

    const other = join(folder, 'other');
    await mkdir(other);
    await expect(openCheckpoint(other)).rejects.toThrow(/wanted config\.json/);
    await writeFile(join(other, 'config.json'), '{}');
    await writeFile(join(other, 'pytorch_model.bin'), '');
    await expect(openCheckpoint(other)).rejects.toThrow(/convert the pickled weights/);
    await writeFile(join(other, 'config.json'), '{"a":1,"a":2}');
    await expect(openCheckpoint(other)).rejects.toThrow(/"a" twice/);
  });

  test('the content hash follows weights, config and tokenizer, not the place', async () => {
    const copy = async (name: string, change?: () => Promise<void>): Promise<string> => {
      const at = join(folder, name);
      await shards(at, two);
      await writeFile(join(at, 'tokenizer.json'), '{}');
      await writeFile(join(at, 'README.md'), name);
      await change?.();
      return (await openCheckpoint(at)).contentHash();
    };
    const first = await copy('one');
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(await copy('two')).toBe(first);
    const changed = [
      await copy('three', () => writeFile(join(folder, 'three', 'tokenizer.json'), '{ }')),
      await copy('four', () => writeFile(join(folder, 'four', 'config.json'), '{"model_type":"qwen2"}')),
      await copy('five', () => writeSafetensors(join(folder, 'five', '1.safetensors'), [f32('a', [1.5])])),
    ];
    expect(new Set([first, ...changed]).size).toBe(4);
  });
});
