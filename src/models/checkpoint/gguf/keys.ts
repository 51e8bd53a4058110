/** @file Typed access to the metadata keys of one GGUF architecture, and which of them may be there at all. */
import { CheckpointError, show } from '../errors.ts';
import type { Gguf, GgufValue } from './read.ts';

/** Keys of an architecture that say nothing about the maths of a dense decoder. */
const HARMLESS = new Set([
  'vocab_size',
  'tensor_data_layout',
  'rope.scaling.finetuned',
  'rope.scaling.original_context_length',
  'attention.layer_norm_epsilon',
]);

/** Keys that change the maths unless they have this value. */
const NEUTRAL: Readonly<Record<string, GgufValue>> = {
  'attention.causal': true,
  use_parallel_residual: false,
  expert_count: 0,
  expert_used_count: 0,
  'attention.max_alibi_bias': 0,
  'attention.clamp_kqv': 0,
  'attention.shared_kv_layers': 0,
  logit_scale: 1,
  residual_scale: 1,
  embedding_scale: 1,
  'rope.scaling.attn_factor': 1,
};

/** Keys read here or by the architectures. */
const TRANSLATED = new Set([
  'block_count',
  'context_length',
  'embedding_length',
  'feed_forward_length',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.layer_norm_rms_epsilon',
  'attention.sliding_window',
  'attention.sliding_window_pattern',
  'attention.scale',
  'rope.dimension_count',
  'rope.freq_base',
  'rope.freq_base_swa',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scale_linear',
  'attn_logit_softcapping',
  'final_logit_softcapping',
]);

/** Keys only Gemma reads; for others they would change the maths unseen. */
const GEMMA_ONLY = [
  'attention.scale',
  'attention.sliding_window_pattern',
  'rope.freq_base_swa',
  'attn_logit_softcapping',
  'final_logit_softcapping',
];

/** Typed access to the keys of one architecture. */
export class KeyReader {
  readonly gguf: Gguf;
  readonly #prefix: string;
  readonly #where: string;

  constructor(gguf: Gguf, prefix: string, where: string) {
    this.gguf = gguf;
    this.#prefix = prefix;
    this.#where = where;
  }

  raw(key: string): GgufValue | undefined {
    return this.gguf.metadata.get(`${this.#prefix}.${key}`);
  }

  /** A finite number, not negative (or `undefined`). One value for all layers may be given as an array of equals. */
  optional(key: string): number | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    const perLayer =
      value instanceof Int32Array || value instanceof Uint32Array ? [...new Set(value)] : [value];
    const [n] = perLayer;
    if (perLayer.length !== 1 || typeof n !== 'number' || !Number.isFinite(n) || n < 0)
      throw this.refuse(key, 'one number ≥ 0 for all layers');
    return Number.isInteger(n) ? n : shortestFloat32(n);
  }

  /** A number above zero that must be there. */
  required(key: string): number {
    const value = this.optional(key);
    if (value === undefined || value === 0) throw this.refuse(key, 'a number above 0');
    return value;
  }

  /** A whole number above zero that must be there. */
  size(key: string): number {
    const value = this.required(key);
    if (!Number.isSafeInteger(value)) throw this.refuse(key, 'a whole number');
    return value;
  }

  mustEqual(key: string, wanted: number): void {
    const value = this.optional(key);
    if (value !== undefined && value !== wanted) throw this.refuse(key, `${wanted}, the head size`);
  }

  /** Whether block 0 has biases on all of these projections; refuses some with and some without. */
  hasBias(...projections: readonly string[]): boolean {
    const n = projections.filter((p) => this.gguf.tensors.has(`blk.0.${p}.bias`)).length;
    if (n !== 0 && n !== projections.length)
      throw new CheckpointError(`${this.#where}: blk.0`, {
        id: 'model-unsupported',
        wanted: `biases on all of ${projections.join(', ')} or none`,
        got: `${n} of them`,
        next: 'this variant is not supported',
      });
    return n > 0;
  }

  refuseUnknown(): void {
    for (const [full, value] of this.gguf.metadata) {
      if (!full.startsWith(`${this.#prefix}.`)) continue;
      const key = full.slice(this.#prefix.length + 1);
      if (HARMLESS.has(key)) continue;
      if (Object.hasOwn(NEUTRAL, key)) {
        if (value !== NEUTRAL[key]) throw this.refuse(key, `${show(NEUTRAL[key])}`);
      } else if (!TRANSLATED.has(key) || (GEMMA_ONLY.includes(key) && !this.#prefix.startsWith('gemma')))
        throw this.refuse(key, 'no such key');
    }
  }

  /** The error for a key we cannot honour. */
  refuse(key: string, wanted = 'a variant we run'): CheckpointError {
    const value = this.raw(key);
    return new CheckpointError(`${this.#where}: ${this.#prefix}.${key}`, {
      wanted,
      got: value === undefined ? 'nothing' : typeof value === 'object' ? 'an array' : show(value),
      next: 'it changes the computation, so the model is refused rather than run wrongly',
    });
  }
}

/** The shortest decimal that is this float32: files hold 1e-5 as 9.999999747378752e-6. */
export function shortestFloat32(value: number): number {
  if (Math.fround(value) !== value) return value;
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
