/**
 * @file GGUF metadata as a Hugging Face `config.json`. Every key of the architecture is either translated, known to
 * change nothing, or refused by name: a model is never run with part of its maths left out.
 */
import { CheckpointError, show } from '../errors.ts';
import { KeyReader } from './keys.ts';
import type { Gguf } from './read.ts';
import { ropeScaling } from './rope-scaling.ts';
import type { ByteSource } from './source.ts';

/** What differs between architectures, by `general.architecture`. */
export interface GgufArchitecture {
  readonly modelType: string;
  readonly className: string;
  /** llama.cpp stores the q and k rows of this architecture in the order of its own rotary embedding. */
  readonly permutedQk: boolean;
  /** llama.cpp stores the norms as 1 + w; transformers keeps w. */
  readonly normsPlusOne: boolean;
  /** llama.cpp adds biases of the MLP's projections where a file has them. */
  readonly optionalMlpBias: boolean;
  /** `blk.N.ffn_norm` by its Hugging Face name. */
  readonly ffnNorm: string;
  /** Config keys beyond those that all share. */
  readonly extra: (m: KeyReader, base: BaseConfig) => Record<string, unknown>;
}

/** Sizes that the architectures' own rules need. */
interface BaseConfig {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly headDim: number;
}

/** Attention biases: all four projections, or none. */
function biases(m: KeyReader): Record<string, unknown> {
  return { attention_bias: m.hasBias('attn_q', 'attn_output'), hidden_act: 'silu' };
}

function llama(modelType: string, className: string): GgufArchitecture {
  return {
    modelType,
    className,
    permutedQk: true,
    normsPlusOne: false,
    optionalMlpBias: modelType === 'llama',
    ffnNorm: 'post_attention_layernorm',
    extra: (m, base) => {
      const window = m.optional('attention.sliding_window') || null;
      if (modelType === 'mistral') return { hidden_act: 'silu', sliding_window: window };
      if (window !== null) {
        // Llama with a window is what transformers calls Mistral
        const { modelType: model_type, className, extra } = ggufArchitectures.mistral!;
        return { model_type, architectures: [className], ...extra(m, base) };
      }
      return { ...biases(m), mlp_bias: m.hasBias('ffn_gate', 'ffn_up', 'ffn_down') };
    },
  };
}

/** The architectures we translate. llama.cpp calls Mistral `llama`; other writers say `mistral`. */
const ggufArchitectures: Readonly<Record<string, GgufArchitecture>> = {
  llama: llama('llama', 'LlamaForCausalLM'),
  mistral: llama('mistral', 'MistralForCausalLM'),
  qwen2: {
    modelType: 'qwen2',
    className: 'Qwen2ForCausalLM',
    permutedQk: false,
    normsPlusOne: false,
    optionalMlpBias: false,
    ffnNorm: 'post_attention_layernorm',
    extra: () => ({ hidden_act: 'silu', use_sliding_window: false, sliding_window: null }),
  },
  qwen3: {
    modelType: 'qwen3',
    className: 'Qwen3ForCausalLM',
    permutedQk: false,
    normsPlusOne: false,
    optionalMlpBias: false,
    ffnNorm: 'post_attention_layernorm',
    extra: (m) => ({ ...biases(m), use_sliding_window: false, sliding_window: null }),
  },
  gemma2: {
    modelType: 'gemma2',
    className: 'Gemma2ForCausalLM',
    permutedQk: false,
    normsPlusOne: true,
    optionalMlpBias: false,
    ffnNorm: 'pre_feedforward_layernorm',
    extra: (m, base) => ({
      ...gemma(m, base, 46, 2),
      sliding_window: m.optional('attention.sliding_window') ?? 4096,
      attn_logit_softcapping: m.optional('attn_logit_softcapping') ?? 50,
      final_logit_softcapping: m.optional('final_logit_softcapping') ?? 30,
    }),
  },
  gemma3: {
    modelType: 'gemma3_text',
    className: 'Gemma3ForCausalLM',
    permutedQk: false,
    normsPlusOne: true,
    optionalMlpBias: false,
    ffnNorm: 'pre_feedforward_layernorm',
    extra: (m, base) => ({
      ...gemma(m, base, 62, 6),
      sliding_window: m.size('attention.sliding_window'),
      rope_local_base_freq: m.optional('rope.freq_base_swa') ?? 10_000,
      attn_logit_softcapping: m.optional('attn_logit_softcapping') ?? null,
      final_logit_softcapping: m.optional('final_logit_softcapping') ?? null,
    }),
  },
};

/**
 * Gemma's attention scale is not in the file: 1/√headDim, but 1/√(width/heads) in the 27B models, which llama.cpp
 * tells by their layer count (gemma-2: 46, gemma-3: 62). Every `period`-th layer attends to everything.
 */
function gemma(m: KeyReader, base: BaseConfig, layersOf27B: number, period: number): Record<string, unknown> {
  const scale = m.optional('attention.scale');
  const pattern = m.raw('attention.sliding_window_pattern');
  const every = pattern === undefined ? period : typeof pattern === 'number' ? pattern : Number.NaN;
  const listed = pattern instanceof Uint8Array && pattern.length === base.layers ? pattern : undefined;
  if (listed === undefined && !(Number.isInteger(every) && every >= 1))
    throw m.refuse('attention.sliding_window_pattern', `a period, or ${base.layers} booleans`);
  return {
    hidden_activation: 'gelu_pytorch_tanh',
    attention_bias: false,
    query_pre_attn_scalar:
      scale !== undefined
        ? Math.round(1 / scale ** 2)
        : base.layers === layersOf27B
          ? base.width / base.heads
          : base.headDim,
    layer_types: Array.from({ length: base.layers }, (_, i) =>
      (listed === undefined ? (i + 1) % every !== 0 : listed[i] !== 0)
        ? 'sliding_attention'
        : 'full_attention',
    ),
  };
}

/** The architecture of a GGUF. Throws `CheckpointError` naming those there are. */
export function architectureOf(gguf: Gguf, where: string): [string, GgufArchitecture] {
  const name = gguf.metadata.get('general.architecture');
  if (typeof name !== 'string' || !Object.hasOwn(ggufArchitectures, name))
    throw new CheckpointError(`${where}: general.architecture`, {
      id: 'model-unsupported',
      wanted: Object.keys(ggufArchitectures).join(', '),
      got: show(name ?? null),
      next: 'take a model of one of these architectures',
    });
  return [name, ggufArchitectures[name]!];
}

/** The architecture that llama.cpp runs a `model_type` as, with its name. */
export function architectureFor(modelType: string): [string, GgufArchitecture] | undefined {
  // Mistral without a window is Llama; with one, llama.cpp would leave the window out.
  const wanted = modelType === 'mistral' ? 'llama' : modelType;
  return Object.entries(ggufArchitectures).find(([, { modelType }]) => modelType === wanted);
}

/** `config.json` of a GGUF. Throws `CheckpointError` for keys that are missing, malformed or not understood. */
export function ggufConfig(gguf: Gguf, source: ByteSource, where: string): Record<string, unknown> {
  const [name, architecture] = architectureOf(gguf, where);
  const m = new KeyReader(gguf, name, where);
  m.refuseUnknown();
  const layers = m.size('block_count');
  if (layers > gguf.tensors.size)
    throw m.refuse('block_count', `at most ${gguf.tensors.size} tensors' worth`);
  const width = m.size('embedding_length');
  const heads = m.size('attention.head_count');
  const headDim = m.optional('attention.key_length') ?? width / heads;
  if (!Number.isInteger(headDim) || headDim < 2 || headDim % 2 !== 0)
    throw m.refuse('attention.key_length', 'an even head size');
  m.mustEqual('attention.value_length', headDim);
  m.mustEqual('rope.dimension_count', headDim);
  const theta = m.optional('rope.freq_base') ?? 10_000;
  const vocabulary = gguf.tensors.get('token_embd.weight')?.shape[0];
  if (vocabulary === undefined)
    throw new CheckpointError(where, { wanted: 'a tensor token_embd.weight', got: 'none' });

  return {
    architectures: [architecture.className],
    model_type: architecture.modelType,
    vocab_size: vocabulary,
    hidden_size: width,
    intermediate_size: m.size('feed_forward_length'),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: m.optional('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    max_position_embeddings: m.size('context_length'),
    rms_norm_eps: m.required('attention.layer_norm_rms_epsilon'),
    rope_theta: theta,
    rope_scaling: ropeScaling(m, source, theta, headDim),
    tie_word_embeddings: !gguf.tensors.has('output.weight'),
    ...architecture.extra(m, { layers, width, heads, headDim }),
    ...ggufGenerationConfig(gguf),
    torch_dtype: 'float32',
  };
}

/** Special token ids as `generation_config.json` has them; all tokens that end a turn are `eos_token_id`. */
export function ggufGenerationConfig(gguf: Gguf): Record<string, unknown> {
  const id = (key: string): number | undefined => {
    const value = gguf.metadata.get(`tokenizer.ggml.${key}_token_id`);
    return typeof value === 'number' && value >= 0 && value < 0xffff_ffff ? value : undefined;
  };
  const ends = [...new Set([id('eos'), id('eot'), id('eom')].filter((v) => v !== undefined))];
  const out: Record<string, unknown> = {};
  if (id('bos') !== undefined) out.bos_token_id = id('bos');
  if (ends.length > 0) out.eos_token_id = ends.length === 1 ? ends[0] : ends;
  if (id('padding') !== undefined) out.pad_token_id = id('padding');
  return out;
}
