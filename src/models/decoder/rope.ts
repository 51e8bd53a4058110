/** @file Rotary angles: frequencies in float64, cos and sin tables grown on demand. */
import type { ModelConfig, RopeConfig } from '../config.ts';

/** Angular frequency of each of the headDim/2 pairs, radians per position (arXiv 2104.09864 §3.2.2). */
function inverseFrequencies(rope: RopeConfig, headDim: number): Float64Array {
  const { scaling } = rope;
  return Float64Array.from({ length: headDim / 2 }, (_, i) => {
    const base = rope.theta ** ((-2 * i) / headDim);
    if (scaling.kind === 'none') return base;
    if (scaling.kind === 'linear') return base / scaling.factor;
    // Llama 3.1: long waves are slowed by `factor`, short ones kept, those between blended (transformers, modeling_rope_utils).
    const wavelength = (2 * Math.PI) / base;
    const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
    if (wavelength > originalContext / lowFreqFactor) return base / factor;
    if (wavelength < originalContext / highFreqFactor) return base;
    const keep = (originalContext / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return (1 - keep) * (base / factor) + keep * base;
  });
}

/** The distinct kinds of rotary frequencies of a model, in order of first use. */
export function ropesOf(c: ModelConfig): RopeConfig[] {
  return [...new Set(c.blocks.map((b) => b.rope))];
}

/** cos and sin of every position up to the furthest asked for. */
export class RopeTable {
  readonly #frequencies: Float64Array;
  #positions = 0;
  #cos = new Float64Array(0);
  #sin = new Float64Array(0);

  constructor(rope: RopeConfig, headDim: number) {
    this.#frequencies = inverseFrequencies(rope, headDim);
  }

  /** Write rows for `positions` into cos and sin [positions.length, headDim/2]. */
  fill(
    positions: ArrayLike<number>,
    cos: Float32Array | Float64Array,
    sin: Float32Array | Float64Array,
  ): void {
    const half = this.#frequencies.length;
    let last = 0;
    for (let i = 0; i < positions.length; i++) last = Math.max(last, positions[i] as number);
    if (last >= this.#positions) this.#grow(Math.max(64, 2 * (last + 1)));
    for (let i = 0; i < positions.length; i++) {
      const from = (positions[i] as number) * half;
      cos.set(this.#cos.subarray(from, from + half), i * half);
      sin.set(this.#sin.subarray(from, from + half), i * half);
    }
  }

  #grow(positions: number): void {
    const half = this.#frequencies.length;
    this.#cos = new Float64Array(positions * half);
    this.#sin = new Float64Array(positions * half);
    for (let p = 0; p < positions; p++) {
      for (let i = 0; i < half; i++) {
        const angle = p * (this.#frequencies[i] as number);
        this.#cos[p * half + i] = Math.cos(angle);
        this.#sin[p * half + i] = Math.sin(angle);
      }
    }
    this.#positions = positions;
  }
}
