/** @file GGUF against gguf-py: every value of every readable type, and whole files to the last bit (see make.py). */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dequantisers } from '../../../src/models/checkpoint/gguf/dequantise.ts';
import { ggmlTypes, readableTypes } from '../../../src/models/checkpoint/gguf/types.ts';
import { openCheckpoint } from '../../../src/models/checkpoint/index.ts';

const here = import.meta.dirname;
let cacheDir: string;
beforeAll(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), 'gguf-parity-'));
});
afterAll(() => rm(cacheDir, { recursive: true }));

async function golden<T>(name: string): Promise<T> {
  return JSON.parse(gunzipSync(await readFile(join(here, name))).toString()) as T;
}
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
const floatsOf = (text: string): Float32Array => new Float32Array(bytesOf(text).buffer);

/** Bits, so that −0 and 0 differ. */
const bits = (values: Float32Array): Uint32Array =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

describe('blocks', async () => {
  const blocks = await golden<Record<string, { bytes: string; values: string }>>('blocks.json.gz');

  test('there is a golden for every type we read', () => {
    expect(Object.keys(blocks).sort()).toEqual([...readableTypes].sort());
  });

  test.each(Object.keys(blocks))('%s equals gguf-py to the last bit, from unaligned bytes too', (name) => {
    const bytes = bytesOf(blocks[name].bytes);
    const expected = floatsOf(blocks[name].values);
    const type = [...ggmlTypes.values()].find((t) => t.name === name)!;
    expect((bytes.length / type.bytes) * type.values).toBe(expected.length);
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    for (const from of [bytes, shifted.subarray(1)]) {
      const out = new Float32Array(expected.length);
      dequantisers[name](from, out);
      expect(bits(out)).toEqual(bits(expected));
    }
  });
});

describe('whole files', async () => {
  const tiny =
    await golden<Record<string, Record<string, { shape: number[]; values: string }>>>('tiny.json.gz');

  test.each(Object.keys(tiny))(
    '%s: names, shapes and values are those of the Hugging Face model',
    async (file) => {
      const checkpoint = await openCheckpoint(join(here, file), { cacheDir });
      expect([...checkpoint.tensors.keys()].sort()).toEqual(Object.keys(tiny[file]).sort());
      for (const [name, { shape, values }] of Object.entries(tiny[file])) {
        const tensor = await checkpoint.readTensor(name);
        expect(tensor.shape).toEqual(shape);
        expect({ name, bits: bits(tensor.data) }).toEqual({ name, bits: bits(floatsOf(values)) });
      }
    },
  );

  test('the configs are those transformers would have', async () => {
    const llama = await openCheckpoint(join(here, 'tiny-llama.gguf'), { cacheDir });
    expect(llama.kind).toBe('gguf');
    expect(llama.config).toEqual({
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      vocab_size: 40,
      hidden_size: 32,
      intermediate_size: 32,
      num_hidden_layers: 4,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      head_dim: 8,
      max_position_embeddings: 128,
      rms_norm_eps: 1e-5,
      rope_theta: 500_000,
      rope_scaling: {
        rope_type: 'llama3',
        factor: 32,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
      },
      tie_word_embeddings: false,
      attention_bias: false,
      mlp_bias: false,
      hidden_act: 'silu',
      bos_token_id: 1,
      eos_token_id: 2,
      torch_dtype: 'float32',
    });
    expect(llama.generationConfig).toEqual({ bos_token_id: 1, eos_token_id: 2 });
    expect(llama.gguf?.get('tokenizer.ggml.tokens')).toEqual(Array.from({ length: 40 }, (_, i) => `t${i}`));

    const gemma = await openCheckpoint(join(here, 'tiny-gemma3.gguf'), { cacheDir });
    const sliding = 'sliding_attention';
    expect(gemma.config).toMatchObject({
      model_type: 'gemma3_text',
      tie_word_embeddings: true,
      query_pre_attn_scalar: 16,
      sliding_window: 16,
      rope_theta: 1_000_000,
      rope_local_base_freq: 10_000,
      rope_scaling: null,
      layer_types: [sliding, sliding, sliding, sliding, sliding, 'full_attention', sliding],
    });
  });
});
