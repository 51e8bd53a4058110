/**
 * @file Checkpoints as other people's programs write them: the right logits (of transformers 5.24 on torch 2.6, for the bundled
 * model with the same change), or an error by name. Each kind was a bug report against some tool.
 */
import { describe, expect, test } from 'vitest';
import { openCheckpoint } from './checkpoint/index.ts';
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
  const { openCheckpoint: open } = { openCheckpoint };
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
  const checkpoint = await open(folder.path);
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
