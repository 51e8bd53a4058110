/** @file Mistral (arXiv 2310.06825): Llama with a sliding window in every block. */
import type { ModelConfig } from '../config.ts';
import { readBlocks, readRope, readSizes } from './common.ts';
import type { ConfigReader } from './reader.ts';

export function mistral(c: ConfigReader): ModelConfig {
  const { nLayers, ...sizes } = readSizes(c, { kvHeads: 8, context: 131_072 });
  const rope = readRope(c);
  // null is no window, a missing key is the default of transformers
  const window = c.has('sliding_window') ? c.optionalSize('sliding_window') : 4096;
  c.mustBe('attention_bias', false);
  c.oneOf('hidden_act', ['silu'], 'silu');
  return {
    ...sizes,
    modelType: 'mistral',
    normGain: 'w',
    activation: 'silu',
    qkvBias: false,
    outBias: false,
    mlpBias: false,
    qkNorm: false,
    sandwichNorms: false,
    embedScale: 1,
    attentionScale: 1 / Math.sqrt(sizes.headDim),
    tied: c.flag('tie_word_embeddings', false),
    blocks: readBlocks(c, nLayers, { full: rope, window, slides: () => window !== undefined }),
  };
}
