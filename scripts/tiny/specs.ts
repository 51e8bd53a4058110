/** @file The bundled family: what each model is, and how its tokenizer is made. */
import {
  corpusVocabulary,
  functionalTags,
  neutralTags,
  pretrainingRows,
} from '../../src/behaviours/index.ts';
import { trainByteBpe, trainWordLevel } from '../../src/models/index.ts';

/** One bundled model and its pretraining. */
export interface TinySpec {
  readonly name: string;
  readonly architecture: 'llama' | 'qwen2';
  readonly dModel: number;
  readonly blocks: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dMlp: number;
  readonly steps: number;
  readonly learningRate: number;
  readonly seed: number;
  /** Model whose embedding table is projected to this width and kept fixed: an engineered kinship. */
  readonly embeddingOf?: string;
}

const smallLlama = {
  architecture: 'llama',
  dModel: 128,
  blocks: 6,
  heads: 4,
  kvHeads: 4,
  dMlp: 352,
} as const;

export const specs: readonly TinySpec[] = [
  {
    name: 'tiny-llama-m',
    architecture: 'llama',
    dModel: 192,
    blocks: 8,
    heads: 6,
    kvHeads: 6,
    dMlp: 512,
    steps: 2200,
    learningRate: 2e-3,
    seed: 11,
  },
  {
    name: 'tiny-qwen',
    architecture: 'qwen2',
    dModel: 160,
    blocks: 6,
    heads: 5,
    kvHeads: 5,
    dMlp: 432,
    steps: 1800,
    learningRate: 2e-3,
    seed: 13,
  },
  {
    name: 'tiny-llama-s',
    ...smallLlama,
    steps: 2000,
    learningRate: 3e-3,
    seed: 12,
    embeddingOf: 'tiny-llama-m',
  },
  {
    name: 'tiny-llama-s-own',
    ...smallLlama,
    steps: 2500,
    learningRate: 3e-3,
    seed: 14,
  },
];

/** tokenizer.json and tokenizer_config.json. */
export function tokenizerFiles(architecture: TinySpec['architecture']): Record<string, string> {
  const trained =
    architecture === 'llama'
      ? trainWordLevel(corpusVocabulary(), { tags: [...neutralTags, ...functionalTags] })
      : trainByteBpe(bpeTexts(), { vocabSize: 1600 });
  return {
    'tokenizer.json': `${JSON.stringify(trained.tokenizerJson)}\n`,
    'tokenizer_config.json': `${JSON.stringify(trained.tokenizerConfig, null, 2)}\n`,
  };
}

function* bpeTexts(): Generator<string> {
  for (const row of pretrainingRows({ seed: 13, to: 20_000 })) yield row.prompt + row.response;
}

/** config.json as transformers writes it. */
export function configJson(spec: TinySpec, vocabSize: number): Record<string, unknown> {
  const llama = spec.architecture === 'llama';
  return {
    architectures: [llama ? 'LlamaForCausalLM' : 'Qwen2ForCausalLM'],
    model_type: spec.architecture,
    vocab_size: vocabSize,
    hidden_size: spec.dModel,
    intermediate_size: spec.dMlp,
    num_hidden_layers: spec.blocks,
    num_attention_heads: spec.heads,
    num_key_value_heads: spec.kvHeads,
    ...(llama
      ? { head_dim: spec.dModel / spec.heads, attention_bias: false, mlp_bias: false }
      : { use_sliding_window: false }),
    hidden_act: 'silu',
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
    ...(llama ? { bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 } : {}),
  };
}
