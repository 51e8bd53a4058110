import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ProgressEvent } from '../../../base/index.ts';
import { convertToHf } from '../convert.ts';
import { CheckpointError } from '../errors.ts';
import { openCheckpoint } from '../open.ts';
import { readSafetensors } from '../safetensors-file.ts';
import type { Checkpoint } from '../types.ts';
import { ggufConfig } from './config.ts';
import { shortestFloat32 } from './keys.ts';
import { readGguf } from './read.ts';
import { llama3Factors, matchLlama3 } from './rope-scaling.ts';
import { memorySource } from './source.ts';
import { planTensors } from './tensors.ts';
import { type GgufParts, ggufBytes } from './write.helper.ts';

const golden = join(import.meta.dirname, '../../../../test/parity/gguf/tiny-llama.gguf');
let folder: string;
let cacheDir: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gguf-'));
  cacheDir = join(folder, 'cache');
});
afterEach(() => rm(folder, { recursive: true }));

/** Header, config and plan of a GGUF in memory. */
function translate(bytes: Uint8Array) {
  const source = memorySource(bytes);
  const gguf = readGguf(source, 'x');
  const config = ggufConfig(gguf, source, 'x');
  return { gguf, config, plan: planTensors(gguf, config, 'x') };
}

const SIZES: GgufParts['metadata'] = {
  block_count: ['u32', 1],
  context_length: ['u32', 64],
  embedding_length: ['u32', 8],
  feed_forward_length: ['u32', 8],
  'attention.head_count': ['u32', 2],
  'attention.layer_norm_rms_epsilon': ['f32', 1e-6],
};

/** The smallest model of an architecture, with keys and tensors added or replaced (`undefined` removes a key). */
function tiny(
  architecture: string,
  keys: GgufParts['metadata'] = {},
  tensors: GgufParts['tensors'] = {},
): Uint8Array {
  const all = Object.entries({ ...SIZES, ...keys }).map(([k, v]) => [
    k.includes('|') ? k.slice(1) : `${architecture}.${k}`,
    v,
  ]);
  return ggufBytes({
    metadata: { 'general.architecture': ['string', architecture], ...Object.fromEntries(all) },
    tensors: { 'token_embd.weight': [0, [8, 16]], ...tensors },
  });
}

describe('container', () => {
  test('every metadata type is read', () => {
    const bytes = ggufBytes({
      metadata: {
        a: ['u8', 200],
        b: ['i8', -3],
        c: ['u16', 60_000],
        d: ['i16', -4],
        e: ['u32', 4e9],
        f: ['i32', -5],
        g: ['f32', 0.5],
        h: ['bool', true],
        i: ['string', 'Grüße'],
        j: ['u64', 2n ** 64n - 1n],
        k: ['i64', -6n],
        l: ['f64', 0.1],
        m: ['string[]', ['x', '', 'é']],
        n: ['f32[]', [0.5, -1]],
        o: ['i32[]', [1, -1]],
        p: ['bool[]', [true, false]],
      },
      tensors: {},
    });
    expect([...readGguf(memorySource(bytes), 'x').metadata.values()]).toEqual([
      ...[200, -3, 60_000, -4, 4e9, -5, 0.5, true, 'Grüße', 2n ** 64n - 1n, -6, 0.1, ['x', '', 'é']],
      ...[Float32Array.of(0.5, -1), Int32Array.of(1, -1), Uint8Array.of(1, 0)],
    ]);
  });

  test.each([
    ['another magic', (b: DataView) => b.setUint32(0, 1, true), /magic bytes GGUF/],
    ['version 1', (b: DataView) => b.setUint32(4, 1, true), /got version 1/],
    ['a big-endian file', (b: DataView) => b.setUint32(4, 3, false), /big-endian/],
    [
      'a count of tensors beyond the file',
      (b: DataView) => b.setBigUint64(8, 2n ** 60n, true),
      /tensors in the/,
    ],
    [
      'a count of keys beyond the file',
      (b: DataView) => b.setBigUint64(16, 2n ** 63n, true),
      /metadata entries/,
    ],
    ['a key longer than the file', (b: DataView) => b.setBigUint64(24, 2n ** 40n, true), /bytes of text/],
  ])('refuses %s', (_, damage, message) => {
    const bytes = tiny('llama');
    damage(new DataView(bytes.buffer));
    expect(() => readGguf(memorySource(bytes), 'x')).toThrow(CheckpointError);
    expect(() => readGguf(memorySource(bytes), 'x')).toThrow(message);
  });

  test.each([
    ['data beyond the end', { a: [0, [8, 16], 4096] }, /truncated/],
    ['overlapping tensors', { a: [0, [8, 16], 0], b: [0, [8, 16], 480] }, /"b".*tensors overlap/],
    ['an unaligned tensor', { a: [0, [8, 16], 4] }, /an offset that 32 divides/],
    ['an unknown type', { a: [99, [8, 16]] }, /got type 99/],
    ['a broken row', { a: [8, [33, 1]] }, /multiple of 32 for Q8_0/],
    ['an empty dimension', { a: [0, [8, 0]] }, /positive dimensions/],
    ['a size that overflows', { a: [0, [2 ** 31, 2 ** 31, 2 ** 31]] }, /positive dimensions/],
    ['five dimensions', { a: [0, [1, 1, 1, 1, 1]] }, /1 to 4 dimensions/],
  ] as [string, GgufParts['tensors'], RegExp][])('refuses %s', (_, tensors, message) => {
    const bytes = ggufBytes({ metadata: {}, tensors });
    expect(() => readGguf(memorySource(bytes), 'x')).toThrow(CheckpointError);
    expect(() => readGguf(memorySource(bytes), 'x')).toThrow(message);
  });
});

describe('translation', () => {
  test.each([
    ['an unknown architecture', tiny('mamba'), /architecture: wanted llama, .*got "mamba"/],
    [
      'a key that is not understood',
      tiny('llama', { 'attention.magic': ['u32', 1] }),
      /llama\.attention\.magic/,
    ],
    ['experts', tiny('llama', { expert_count: ['u32', 8] }), /expert_count: wanted 0, got 8/],
    [
      'a soft-cap where there is none',
      tiny('llama', { final_logit_softcapping: ['f32', 30] }),
      /softcapping/,
    ],
    ['yarn', tiny('llama', { 'rope.scaling.type': ['string', 'yarn'] }), /wanted none or linear, got "yarn"/],
    ['partial rotary', tiny('llama', { 'rope.dimension_count': ['u32', 2] }), /wanted 4, the head size/],
    ['values of another size', tiny('qwen3', { 'attention.value_length': ['u32', 8] }), /value_length/],
    ['a missing size', tiny('llama', { 'attention.head_count': ['string', 'two'] }), /head_count: wanted/],
    ['layers nobody has', tiny('llama', { block_count: ['u32', 4e9] }), /block_count/],
    [
      'heads that differ by layer',
      tiny('llama', { 'attention.head_count_kv': ['i32[]', [1, 2]] }),
      /for all layers/,
    ],
    [
      'a quantisation we cannot read',
      tiny('llama', {}, { 'output.weight': [20, [32, 2]] }),
      /Q4_K.*got IQ4_NL/,
    ],
    ['an unknown tensor', tiny('llama', {}, { 'blk.0.ssm_in.weight': [0, [8]] }), /"blk\.0\.ssm_in\.weight"/],
    ['a tensor of a layer too many', tiny('llama', {}, { 'blk.1.attn_norm.weight': [0, [8]] }), /blk\.1/],
    ['half a set of biases', tiny('llama', {}, { 'blk.0.attn_q.bias': [0, [8]] }), /biases on all of/],
    ['heads that do not fit', tiny('llama', {}, { 'blk.0.attn_k.weight': [0, [8, 6]] }), /whole heads of 4/],
    ['odd rope factors', tiny('llama', {}, { 'rope_freqs.weight': [0, [2]] }), /llama3 formula/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => translate(bytes)).toThrow(CheckpointError);
    expect(() => translate(bytes)).toThrow(message);
  });

  test('keys of each family arrive by their Hugging Face names', () => {
    const linear = { 'rope.scaling.type': ['string', 'linear'], 'rope.scaling.factor': ['f32', 4] } as const;
    expect(translate(tiny('llama', linear)).config).toMatchObject({
      rms_norm_eps: 1e-6,
      rope_scaling: { rope_type: 'linear', factor: 4 },
      tie_word_embeddings: true,
      num_key_value_heads: 2,
    });
    expect(translate(tiny('llama', { 'attention.sliding_window': ['u32', 32] })).config).toMatchObject({
      model_type: 'mistral',
      architectures: ['MistralForCausalLM'],
      sliding_window: 32,
    });
    expect(translate(tiny('qwen2', {}, { 'output.weight': [0, [8, 16]] })).config).toMatchObject({
      model_type: 'qwen2',
      tie_word_embeddings: false,
    });
    expect(translate(tiny('gemma2', { 'attention.sliding_window': ['u32', 32] })).config).toMatchObject({
      model_type: 'gemma2',
      attn_logit_softcapping: 50,
      final_logit_softcapping: 30,
      query_pre_attn_scalar: 4,
      sliding_window: 32,
      layer_types: ['sliding_attention'],
    });
  });

  test('tokens that end a turn are all listed', () => {
    const id = (name: string, value: number) => ({
      [`|tokenizer.ggml.${name}_token_id`]: ['u32', value] as const,
    });
    const { config } = translate(
      tiny('llama', { ...id('eos', 5), ...id('eot', 6), ...id('eom', 5), ...id('bos', 0) }),
    );
    expect(config).toMatchObject({ bos_token_id: 0, eos_token_id: [5, 6] });
  });

  test('float32 metadata becomes the decimal it was', () => {
    for (const x of [1e-5, 1e-6, 0.1, 30, 1_000_000, 0.0625]) expect(shortestFloat32(Math.fround(x))).toBe(x);
  });

  test('rope factors: any factor is found again, foreign ones are not', () => {
    for (const factor of [8, 32, 16]) {
      const stored = Float32Array.from(llama3Factors(factor, 500_000, 128));
      expect(matchLlama3(stored, 500_000, 128)).toMatchObject({ rope_type: 'llama3', factor });
      stored[40] *= 1.01;
      expect(matchLlama3(stored, 500_000, 128)).toBeUndefined();
    }
    expect(matchLlama3(new Float32Array(64).fill(1), 500_000, 128)).toBeNull();
  });
});

describe('cache', () => {
  const same = async (a: Checkpoint, b: Checkpoint): Promise<void> => {
    expect([...a.tensors.keys()]).toEqual([...b.tensors.keys()]);
    for (const name of a.tensors.keys()) expect(await a.readTensor(name)).toEqual(await b.readTensor(name));
  };

  test('dequantised once; progress runs to the end; a damaged or stale cache is made anew', async () => {
    const path = join(folder, 'm.gguf');
    await cp(golden, path);
    const events: ProgressEvent[] = [];
    const onProgress = (e: ProgressEvent): void => void events.push(e);
    const first = await openCheckpoint(path, { cacheDir, onProgress });
    expect(events.at(-1)).toMatchObject({ stage: 'checkpoint.dequantise', unit: 'bytes' });
    expect(events.at(-1)!.done).toBe(events.at(-1)!.total);
    const n = events.length;
    expect((await openCheckpoint(path, { cacheDir, onProgress })).folder).toBe(first.folder);
    expect(events.length).toBe(n);

    const weights = join(first.folder, 'model.safetensors');
    const whole = await readFile(weights);
    await truncate(weights, 5000);
    await openCheckpoint(path, { cacheDir, onProgress });
    expect(events.length).toBe(2 * n);
    expect(await readFile(weights)).toEqual(whole);

    const before = await stat(weights);
    whole[whole.length - 3]! ^= 4;
    await writeFile(weights, whole);
    await utimes(weights, before.atime, before.mtime);
    await openCheckpoint(path, { cacheDir, onProgress });
    expect(events.length, 'one bit').toBe(3 * n);
    await rm(join(first.folder, 'config.json'));
    await openCheckpoint(path, { cacheDir, onProgress });
    expect(events.length, 'a missing file').toBe(4 * n);

    await utimes(path, 1, 1);
    expect((await openCheckpoint(path, { cacheDir })).folder).not.toBe(first.folder);
  });

  test('two openings at once share one conversion', async () => {
    let pieces = 0;
    const onProgress = (): void => void pieces++;
    const [a, b] = await Promise.all([1, 2].map(() => openCheckpoint(golden, { cacheDir, onProgress })));
    expect(a.folder).toBe(b.folder);
    expect(pieces).toBe(a.tensors.size);
  });

  test('killed half-way: nothing that looks whole is left, and the next opening succeeds and cleans up', async () => {
    const module = pathToFileURL(join(import.meta.dirname, '../open.ts')).href;
    const script = `
      import { openCheckpoint } from ${JSON.stringify(module)};
      await openCheckpoint(${JSON.stringify(golden)}, {
        cacheDir: ${JSON.stringify(cacheDir)},
        onProgress: ({ done, total }) => {
          if (done < total / 2) return;
          process.stdout.write('half');
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); // until killed
        },
      });`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script]);
    let complaints = '';
    child.stderr.on('data', (text) => (complaints += text));
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('exit', () => reject(new Error(`the child ended early: ${complaints}`)));
    });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    const left = await readdir(join(cacheDir, 'gguf'));
    expect(left).toHaveLength(1);
    expect(left[0]).toMatch(/^\..*\.part$/); // aside, half-written

    const after = await openCheckpoint(golden, { cacheDir });
    expect(await readdir(join(cacheDir, 'gguf'))).toHaveLength(1);
    await same(after, await openCheckpoint(golden, { cacheDir: join(folder, 'fresh') }));
  });
});

describe('convertToHf', () => {
  test('the folder is a checkpoint of its own, in any dtype', async () => {
    const source = await openCheckpoint(golden, { cacheDir });
    const out = join(folder, 'hf');
    const events: ProgressEvent[] = [];
    await convertToHf(source, out, {
      extraFiles: { 'tokenizer.json': '{}' },
      onProgress: (e) => void events.push(e),
    });
    expect((await readdir(out)).sort()).toEqual([
      '.crosspatch.json',
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
    ]);
    expect(events.at(-1)!.done).toBe(events.at(-1)!.total);
    const copy = await openCheckpoint(out);
    expect(copy.kind).toBe('hf');
    expect(copy.config).toEqual(source.config);
    expect(copy.generationConfig).toEqual(source.generationConfig);
    for (const name of source.tensors.keys())
      expect(await copy.readTensor(name)).toEqual(await source.readTensor(name));

    await expect(convertToHf(source, out)).rejects.toThrow(/wanted an empty or new folder, got 4 entries/);
    await convertToHf(source, out, { dtype: 'F16', overwrite: true });
    const half = await openCheckpoint(out);
    expect(half.config.torch_dtype).toBe('float16');
    expect(new Set([...half.tensors.values()].map((t) => t.dtype))).toEqual(new Set(['F16']));
    // stored as F16 in the GGUF: comes back whole
    const name = 'model.layers.1.mlp.up_proj.weight';
    expect((await half.readTensor(name)).data).toEqual((await source.readTensor(name)).data);
    expect((await readSafetensors(join(out, 'model.safetensors'))).metadata).toEqual({ format: 'pt' });
  });

  test('refuses to write outside the folder or over a file', async () => {
    const source = await openCheckpoint(golden, { cacheDir });
    await expect(convertToHf(source, join(folder, 'x'), { extraFiles: { '../y': '' } })).rejects.toThrow(
      /plain file name/,
    );
    await writeFile(join(folder, 'file'), '');
    await expect(convertToHf(source, join(folder, 'file'))).rejects.toThrow(/wanted a folder/);
    expect(await readdir(dirname(join(folder, 'x')))).not.toContain('x');
  });
});

describe('a GGUF in three parts, written by gguf-py', () => {
  const split = join(import.meta.dirname, '../../../../test/parity/gguf/split');
  const names = [1, 2, 3].map((i) => `tiny-llama-0000${i}-of-00003.gguf`);

  test.each([...names, ''])('is whole, given %j', async (name) => {
    const whole = await openCheckpoint(golden, { cacheDir });
    const parts = await openCheckpoint(join(split, name), { cacheDir });
    expect(parts.config).toEqual(whole.config);
    expect([...parts.tensors.keys()].sort()).toEqual([...whole.tensors.keys()].sort());
    for (const key of whole.tensors.keys())
      expect(await parts.readTensor(key), key).toEqual(await whole.readTensor(key));
    expect(await parts.contentHash()).not.toBe(await whole.contentHash());
  });

  test('without one of them, renamed, or mixed up, is refused', async () => {
    for (const name of names) await cp(join(split, name), join(folder, 's', name));
    await rm(join(folder, 's', names[1]!));
    const first = join(folder, 's', names[0]!);
    await expect(openCheckpoint(first, { cacheDir })).rejects.toThrow(/1 missing \(tiny-llama-00002/);
    await cp(join(split, names[2]!), join(folder, 's', names[1]!));
    await expect(openCheckpoint(first, { cacheDir })).rejects.toThrow(/wanted part 1 of 3, got part 2 of 3/);
    await cp(first, join(folder, 'blob'));
    await expect(openCheckpoint(join(folder, 'blob'), { cacheDir })).rejects.toThrow(/00001-of-00003\.gguf/);
  });
});

describe('files that claim more than they are', () => {
  /** Begins with `bytes`; the rest, up to `size`, is a hole. */
  const sparse = async (bytes: Uint8Array, size: number): Promise<string> => {
    const path = join(folder, 'sparse.gguf');
    await writeFile(path, bytes);
    await truncate(path, size);
    return path;
  };
  const head = (tensors: bigint, entries: bigint): Buffer => {
    const bytes = Buffer.alloc(24);
    bytes.write('GGUF', 'latin1');
    bytes.writeUInt32LE(3, 4);
    bytes.writeBigUInt64LE(tensors, 8);
    bytes.writeBigUInt64LE(entries, 16);
    return bytes;
  };

  test('a terabyte that is a hole is not read', async () => {
    const path = await sparse(tiny('llama'), 2 ** 40);
    await expect(openCheckpoint(path, { cacheDir })).rejects.toThrow(/a sparse file with \d+ bytes on disk/);
  });

  test.each([
    ['tensors', head(1_000_000n, 0n), /at most 131072 tensors/],
    ['a text', Buffer.concat([head(0n, 1n), Buffer.from([0, 0, 0, 0, 64, 0, 0, 0])]), /bytes of text/],
    [
      'an array',
      Buffer.concat([
        head(0n, 1n),
        Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 97, 9, 0, 0, 0, 8, 0, 0, 0, 0, 0, 96, 0, 0, 0, 0, 0]),
      ]),
      /at most 4194304 strings/,
    ],
  ])('%s beyond any model are refused before they are read', (_, bytes, message) => {
    const zeros = {
      size: 2 ** 40,
      read: (at: number, n: number) => Buffer.concat([bytes.subarray(at), Buffer.alloc(n)]).subarray(0, n),
    };
    expect(() => readGguf(zeros, 'x')).toThrow(message);
  });

  test('a 64-bit id of a token is shown, not a crash', () => {
    const bytes = tiny('llama', { 'rope.scaling.factor': ['u64', 2n ** 63n] });
    expect(() => translate(bytes)).toThrow(/9223372036854775808/);
  });
});

test('a GGUF is known by its first bytes, whatever it is called', async () => {
  const blob = join(folder, `sha256-${'0'.repeat(64)}`);
  await cp(golden, blob);
  expect((await openCheckpoint(blob, { cacheDir })).kind).toBe('gguf');
  await writeFile(blob, 'no model');
  await expect(openCheckpoint(blob, { cacheDir })).rejects.toThrow(/wanted a folder or a .gguf file/);
});

test('tokens that are none: −1 and its 32 bits without a sign', () => {
  for (const none of [
    ['u32', 0xffff_ffff],
    ['i32', -1],
  ] as const) {
    const bytes = tiny('llama', {
      '|tokenizer.ggml.padding_token_id': none,
      '|tokenizer.ggml.bos_token_id': ['u32', 1],
    });
    expect(translate(bytes).config).toMatchObject({ bos_token_id: 1 });
    expect(translate(bytes).config).not.toHaveProperty('pad_token_id');
  }
});

test('a folder with one GGUF opens, with two it asks which', async () => {
  const models = join(folder, 'models');
  await cp(golden, join(models, 'a.gguf'));
  expect((await openCheckpoint(models, { cacheDir })).kind).toBe('gguf');
  await cp(golden, join(models, 'b.gguf'));
  await expect(openCheckpoint(models, { cacheDir })).rejects.toThrow(/2 GGUF files; give the path of one/);
});
