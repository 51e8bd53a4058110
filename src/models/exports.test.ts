/**
 * @file Checkpoints as other people's programs write them: the right logits (of transformers 5.24 on torch 2.6, for the bundled
 * model with the same change), or an error by name. Each kind was a bug report against some tool.
 */

import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  encodeFloat32,
  openCheckpoint,
  readSafetensors,
  readTensorFloat32,
  type TensorToWrite,
  writeSafetensors,
} from './checkpoint/index.ts';
import type { FwdHook } from './hooks.ts';
import { resolveModel } from './hub/index.ts';
import { LanguageModel } from './language-model.ts';
import { firstLogits, type Variant, variantFolder } from './variant.helper.ts';

/** Of the bundled model itself. */
const PLAIN = '-3.7622 -3.5862 9.7619 -3.6788';

const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 256,
};

const right: readonly (readonly [string, Variant, string])[] = [
  ['a head of its own under a tied config', { config: { tie_word_embeddings: true } }, PLAIN],
  [
    'names without model., tied',
    {
      config: { tie_word_embeddings: true },
      tensors: (t) => (t.name === 'lm_head.weight' ? [] : [{ ...t, name: t.name.replace('model.', '') }]),
    },
    '-2.3325 11.5725 -1.5235 3.0080',
  ],
  ['names under language_model.', { tensors: (t) => [{ ...t, name: `language_model.${t.name}` }] }, PLAIN],
  [
    'names under model.language_model., beside a vision tower',
    {
      tensors: (t) =>
        t.name === 'lm_head.weight'
          ? [
              t,
              { name: 'model.vision_tower.conv.weight', dtype: 'F32', shape: [1], data: new Float32Array(1) },
            ]
          : [{ ...t, name: t.name.replace('model.', 'model.language_model.') }],
    },
    PLAIN,
  ],
  [
    'rope_parameters with an agreeing rope_scaling',
    { config: { rope_scaling: llama3, rope_parameters: { ...llama3, rope_theta: 10_000 } } },
    '-3.7628 -3.5868 9.7656 -3.6796',
  ],
  ['no padding token, as −1', { config: { pad_token_id: -1 } }, PLAIN],
  [
    'an index of a tensor no shard has',
    {
      files: {
        'model.safetensors.index.json': JSON.stringify({
          weight_map: { 'model.layers.0.self_attn.rotary_emb.inv_freq': 'model.safetensors' },
        }),
      },
    },
    PLAIN,
  ],
  ['a byte-order mark', { files: { 'generation_config.json': '\ufeff{"eos_token_id":2}\r\n' } }, PLAIN],
  [
    'keys that change no maths',
    {
      config: {
        _attn_implementation: 'sdpa',
        _commit_hash: 'abc',
        num_labels: 2,
        id2label: { 0: 'a' },
        neftune_noise_alpha: 5,
        do_sample: false,
        max_length: 20,
        temperature: 1,
        top_p: 1,
        top_k: 50,
        num_beams: 1,
        pruned_heads: {},
        is_encoder_decoder: false,
        partial_rotary_factor: 1,
        chunk_size_feed_forward: 0,
        output_attentions: false,
        model_max_length: 512,
      },
    },
    PLAIN,
  ],
];

test.each(right)('%s', async (_, variant, logits) => {
  await using folder = await variantFolder(variant);
  expect(await firstLogits(folder.path)).toBe(logits);
});

test('a config of another model is not taken for its text part; a multimodal one is, and says so', async () => {
  await using folder = await variantFolder({
    config: {
      model_type: 'gemma3',
      text_config: { model_type: 'llama', hidden_size: 128 },
      vision_config: { hidden_size: 8 },
    },
    tensors: (t) => [
      { ...t, name: `language_model.${t.name}` },
      ...(t.name === 'model.norm.weight'
        ? [{ name: 'vision_tower.a', dtype: 'F32' as const, shape: [1], data: new Float32Array(1) }]
        : []),
    ],
  });
  const checkpoint = await openCheckpoint(folder.path);
  expect(checkpoint.config).toMatchObject({
    model_type: 'llama',
    hidden_size: 128,
    tie_word_embeddings: false,
  });
  expect(checkpoint.config).not.toHaveProperty('vision_config');
  expect(checkpoint.notes.join('; ')).toMatch(
    /text part of a multimodal gemma3.*left out: 1 tensors of vision_tower/,
  );
});

describe('an embedding with more rows than there are tokens', () => {
  /** 70 more rows; with `loud` those of the head win everywhere. */
  const padded = (loud: boolean): Variant => ({
    config: { vocab_size: 1088 },
    tensors: (t) => {
      if (t.name !== 'lm_head.weight' && !t.name.includes('embed_tokens')) return [t];
      const data = new Float32Array(1088 * 128);
      for (let i = 1018 * 128; i < data.length; i++)
        data[i] = loud && t.name === 'lm_head.weight' ? Math.sin(i) * 20 : 0;
      data.set(t.data);
      return [{ ...t, shape: [1088, 128], data }];
    },
  });
  const prompts = ['the cat', 'a dog and', 'red'];

  test('gives the same text: its padding is never chosen, greedy or drawn', async () => {
    await using folder = await variantFolder(padded(true));
    await using padding = await LanguageModel.load(folder.path, { threads: 1 });
    await using plain = await LanguageModel.load((await resolveModel('tiny-llama-s')).path, { threads: 1 });
    const loudest = (await padding.forward(prompts)).logits.data;
    expect(
      loudest.some((v, i) => i % 1088 >= 1018 && v > 60),
      'the padding would win',
    ).toBe(true);
    for (const options of [
      {},
      { logprobs: true },
      { temperature: 1, seed: 3 },
      { temperature: 2, topK: 5, seed: 4 },
    ]) {
      const settings = { ...options, maxNewTokens: 8 };
      const [got, want] = [
        await padding.generate(prompts, settings),
        await plain.generate(prompts, settings),
      ];
      expect(
        got.map((c) => c.ids),
        JSON.stringify(options),
      ).toEqual(want.map((c) => c.ids));
    }
  });

  test('decodes to nothing there', async () => {
    await using folder = await variantFolder(padded(false));
    await using model = await LanguageModel.load(folder.path, { threads: 1 });
    const ids = model.toTokens('the cat')[0]!;
    expect(model.tokenizer.decode([1050, ...ids, 1087])).toBe(model.tokenizer.decode(ids));
    const stream = model.tokenizer.decodeStream();
    expect([1050, ...ids].map((id) => stream.push(id)).join('') + stream.flush()).toBe(
      model.tokenizer.decode(ids),
    );
  });
});

describe('numbers that are none', () => {
  const spoilt = (name: string, value: number, dtype: 'F16' | 'F32' = 'F16'): Variant => ({
    tensors: (t) => {
      if (t.name !== name) return [t];
      const data = t.data.slice();
      data[388] = value;
      return [{ ...t, dtype, data: new Uint8Array(encodeFloat32(dtype, data).buffer) }];
    },
  });
  test.each([
    ['model.layers.2.mlp.up_proj.weight', Number.NaN, 'F16'],
    ['lm_head.weight', Number.NEGATIVE_INFINITY, 'F32'],
    ['model.embed_tokens.weight', Number.NaN, 'F32'],
  ] as const)('in %s are refused where the model is loaded', async (name, value, dtype) => {
    await using folder = await variantFolder(spoilt(name, value, dtype));
    const message = `tensor "${name}": wanted finite weights, got NaN or infinity at element 388 (${dtype}`;
    await expect(firstLogits(folder.path)).rejects.toThrow(message);
  });

  test('that a hook writes are told with row and block', async () => {
    await using model = await LanguageModel.load((await resolveModel('tiny-llama-s')).path, { threads: 1 });
    const hook: FwdHook = ['resid_post.1', (a) => void (a.data[130] = Number.POSITIVE_INFINITY)];
    await expect(model.forward([1, 15, 20], [hook])).rejects.toThrow(
      /forward pass: wanted finite activations, got (NaN|Infinity) in row 0 after block 5/,
    );
  });

  test.each([
    [
      'F16',
      65_520,
      /wanted values that F16 can hold, got 2 beyond .* \(the largest -90790\).*write F32 or BF16/,
    ],
    ['BF16', 3.4e38, /wanted values that BF16 can hold, got 2 beyond/],
  ] as const)('%s: values it cannot hold are not written as infinity', async (dtype, large, message) => {
    await using folder = await variantFolder({});
    const path = join(folder.path, 'x.safetensors');
    const fine = dtype === 'F16' ? 65_519 : 3.39e38;
    const tensor = (...values: number[]): TensorToWrite[] => [
      { name: 'blocks.10', dtype, shape: [4], data: Float32Array.of(...values) },
    ];
    await writeSafetensors(path, tensor(1, fine, -fine, 0));
    await expect(
      writeSafetensors(path, tensor(1, large, dtype === 'F16' ? -90_790 : -large, 0)),
    ).rejects.toThrow(message);
    await expect(writeSafetensors(path, tensor(1, 2, Number.NaN, 0))).rejects.toThrow(
      /"blocks.10": wanted finite numbers, got 1/,
    );
    const [info] = (await readSafetensors(path)).tensors;
    expect((await readTensorFloat32(info!)).data.every(Number.isFinite), 'the former file stays').toBe(true);
  });
});

describe('refused by name', () => {
  const refused: readonly (readonly [string, Variant, RegExp])[] = [
    [
      'a prefix nobody knows',
      { tensors: (t) => [{ ...t, name: `backbone.${t.name}` }] },
      /got the prefix "backbone\.model\." as in backbone\.model\./,
    ],
    [
      'one tensor under two prefixes',
      { tensors: (t) => [t, ...(t.name === 'model.norm.weight' ? [{ ...t, name: 'norm.weight' }] : [])] },
      /model\.norm\.weight under two prefixes/,
    ],
    [
      'disagreeing rotary settings',
      { config: { rope_scaling: { ...llama3, factor: 4 }, rope_parameters: { ...llama3, rope_theta: 1e4 } } },
      /rope_scaling says .*rope_parameters say/,
    ],
    ['heads that were cut out', { config: { pruned_heads: { 1: [0] } } }, /pruned_heads is not known/],
    ['scaled logits', { config: { logits_scaling: 4 } }, /logits_scaling is not known/],
    [
      'a Git LFS pointer',
      {
        files: { 'model.safetensors': 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n' },
      },
      /Git LFS pointer; run git lfs pull/,
    ],
    [
      'a config that is a Git LFS pointer',
      { files: { 'config.json': 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n' } },
      /config\.json.*Git LFS pointer; run git lfs pull/,
    ],
    [
      'a config nested without end',
      { files: { 'config.json': `{"a":${'['.repeat(1e5)}` } },
      /at most 128 levels/,
    ],
  ];
  test.each(refused)('%s', async (_, variant, message) => {
    await using folder = await variantFolder(variant);
    await expect(firstLogits(folder.path)).rejects.toThrow(message);
  });
});
