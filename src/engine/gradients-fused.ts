/**
 * @file Gradient rules of the fused decoder ops. They take nothing from the forward pass but its inputs and output, and
 * recompute what they need in primitives. B batch, T query token, S key token, D model, H query heads, K key heads,
 * G = H/K, Dh head size.
 */
import {
  attentionParts,
  inverseRms,
  mergeKeys,
  mergeQueries,
  rotaryPairs,
  splitQueries,
  ungroup,
} from './decompose.ts';
import type { GradientRule } from './gradient-rule.ts';
import {
  matmul,
  mul,
  type Node,
  neg,
  reduceSum,
  reshape,
  rotary,
  scalar,
  scale,
  slice,
  sub,
} from './graph.ts';
import type { Dim } from './shape.ts';

/** Σ ab over the last axis, kept: [...,N] → [...,1]. */
const rowDot = (a: Node, b: Node): Node => reduceSum(mul(a, b), [-1], { keepDims: true });

// y = softmax(x): dx = y ∘ (dy − Σ dy∘y)
export const softmaxRule: GradientRule<'softmax'> = (dy, y) => [mul(y, sub(dy, rowDot(dy, y)))];

// y = x̂∘w with x̂ = r·x, r = (mean(x²) + eps)^(−½), dr = −r³·mean(x∘dx):
// dx = r·(g − x̂·mean(g∘x̂)) with g = dy∘w; dw = dy∘x̂
export const rmsNormRule: GradientRule<'rmsNorm'> = (dy, y, x, w) => {
  const r = inverseRms(x, y.attrs.eps); // [...,1]
  const normed = mul(x, r); // [...,D]
  const g = mul(dy, w); // [...,D]
  const mean = scale(rowDot(g, normed), 1 / (x.shape.at(-1) as number)); // [...,1]
  return [mul(r, sub(g, mul(normed, mean))), mul(dy, normed)];
};

// y = R(θ) x for each pair: dx = R(−θ) dy. With (a, b) a pair of x and (da, db) of dy:
// dcos = Σ_heads a·da + b·db, dsin = ±Σ_heads a·db − b·da, minus for the inverse
export const rotaryRule: GradientRule<'rotary'> = (dy, { attrs: { heads, inverse } }, x, cos, sin) => {
  const pairs = rotaryPairs(x, heads); // [B,T,H,2,Dh/2]
  const dPairs = rotaryPairs(dy, heads); // [B,T,H,2,Dh/2]
  const half = (of: Node, i: number): Node => slice(of, 3, i, i + 1); // [B,T,H,1,Dh/2]
  const turn = sub(mul(half(pairs, 0), half(dPairs, 1)), mul(half(pairs, 1), half(dPairs, 0)));
  const dSin = reduceSum(turn, [2, 3]); // [B,T,Dh/2]
  return [
    rotary(dy, cos, sin, { heads, inverse: !inverse }),
    reduceSum(mul(pairs, dPairs), [2, 3]),
    inverse ? neg(dSin) : dSin,
  ];
};

// O = P V, P = softmax(C + M), C = cap·tanh(Z/cap) (or Z), Z = (scale·Q) Kᵀ:
// dV = Pᵀ dO; dP = dO Vᵀ; dC = P ∘ (dP − Σ_S dP∘P), where Σ_S dP∘P = Σ_Dh dO∘O (arXiv 2205.14135 §B.4);
// dZ = dC ∘ (1 − (C/cap)²); dQ = scale · dZ K; dK = dZᵀ (scale·Q); dM = Σ_heads dC
export const attentionRule: GradientRule<'attention'> = (dy, y, q, k, v, mask) => {
  const { attrs } = y;
  const { queries, keys, values, scores, probabilities } = attentionParts(q, k, v, mask, attrs);
  const dOut = splitQueries(dy, attrs); // [B,K,G·T,Dh]
  const out = splitQueries(y, attrs); // [B,K,G·T,Dh]
  const dValues = matmul(probabilities, dOut, { transA: true }); // [B,K,S,Dh]
  const dProbabilities = matmul(dOut, values, { transB: true }); // [B,K,G·T,S]
  const dCapped = mul(probabilities, sub(dProbabilities, rowDot(dOut, out))); // [B,K,G·T,S]
  const dScores = attrs.softcap === undefined ? dCapped : mul(dCapped, capSlope(scores, attrs.softcap));
  const dQueries = scale(matmul(dScores, keys), attrs.scale); // [B,K,G·T,Dh]
  const dKeys = matmul(dScores, queries, { transA: true }); // [B,K,S,Dh]
  const [, , T, S] = mask.shape as [Dim, 1, Dim, Dim];
  const dMask = reduceSum(ungroup(dCapped, T, attrs), [1, 2]); // [B,T,S]
  return [
    mergeQueries(dQueries, q, attrs),
    mergeKeys(dKeys),
    mergeKeys(dValues),
    reshape(dMask, [dMask.shape[0], 1, T, S]),
  ];
};

/** d(cap·tanh(z/cap))/dz = 1 − (c/cap)² at capped scores c. */
function capSlope(capped: Node, cap: number): Node {
  const t = scale(capped, 1 / cap);
  return sub(scalar(1, capped.dtype), mul(t, t));
}
