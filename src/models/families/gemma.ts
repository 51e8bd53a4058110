/** @file Gemma 2 (arXiv 2408.00118) and Gemma 3 text (arXiv 2503.19786). Gains are 1 + w, embeddings scaled by √d, heads tied. */
import { InputError } from '../../base/index.ts';
import type { ModelConfig } from '../config.ts';
import { readBlocks, readRope, readSizes } from './common.ts';
import type { ConfigReader } from './reader.ts';

function shared(
  c: ConfigReader,
  caps: { readonly attention?: number; readonly logits?: number },
  defaults: { readonly heads: number; readonly vocab: number; readonly context: number },
): Omit<ModelConfig, 'modelType' | 'blocks' | 'qkNorm'> & { nLayers: number } {
  const { nLayers, ...sizes } = readSizes(c, { kvHeads: 4, headDim: 256, ...defaults });
  // Files carry either name; `hidden_activation` wins, as in transformers.
  const legacy = c.raw('hidden_act');
  const named = c.raw('hidden_activation') ?? legacy ?? 'gelu_pytorch_tanh';
  if (named !== 'gelu_pytorch_tanh') c.oneOf('hidden_activation', ['gelu_pytorch_tanh']);
  c.mustBe('use_bidirectional_attention', false);
  const bias = c.flag('attention_bias', false);
  // null is no cap, a missing key is the default of transformers
  const cap = (key: string, missing: number | undefined): number | undefined =>
    c.has(key) ? c.optional(key) : missing;
  const attentionSoftcap = cap('attn_logit_softcapping', caps.attention);
  const logitSoftcap = cap('final_logit_softcapping', caps.logits);
  return {
    ...sizes,
    nLayers,
    normGain: '1+w',
    activation: 'geluTanh',
    qkvBias: bias,
    outBias: bias,
    mlpBias: false,
    sandwichNorms: true,
    embedScale: Math.sqrt(sizes.dModel),
    attentionScale: 1 / Math.sqrt(c.positive('query_pre_attn_scalar', 256)),
    attentionSoftcap,
    logitSoftcap,
    tied: c.flag('tie_word_embeddings', true),
  };
}

export function gemma2(c: ConfigReader): ModelConfig {
  const { nLayers, ...base } = shared(
    c,
    { attention: 50, logits: 30 },
    { heads: 8, vocab: 256_000, context: 8192 },
  );
  const rope = readRope(c);
  const window = c.size('sliding_window', 4096);
  return {
    ...base,
    modelType: 'gemma2',
    qkNorm: false,
    // Even blocks slide, odd ones see everything.
    blocks: readBlocks(c, nLayers, { full: rope, window, slides: (i) => i % 2 === 0 }),
  };
}

export function gemma3(c: ConfigReader): ModelConfig {
  const { nLayers, ...base } = shared(c, {}, { heads: 8, vocab: 262_208, context: 131_072 });
  const full = readRope(c, 1_000_000, 'full_attention');
  const sliding = readRope(c, 10_000, 'sliding_attention', 'rope_local_base_freq');
  const window = c.size('sliding_window', 4096);
  // Every sixth block sees everything; files spell the period with or without a leading underscore, or both.
  const plain = c.size('sliding_window_pattern', 6);
  const period = c.size('_sliding_window_pattern', plain);
  if (c.raw('sliding_window_pattern') !== undefined && period !== plain)
    throw new InputError(
      `${c.where}: sliding_window_pattern is ${plain}, _sliding_window_pattern ${period}`,
      { id: 'model-unsupported' },
    );
  return {
    ...base,
    modelType: 'gemma3_text',
    qkNorm: true,
    blocks: readBlocks(c, nLayers, { full, sliding, window, slides: (i) => (i + 1) % period !== 0 }),
  };
}
