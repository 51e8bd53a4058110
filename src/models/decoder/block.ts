/**
 * @file One decoder block as graph pieces, for any family. The same pieces make the inference sessions (weights are leaves in
 * files), the training graphs (weights are inputs) and the float64 oracle.
 *
 * B batch, T new positions, S key positions, D model width, H heads, K key/value heads, E head size, F MLP width.
 */
import { add, attention, geluTanh, linear, mul, type Node, reshape, rmsNorm, rotary, type Shape, shift, silu } from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import type { BlockRole } from './weights.ts';

/** The tensor that plays a role in this block. Only roles the config has are asked for. */
export type BlockWeights = (role: BlockRole) => Node;

/** RMSNorm with the family's gain convention. x [..., n], gain [n]. */
export function familyNorm(c: ModelConfig, x: Node, gain: Node): Node {
  return rmsNorm(x, c.normGain === '1+w' ? shift(gain, 1) : gain, c.normEps);
}

function project(x: Node, w: Node, bias: Node | undefined): Node {
  const y = linear(x, w);
  return bias === undefined ? y : add(y, bias);
}

/** RMSNorm of every head: x [B,T,n·E], gain [E]. */
function headNorm(c: ModelConfig, x: Node, gain: Node, heads: number): Node {
  const [b, t] = x.shape as [string, string];
  const split: Shape = [b, t, heads, c.headDim];
  return reshape(familyNorm(c, reshape(x, split), gain), x.shape);
}

/** Normed, projected, rotated: x [B,T,D], cos and sin [B,T,E/2] → q [B,T,H·E], k and v [B,T,K·E]. */
export function qkv(c: ModelConfig, w: BlockWeights, x: Node, cos: Node, sin: Node): { q: Node; k: Node; v: Node } {
  const h = familyNorm(c, x, w('inputNorm')); // [B,T,D]
  let q = project(h, w('q'), c.qkvBias ? w('qBias') : undefined); // [B,T,H·E]
  let k = project(h, w('k'), c.qkvBias ? w('kBias') : undefined); // [B,T,K·E]
  const v = project(h, w('v'), c.qkvBias ? w('vBias') : undefined);
  if (c.qkNorm) {
    q = headNorm(c, q, w('qNorm'), c.nHeads);
    k = headNorm(c, k, w('kNorm'), c.nKvHeads);
  }
  return { q: rotary(q, cos, sin, { heads: c.nHeads }), k: rotary(k, cos, sin, { heads: c.nKvHeads }), v };
}

/** q [B,T,H·E] over k, v [B,S,K·E] under mask [B,1,T,S] → what attention adds to the residual, [B,T,D]. */
export function attentionOut(c: ModelConfig, w: BlockWeights, q: Node, k: Node, v: Node, mask: Node): { inner: Node; out: Node } {
  const mixed = attention(q, k, v, mask, {
    heads: c.nHeads,
    kvHeads: c.nKvHeads,
    scale: c.attentionScale,
    ...(c.attentionSoftcap === undefined ? {} : { softcap: c.attentionSoftcap }),
  });
  const inner = project(mixed, w('o'), c.outBias ? w('oBias') : undefined);
  return { inner, out: c.sandwichNorms ? familyNorm(c, inner, w('postAttentionNorm')) : inner };
}

/** Residual after attention [B,T,D] → what the MLP adds to it, [B,T,D]. */
export function mlpOut(c: ModelConfig, w: BlockWeights, mid: Node): { inner: Node; out: Node } {
  const h = familyNorm(c, mid, w('mlpNorm'));
  const gate = project(h, w('gate'), c.mlpBias ? w('gateBias') : undefined); // [B,T,F]
  const up = project(h, w('up'), c.mlpBias ? w('upBias') : undefined);
  const active = c.activation === 'silu' ? silu(gate) : geluTanh(gate);
  const inner = project(mul(active, up), w('down'), c.mlpBias ? w('downBias') : undefined);
  return { inner, out: c.sandwichNorms ? familyNorm(c, inner, w('postMlpNorm')) : inner };
}

/** A whole block without a cache: x [B,T,D], mask [B or 1,1,T,T] → residual after the block. */
export function wholeBlock(c: ModelConfig, w: BlockWeights, x: Node, cos: Node, sin: Node, mask: Node): { mid: Node; post: Node } {
  const { q, k, v } = qkv(c, w, x, cos, sin);
  const mid = add(x, attentionOut(c, w, q, k, v, mask).out);
  return { mid, post: add(mid, mlpOut(c, w, mid).out) };
}
