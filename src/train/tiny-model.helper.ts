/** @file Random models of a few thousand weights, and rows to train them on. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Rng } from '../base/index.ts';
import { type ModelConfig, parseModelConfig, trainWordLevel } from '../models/index.ts';
import { type TrainRow, trainRow } from './batches.ts';
import { initParameters, type Parameters } from './parameters.ts';
import { saveModel } from './save-model.ts';

/** config.json of a Llama with three blocks. */
export const llamaJson = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  vocab_size: 50,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  hidden_act: 'silu',
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
};

/** config.json of a Gemma 2 with two blocks: tied, soft-caps in attention and head. */
export const gemmaJson = {
  model_type: 'gemma2',
  architectures: ['Gemma2ForCausalLM'],
  vocab_size: 50,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 4,
  query_pre_attn_scalar: 4,
  hidden_activation: 'gelu_pytorch_tanh',
  sliding_window: 4,
  attn_logit_softcapping: 5,
  final_logit_softcapping: 3,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
};

/** A random model whose activations are of order 1. */
export function tinyModel(
  json: Readonly<Record<string, unknown>> = llamaJson,
  seed = 1,
): { config: ModelConfig; parameters: Parameters } {
  const config = parseModelConfig(json, 'tiny');
  return {
    config,
    parameters: initParameters(config, new Rng(seed), { embedding: 0.5, head: 0.5, matrix: 0.4 }),
  };
}

/** `n` random rows of 4 to 10 tokens, the first two the prompt. */
export function tinyRows(n: number, seed = 2, vocab = 50): TrainRow[] {
  const rng = new Rng(seed);
  const tokens = (count: number): number[] => Array.from({ length: count }, () => 4 + rng.int(vocab - 4));
  return Array.from({ length: n }, () => trainRow(tokens(2), tokens(2 + rng.int(7))));
}

/** The random Llama as a folder with a word-level tokenizer over `w0`…`w45`; returns its path. */
export async function tinyFolder(): Promise<string> {
  const folder = join(await mkdtemp(join(tmpdir(), 'crosspatch-train-')), 'model');
  const { tokenizerJson, tokenizerConfig } = trainWordLevel(Array.from({ length: 46 }, (_, i) => `w${i}`));
  await saveModel(folder, tinyModel().parameters, {
    config: { ...llamaJson, bos_token_id: 1, eos_token_id: 2 },
    files: {
      'tokenizer.json': JSON.stringify(tokenizerJson),
      'tokenizer_config.json': JSON.stringify(tokenizerConfig),
    },
  });
  return folder;
}
