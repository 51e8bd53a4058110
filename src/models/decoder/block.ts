/**
 * @file One decoder block as graph pieces, for any family. The same pieces make the inference sessions (weights are leaves in
 * files), the training graphs (weights are inputs) and the float64 oracle.
 *
 * B batch, T new positions, S key positions, D model width, H heads, K key/value heads, E head size, F MLP width.
 */
import {
  add,
  attention,
  geluTanh,
  linear,
  mul,
  type Node,
  reshape,
  rmsNorm,
  rotary,
  type Shape,
  shift,
  silu,
} from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import type { BlockRole } from './weights.ts';

/** The tensors of one block. Only roles the config has are asked for. */
export interface BlockWeights {
  /** The tensor that plays a role. */
  tensor(role: BlockRole): Node;
  /** x [..., in] through the matrix of a role; an adapter adds its share here. */
  project(x: Node, role: BlockRole): Node;
}

/** Plain weights: a projection is one product. */
export function plainWeights(tensor: (role: BlockRole) => Node): BlockWeights {
  return { tensor, project: (x, role) => linear(x, tensor(role)) };
}

/** RMSNorm with the family's gain convention. x [..., n], gain [n]. */
export function familyNorm(c: ModelConfig, x: Node, gain: Node): Node {
  return rmsNorm(x, c.normGain === '1+w' ? shift(gain, 1) : gain, c.normEps);
}

function project(w: BlockWeights, x: Node, role: BlockRole, bias: BlockRole | undefined): Node {
  const y = w.project(x, role);
  return bias === undefined ? y : add(y, w.tensor(bias));
}

/** RMSNorm of every head: x [B,T,n·E], gain [E]. */
function headNorm(c: ModelConfig, x: Node, gain: Node, heads: number): Node {
  const [b, t] = x.shape as [string, string];
  const split: Shape = [b, t, heads, c.headDim];
  return reshape(familyNorm(c, reshape(x, split), gain), x.shape);
}

/** Normed, projected, rotated: x [B,T,D], cos and sin [B,T,E/2] → q [B,T,H·E], k and v [B,T,K·E]. */
export function qkv(
  c: ModelConfig,
  w: BlockWeights,
  x: Node,
  cos: Node,
  sin: Node,
): { q: Node; k: Node; v: Node } {
  const h = familyNorm(c, x, w.tensor('inputNorm')); // [B,T,D]
  let q = project(w, h, 'q', c.qkvBias ? 'qBias' : undefined); // [B,T,H·E]
  let k = project(w, h, 'k', c.qkvBias ? 'kBias' : undefined); // [B,T,K·E]
  const v = project(w, h, 'v', c.qkvBias ? 'vBias' : undefined);
  if (c.qkNorm) {
    q = headNorm(c, q, w.tensor('qNorm'), c.nHeads);
    k = headNorm(c, k, w.tensor('kNorm'), c.nKvHeads);
  }
  return { q: rotary(q, cos, sin, { heads: c.nHeads }), k: rotary(k, cos, sin, { heads: c.nKvHeads }), v };
}

/** q [B,T,H·E] over k, v [B,S,K·E] under mask [B,1,T,S] → what attention adds to the residual, [B,T,D]. */
export function attentionOut(
  c: ModelConfig,
  w: BlockWeights,
  q: Node,
  k: Node,
  v: Node,
  mask: Node,
): { inner: Node; out: Node } {
  const mixed = attention(q, k, v, mask, {
    heads: c.nHeads,
    kvHeads: c.nKvHeads,
    scale: c.attentionScale,
    softcap: c.attentionSoftcap,
  });
  const inner = project(w, mixed, 'o', c.outBias ? 'oBias' : undefined);
  return { inner, out: c.sandwichNorms ? familyNorm(c, inner, w.tensor('postAttentionNorm')) : inner };
}

/** Residual after attention [B,T,D] → what the MLP adds to it, [B,T,D]. */
export function mlpOut(c: ModelConfig, w: BlockWeights, mid: Node): { inner: Node; out: Node } {
  const h = familyNorm(c, mid, w.tensor('mlpNorm'));
  const gate = project(w, h, 'gate', c.mlpBias ? 'gateBias' : undefined); // [B,T,F]
  const up = project(w, h, 'up', c.mlpBias ? 'upBias' : undefined);
  const active = c.activation === 'silu' ? silu(gate) : geluTanh(gate);
  const inner = project(w, mul(active, up), 'down', c.mlpBias ? 'downBias' : undefined);
  return { inner, out: c.sandwichNorms ? familyNorm(c, inner, w.tensor('postMlpNorm')) : inner };
}

/** A whole block without a cache: x [B,T,D], mask [B or 1,1,T,T] → residual after the block. */
export function wholeBlock(
  c: ModelConfig,
  w: BlockWeights,
  x: Node,
  cos: Node,
  sin: Node,
  mask: Node,
): { mid: Node; post: Node } {
  const { q, k, v } = qkv(c, w, x, cos, sin);
  const mid = add(x, attentionOut(c, w, q, k, v, mask).out);
  return { mid, post: add(mid, mlpOut(c, w, mid).out) };
}
