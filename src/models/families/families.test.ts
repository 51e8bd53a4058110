/** @file What a `config.json` means: defaults of transformers where keys are missing, refusals by name where maths would differ. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../base/index.ts';
import type { ModelConfig } from '../config.ts';
import { parseModelConfig, supportedFamilies } from './index.ts';

const root = join(import.meta.dirname, '../../../test/parity/families');
const file = (family: string): Record<string, unknown> =>
  JSON.parse(readFileSync(join(root, family, 'config.json'), 'utf8')) as Record<string, unknown>;
const parse = (family: string, changes: Record<string, unknown> = {}): ModelConfig =>
  parseModelConfig({ ...file(family), ...changes }, 'config.json');
const without = (family: string, ...keys: string[]): ModelConfig => {
  const config = file(family);
  for (const key of keys) delete config[key];
  return parseModelConfig(config, 'config.json');
};

test('the golden checkpoints cover every family', () => {
  const types = readdirSync(root).map((name) => file(name).model_type);
  expect([...new Set(types)].sort()).toEqual([...supportedFamilies].sort());
});

describe('missing keys have the defaults of transformers; null means none', () => {
  test('sliding window', () => {
    expect(without('mistral', 'sliding_window').blocks[0]?.window).toBe(4096);
    expect(parse('mistral', { sliding_window: null }).blocks[0]?.window).toBeUndefined();
    const windowed = { use_sliding_window: true, sliding_window: 8, max_window_layers: 1, layer_types: null };
    expect(parse('qwen2', windowed).blocks.map((b) => b.window)).toEqual([undefined, 8, 8]);
    expect(parse('qwen2', { ...windowed, sliding_window: null }).blocks[2]?.window).toBeUndefined();
    expect(parse('qwen3', { ...windowed, use_sliding_window: false }).blocks[2]?.window).toBeUndefined();
  });

  test('which blocks slide', () => {
    const slides = (c: ModelConfig): boolean[] => c.blocks.map((b) => b.window !== undefined);
    expect(slides(without('gemma2', 'layer_types'))).toEqual([true, false, true, false]);
    const eight = { num_hidden_layers: 8, layer_types: null };
    expect(slides(parse('gemma3_text', { ...eight, _sliding_window_pattern: null }))).toEqual([
      ...[true, true, true, true, true, false],
      ...[true, true],
    ]);
    for (const key of ['sliding_window_pattern', '_sliding_window_pattern']) {
      const spelled = { ...eight, _sliding_window_pattern: null, [key]: 4 };
      expect(slides(parse('gemma3_text', spelled))[3]).toBe(false);
    }
  });

  test('soft-caps', () => {
    const bare = without('gemma2', 'attn_logit_softcapping', 'final_logit_softcapping');
    expect([bare.attentionSoftcap, bare.logitSoftcap]).toEqual([50, 30]);
    expect(parse('gemma2', { attn_logit_softcapping: null }).attentionSoftcap).toBeUndefined();
    expect(without('gemma3_text', 'final_logit_softcapping').logitSoftcap).toBeUndefined();
  });

  test('tied heads, key heads, head size', () => {
    expect(without('llama', 'tie_word_embeddings').tied).toBe(false);
    expect(without('gemma2', 'tie_word_embeddings').tied).toBe(true);
    expect(without('llama', 'num_key_value_heads').nKvHeads).toBe(parse('llama').nHeads);
    expect(without('qwen3', 'head_dim').headDim).toBe(128);
    expect(without('gemma3_text', 'head_dim').headDim).toBe(256);
    expect(without('qwen2', 'head_dim').headDim).toBe(12);
  });
});

test('rope_theta inside rope_scaling counts, and must not differ from another', () => {
  const inside = { rope_type: 'linear', factor: 2, rope_theta: 5e5 };
  expect(parse('llama', { rope_theta: null, rope_scaling: inside }).blocks[0]?.rope).toEqual({
    theta: 5e5,
    scaling: { kind: 'linear', factor: 2 },
  });
  expect(() => parse('llama', { rope_theta: 1e4, rope_scaling: inside })).toThrow(
    /rope_theta 500000, elsewhere it is 10000/,
  );
});

test('the text part of Gemma 3 4B, whose config leaves out what transformers knows', () => {
  const c = parseModelConfig(
    {
      model_type: 'gemma3_text',
      hidden_size: 2560,
      intermediate_size: 10_240,
      num_hidden_layers: 34,
      rope_scaling: { factor: 8, rope_type: 'linear' },
      sliding_window: 1024,
    },
    'config.json',
  );
  expect(c).toMatchObject({
    vocabSize: 262_208,
    nHeads: 8,
    nKvHeads: 4,
    headDim: 256,
    contextLength: 131_072,
    tied: true,
    attentionScale: 1 / 16,
  });
  expect(c.blocks.filter((b) => b.window === undefined)).toHaveLength(5);
  expect(c.blocks[5]?.rope).toEqual({ theta: 1e6, scaling: { kind: 'linear', factor: 8 } });
  expect(c.blocks[0]).toEqual({ window: 1024, rope: { theta: 1e4, scaling: { kind: 'none' } } });
});

test('rotary settings in both spellings', () => {
  const llama3 = {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 64,
  };
  const old = parse('llama', { rope_theta: 5e5, rope_scaling: llama3 });
  expect(old.blocks[0]?.rope).toEqual({
    theta: 5e5,
    scaling: { kind: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalContext: 64 },
  });
  expect(
    parse('llama', { rope_theta: null, rope_parameters: { ...llama3, rope_theta: 5e5 } }).blocks,
  ).toEqual(old.blocks);
  expect(parse('llama', { rope_scaling: { type: 'linear', factor: 2 } }).blocks[0]?.rope.scaling).toEqual({
    kind: 'linear',
    factor: 2,
  });
  const nested = parse('gemma3_text', {
    rope_theta: null,
    rope_scaling: null,
    rope_local_base_freq: null,
    rope_parameters: {
      full_attention: { rope_type: 'linear', factor: 8, rope_theta: 1e6 },
      sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
    },
  });
  expect(nested.blocks.map((b) => [b.window !== undefined, b.rope.theta, b.rope.scaling.kind])).toEqual(
    parse('gemma3_text').blocks.map((b) => [
      b.window !== undefined,
      b.window === undefined ? 1e6 : 1e4,
      b.window === undefined ? 'linear' : 'none',
    ]),
  );
});

const refused: readonly (readonly [string, Record<string, unknown>, string])[] = [
  ['llama', { model_type: 'mamba' }, 'model_type "mamba" is not supported; supported are llama, mistral'],
  ['llama', { model_type: 'constructor' }, 'model_type "constructor" is not supported'],
  ['llama', { residual_multiplier: 0.5 }, 'config key residual_multiplier is not known for this family'],
  ['llama', { quantization_config: { bits: 4 } }, 'config key quantization_config is not known'],
  ['llama', { hidden_act: 'gelu' }, 'config key hidden_act: wanted one of silu'],
  [
    'llama',
    { rope_scaling: { rope_type: 'yarn', factor: 4 } },
    'rope_type "yarn" is not supported; supported are',
  ],
  [
    'llama',
    { rope_parameters: { rope_type: 'default', partial_rotary_factor: 0.5 } },
    'partial_rotary_factor: wanted 1',
  ],
  [
    'llama',
    { rope_scaling: { type: 'linear', factor: 2, mscale: 1 } },
    'rope_scaling: config key mscale is not known',
  ],
  [
    'llama',
    { rope_theta: 1e4, rope_parameters: { rope_theta: 5e5 } },
    'rope_theta is 10000, rope_parameters say 500000',
  ],
  [
    'gemma3_text',
    { sliding_window_pattern: 3, _sliding_window_pattern: 4 },
    'sliding_window_pattern is 3, _sliding_window_pattern 4',
  ],
  ['llama', { rope_interleaved: true }, 'config key rope_interleaved: wanted false, got true'],
  ['llama', { num_key_value_heads: 3 }, '4 heads cannot share 3 key/value heads evenly'],
  ['llama', { head_dim: 7 }, 'head_dim must be even for rotary embeddings, got 7'],
  [
    'llama',
    { hidden_size: 1e9 },
    'config key hidden_size: wanted a positive integer below 2^24, got 1000000000',
  ],
  ['llama', { hidden_size: null }, 'config key hidden_size: wanted a number, got null'],
  ['llama', { num_hidden_layers: 5000 }, 'num_hidden_layers: wanted at most 1024, got 5000'],
  ['llama', { vocab_size: 'many' }, 'config key vocab_size: wanted a number, got "many"'],
  ['qwen2', { use_mrope: true }, 'config key use_mrope: wanted false, got true'],
  [
    'gemma3_text',
    { use_bidirectional_attention: true },
    'config key use_bidirectional_attention: wanted false',
  ],
  ['gemma2', { hidden_activation: 'gelu' }, 'config key hidden_activation: wanted one of gelu_pytorch_tanh'],
  ['gemma2', { layer_types: ['full_attention'] }, 'config key layer_types: wanted 4 strings'],
  [
    'mistral',
    { sliding_window: 4.5 },
    'config key sliding_window: wanted a positive integer below 2^24, got 4.5',
  ],
];
test.each(refused)('%s with %o is refused', (family, changes, message) => {
  expect(() => parse(family, changes)).toThrow(InputError);
  expect(() => parse(family, changes)).toThrow(message);
});
