/**
 * @file The fused decoder ops written out in primitives: for targets without the fused kernels, and for their gradients.
 * B batch, T query token, S key token, D model, H query heads, K key heads, G = H/K queries a key head, Dh head size.
 */
import {
  add,
  concat,
  matmul,
  mul,
  type Node,
  neg,
  type OpAttrs,
  reciprocal,
  reduceSum,
  reshape,
  scale,
  shift,
  slice,
  softcap,
  softmax,
  sqrt,
  sub,
  transpose,
  unpack,
} from './graph.ts';
import { type Dim, productDim } from './shape.ts';

/** {@link rmsNorm} in primitives: x [...,D], w [D] → [...,D]. */
export function rmsNormDecomposed(x: Node, w: Node, { eps }: OpAttrs['rmsNorm']): Node {
  return mul(mul(x, inverseRms(x, eps)), w);
}

/** 1/√(mean(x²) + eps) over the last axis, whose size must be a number: [...,D] → [...,1]. */
export function inverseRms(x: Node, eps: number): Node {
  const meanSquare = scale(reduceSum(mul(x, x), [-1], { keepDims: true }), 1 / (x.shape.at(-1) as number));
  return reciprocal(sqrt(shift(meanSquare, eps)));
}

/** {@link rotary} in primitives: x [B,T,H·Dh], cos and sin [B or 1,T,Dh/2] → [B,T,H·Dh]. */
export function rotaryDecomposed(x: Node, cos: Node, sin: Node, { heads, inverse }: OpAttrs['rotary']): Node {
  const pairs = rotaryPairs(x, heads); // [B,T,H,2,Dh/2]
  const first = slice(pairs, 3, 0, 1); // [B,T,H,1,Dh/2]
  const second = slice(pairs, 3, 1, 2); // [B,T,H,1,Dh/2]
  const angleShape = [...cos.shape.slice(0, 2), 1, 1, cos.shape[2]];
  const c = reshape(cos, angleShape); // [B,T,1,1,Dh/2]
  const s = reshape(inverse ? neg(sin) : sin, angleShape); // [B,T,1,1,Dh/2]
  const turned = [sub(mul(first, c), mul(second, s)), add(mul(second, c), mul(first, s))];
  return reshape(concat(turned, 3), x.shape);
}

/** The two halves of each head on an axis of their own: [B,T,H·Dh] → [B,T,H,2,Dh/2]. */
export function rotaryPairs(x: Node, heads: number): Node {
  const [B, T, width] = x.shape as [Dim, Dim, number];
  return reshape(x, [B, T, heads, 2, width / heads / 2]);
}

/** {@link packedLinear} by way of the whole matrix: x [...,K], codes [N,blocks,bytes], scales [N,blocks] → [...,N]. */
export function packedLinearDecomposed(x: Node, codes: Node, scales: Node): Node {
  return matmul(x, unpack(codes, scales), { transB: true });
}

/** {@link attention} in primitives: q [B,T,H·Dh], k and v [B,S,K·Dh], mask [B or 1,1,T,S] → [B,T,H·Dh]. */
export function attentionDecomposed(
  q: Node,
  k: Node,
  v: Node,
  mask: Node,
  attrs: OpAttrs['attention'],
): Node {
  const { probabilities, values } = attentionParts(q, k, v, mask, attrs);
  return mergeQueries(matmul(probabilities, values), q, attrs); // [B,K,G·T,S] × [B,K,S,Dh]
}

/** The stages of attention. The queries that share a key head are rows of one product: G·T rows for each key head. */
interface AttentionParts {
  /** scale · q, [B,K,G·T,Dh]. */
  readonly queries: Node;
  /** k, [B,K,S,Dh]. */
  readonly keys: Node;
  /** v, [B,K,S,Dh]. */
  readonly values: Node;
  /** Scores before the mask, after the soft-cap if any, [B,K,G·T,S]. */
  readonly scores: Node;
  /** Softmax of the masked scores, [B,K,G·T,S]. */
  readonly probabilities: Node;
}

/** Attention up to its probabilities. Shapes as in {@link attentionDecomposed}. */
export function attentionParts(
  q: Node,
  k: Node,
  v: Node,
  mask: Node,
  attrs: OpAttrs['attention'],
): AttentionParts {
  const queries = scale(splitQueries(q, attrs), attrs.scale); // [B,K,G·T,Dh]
  const keys = splitKeys(k, attrs); // [B,K,S,Dh]
  const raw = matmul(queries, keys, { transB: true }); // [B,K,G·T,S]
  const scores = attrs.softcap === undefined ? raw : softcap(raw, attrs.softcap);
  const [Bm, , T, S] = mask.shape as [Dim, 1, Dim, Dim];
  const masked = add(ungroup(scores, T, attrs), reshape(mask, [Bm, 1, 1, T, S])); // [B,K,G,T,S]
  const probabilities = reshape(softmax(masked), scores.shape);
  return { queries, keys, values: splitKeys(v, attrs), scores, probabilities };
}

type Heads = Pick<OpAttrs['attention'], 'heads' | 'kvHeads'>;

/** [B,T,H·Dh] → [B,K,G·T,Dh]: query heads of one key head one after the other. */
export function splitQueries(x: Node, { heads, kvHeads }: Heads): Node {
  const [B, T, width] = x.shape as [Dim, Dim, number];
  const groups = heads / kvHeads;
  const split = reshape(x, [B, T, kvHeads, groups, width / heads]);
  return reshape(transpose(split, [0, 2, 3, 1, 4]), [B, kvHeads, productDim([groups, T]), width / heads]);
}

/** [B,K,G·T,Dh] → [B,T,H·Dh], the sizes of T and H·Dh being those of `like`. */
export function mergeQueries(x: Node, like: Node, heads: Heads): Node {
  const [, T, width] = like.shape as [Dim, Dim, number];
  const merged = transpose(ungroup(x, T, heads), [0, 3, 1, 2, 4]); // [B,T,K,G,Dh]
  return reshape(merged, [x.shape[0], T, width]);
}

/** [B,S,K·Dh] → [B,K,S,Dh]. */
function splitKeys(x: Node, { kvHeads }: Heads): Node {
  const [B, S, width] = x.shape as [Dim, Dim, number];
  return transpose(reshape(x, [B, S, kvHeads, width / kvHeads]), [0, 2, 1, 3]);
}

/** [B,K,S,Dh] → [B,S,K·Dh]. */
export function mergeKeys(x: Node): Node {
  const [B, kvHeads, S, size] = x.shape as [Dim, number, Dim, number];
  return reshape(transpose(x, [0, 2, 1, 3]), [B, S, kvHeads * size]);
}

/** [B,K,G·T,N] → [B,K,G,T,N]. */
export function ungroup(x: Node, T: Dim, { heads, kvHeads }: Heads): Node {
  return reshape(x, [x.shape[0], kvHeads, heads / kvHeads, T, x.shape[3]]);
}
