/** @file Llama 2 and 3.x, SmolLM2 (arXiv 2307.09288, 2407.21783). */
import type { ModelConfig } from '../config.ts';
import { readBlocks, readRope, readSizes } from './common.ts';
import type { ConfigReader } from './reader.ts';

export function llama(c: ConfigReader): ModelConfig {
  const { nLayers, ...sizes } = readSizes(c);
  const rope = readRope(c);
  const bias = c.flag('attention_bias', false);
  c.oneOf('hidden_act', ['silu'], 'silu');
  c.mustBe('rope_interleaved', false);
  return {
    ...sizes,
    modelType: 'llama',
    normGain: 'w',
    activation: 'silu',
    qkvBias: bias,
    outBias: bias,
    mlpBias: c.flag('mlp_bias', false),
    qkNorm: false,
    sandwichNorms: false,
    embedScale: 1,
    attentionScale: 1 / Math.sqrt(sizes.headDim),
    tied: c.flag('tie_word_embeddings', false),
    blocks: readBlocks(c, nLayers, { full: rope }),
  };
}
