/** @file Rotary scaling of a GGUF: named in the metadata, or baked into a tensor of frequency factors. */
import { decodeToFloat32 } from '../numbers.ts';
import type { KeyReader } from './keys.ts';
import type { ByteSource } from './source.ts';

/** Llama 3.1 and later: the published constants. `factor` is 8 in 3.1, 32 in 3.2. */
const LLAMA3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 } as const;

/** HF `rope_scaling`, or null. Throws `CheckpointError` for kinds we do not run. `theta` is `rope_theta`. */
export function ropeScaling(
  m: KeyReader,
  source: ByteSource,
  theta: number,
  headDim: number,
): Record<string, unknown> | null {
  const type = m.raw('rope.scaling.type') ?? 'linear'; // old files give a factor alone
  const factors = m.gguf.tensors.get('rope_freqs.weight');
  if (factors !== undefined) {
    if (factors.shape[0] !== headDim / 2 || factors.shape.length !== 1 || factors.type.name !== 'F32')
      throw m.refuse('rope.scaling.type', `rope_freqs.weight of ${headDim / 2} F32 values`);
    const bytes = source.read(factors.offset, factors.byteLength);
    const found = matchLlama3(decodeToFloat32('F32', bytes), theta, headDim);
    if (found === undefined) throw m.refuse('rope.scaling.type', 'rope_freqs.weight by the llama3 formula');
    return found;
  }
  if (type === 'none') return null;
  if (type !== 'linear') throw m.refuse('rope.scaling.type', 'none or linear');
  const factor = m.optional('rope.scaling.factor') || m.optional('rope.scale_linear') || 1;
  return factor === 1 ? null : { rope_type: 'linear', factor };
}

/**
 * Find the llama3 parameters whose factors are those of the file, or `undefined`; `null` if all factors are 1.
 *
 * With λ = 2π·θ^(2i/d), s = (original/λ − low)/(high − low):
 * factor_i = 1 where λ < original/high, `factor` where λ > original/low, else 1 / ((1 − s)/factor + s).
 * (transformers `_compute_llama3_parameters`; llama.cpp divides each frequency by factor_i.)
 *
 * @param factors the tensor, `[headDim / 2]`
 */
export function matchLlama3(
  factors: Float32Array,
  theta: number,
  headDim: number,
): Record<string, unknown> | null | undefined {
  if (factors.every((f) => f === 1)) return null;
  const candidates = new Set([Math.round(factors.reduce((a, b) => Math.max(a, b))), 8, 32]);
  for (const factor of candidates) {
    if (llama3Factors(factor, theta, headDim).every((f, i) => Math.abs(f / factors[i]! - 1) < 1e-4))
      return { rope_type: 'llama3', factor, ...LLAMA3 };
  }
  return undefined;
}

/** The factors by the formula above, `[headDim / 2]`. */
export function llama3Factors(factor: number, theta: number, headDim: number): number[] {
  const { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = LLAMA3;
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const s = (original / wavelength - low) / (high - low);
    return 1 / ((1 - s) / factor + s);
  });
}
