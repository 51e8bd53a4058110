/** @file Qwen2 / Qwen2.5 (arXiv 2407.10671: biases on q, k, v) and Qwen3 (arXiv 2505.09388: q and k normed, no biases). */
import type { ModelConfig } from '../config.ts';
import { readBlocks, readRope, readSizes } from './common.ts';
import type { ConfigReader } from './reader.ts';

function qwen(c: ConfigReader, modelType: 'qwen2' | 'qwen3'): ModelConfig {
  const { nLayers, ...sizes } = readSizes(
    c,
    modelType === 'qwen3' ? { kvHeads: 32, headDim: 128, context: 32_768 } : { kvHeads: 32, context: 32_768 },
  );
  const rope = readRope(c);
  // The window is written in every file but used only where use_sliding_window says so, from block max_window_layers on.
  const windowed = c.flag('use_sliding_window', false);
  const window = c.has('sliding_window') ? c.optionalSize('sliding_window') : 4096;
  const firstWindowed = c.number('max_window_layers', 28);
  c.mustBe('use_mrope', false);
  c.oneOf('hidden_act', ['silu'], 'silu');
  const bias = modelType === 'qwen3' && c.flag('attention_bias', false);
  return {
    ...sizes,
    modelType,
    normGain: 'w',
    activation: 'silu',
    qkvBias: modelType === 'qwen2' || bias,
    outBias: bias,
    mlpBias: false,
    qkNorm: modelType === 'qwen3',
    sandwichNorms: false,
    embedScale: 1,
    attentionScale: 1 / Math.sqrt(sizes.headDim),
    tied: c.flag('tie_word_embeddings', false),
    blocks: readBlocks(c, nLayers, {
      full: rope,
      window: windowed ? window : undefined,
      slides: (i) => windowed && window !== undefined && i >= firstWindowed,
    }),
  };
}

export const qwen2 = (c: ConfigReader): ModelConfig => qwen(c, 'qwen2');
export const qwen3 = (c: ConfigReader): ModelConfig => qwen(c, 'qwen3');
