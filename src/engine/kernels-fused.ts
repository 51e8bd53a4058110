/**
 * @file Plain kernels of the fused decoder ops: B batch, T query token, S key token, D model, H heads, Dh head size.
 * Formulas and layouts are those of the constructors in `graph.ts`.
 */
import type { Kernel, Value } from './kernel.ts';

/** y = e^(x−m) / Σ e^(x−m), m the largest of the row. */
export const softmaxKernel: Kernel<'softmax'> = (_, x) => {
  const width = x.shape.at(-1) as number;
  const out = new Float64Array(x.data.length);
  for (let at = 0; at < out.length; at += width) {
    out.set(softmaxRow(x.data.subarray(at, at + width)), at);
  }
  return out;
};

function softmaxRow(row: Float64Array): Float64Array {
  const largest = row.reduce((m, v) => Math.max(m, v), Number.NEGATIVE_INFINITY);
  const powers = row.map((v) => Math.exp(v - largest));
  const total = powers.reduce((sum, v) => sum + v, 0);
  return powers.map((v) => v / total);
}

/** y = x · w / √(mean(x²) + eps) */
export const rmsNormKernel: Kernel<'rmsNorm'> = ({ attrs: { eps } }, x, w) => {
  const width = w.data.length;
  const out = new Float64Array(x.data.length);
  for (let at = 0; at < out.length; at += width) {
    const row = x.data.subarray(at, at + width);
    const meanSquare = row.reduce((sum, v) => sum + v * v, 0) / width;
    const inverse = 1 / Math.sqrt(meanSquare + eps);
    for (let i = 0; i < width; i++) out[at + i] = row[i] * inverse * w.data[i];
  }
  return out;
};

/** The batch entry that `b` reads: tensors of batch 1 serve every row. */
const batchOf = (x: Value, b: number): number => (x.shape[0] === 1 ? 0 : b);

/** For each pair (a, b) = (x[i], x[i+Dh/2]) of a head: (a cos − b sin, b cos + a sin); inverse: sin ← −sin. */
export const rotaryKernel: Kernel<'rotary'> = ({ attrs: { heads, inverse } }, x, cos, sin) => {
  const [B, T, width] = x.shape as [number, number, number];
  const half = cos.shape.at(-1) as number;
  const out = new Float64Array(x.data.length);
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      const angles = (batchOf(cos, b) * T + t) * half; // [B or 1,T,Dh/2]
      for (let h = 0; h < heads; h++) {
        const head = (b * T + t) * width + h * 2 * half; // [B,T,H·Dh]
        for (let i = 0; i < half; i++) {
          const c = cos.data[angles + i];
          const s = sin.data[angles + i] * (inverse ? -1 : 1);
          const first = x.data[head + i];
          const second = x.data[head + half + i];
          out[head + i] = first * c - second * s;
          out[head + half + i] = second * c + first * s;
        }
      }
    }
  }
  return out;
};

/** out = softmax(cap(scale · q kᵀ) + mask) v for each head; cap(z) = softcap · tanh(z / softcap), or z without a soft-cap. */
export const attentionKernel: Kernel<'attention'> = ({ attrs }, q, k, v, mask) => {
  const { heads, kvHeads, scale, softcap } = attrs;
  const [B, T, width] = q.shape as [number, number, number];
  const [, S, kvWidth] = k.shape as [number, number, number];
  const size = width / heads;
  const cap = (z: number): number => (softcap === undefined ? z : softcap * Math.tanh(z / softcap));
  const out = new Float64Array(q.data.length);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(h / (heads / kvHeads)) * size;
      for (let t = 0; t < T; t++) {
        const query = (b * T + t) * width + h * size; // [B,T,H·Dh]
        const keyOf = (s: number): number => (b * S + s) * kvWidth + kvHead; // [B,S,Hkv·Dh]
        const scores = new Float64Array(S);
        for (let s = 0; s < S; s++) {
          let dot = 0;
          for (let i = 0; i < size; i++) {
            dot += q.data[query + i] * k.data[keyOf(s) + i];
          }
          scores[s] = cap(scale * dot) + mask.data[(batchOf(mask, b) * T + t) * S + s];
        }
        softmaxRow(scores).forEach((p, s) => {
          for (let i = 0; i < size; i++) out[query + i] += p * v.data[keyOf(s) + i];
        });
      }
    }
  }
  return out;
};
