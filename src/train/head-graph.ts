/**
 * @file Graphs of the head in vocabulary chunks: N predictions, D width, C vocabulary rows a chunk. With z = g Wᵀ,
 * l = softcap(z), lse = ln Σ eˡ over all chunks: dz = wₙ (softmax(l) − onehot(label)) · (1 − (l/cap)²). The graphs leave out
 * the one-hot share, which touches one row a prediction.
 */
import {
  exp,
  type Graph,
  input,
  matmul,
  mul,
  type Node,
  neg,
  reduceMax,
  reduceSum,
  scale,
  shift,
  softcap,
  sub,
  vjp,
} from '../engine/index.ts';
import { familyNorm, type ModelConfig } from '../models/index.ts';

/** Graphs by what they compute. */
interface HeadGraphs {
  /** x [N,D], gain [D] → g [N,D]. */
  readonly norm: Graph;
  /** x, gain, dg [N,D] → dx [N,D], dgain [D]. */
  readonly normBack: Graph;
  /** g, w [C,D] → max and sum of exp(l − max), [N,1]. */
  readonly forward: Graph;
  /** g, w, lse [N,1], coefficient [N,1] → this chunk's share of dg [N,D], and dw [C,D]. */
  readonly back: Graph;
  /** The same without dw. */
  readonly backFrozen: Graph;
}

/** The graphs of a model's head. */
export function headGraphs(c: ModelConfig, dtype: 'f32' | 'f64' = 'f32'): HeadGraphs {
  const d = c.dModel;
  const x = input('x', dtype, ['N', d]);
  const gain = input('gain', dtype, [d]);
  const normed = familyNorm(c, x, gain);
  const seed = input('dg', dtype, ['N', d]);
  const [dx, dgain] = vjp({ g: normed }, { of: { g: seed }, wrt: [x, gain] }) as [Node, Node];

  const g = input('g', dtype, ['N', d]);
  const w = input('w', dtype, ['C', d]);
  const raw = matmul(g, w, { transB: true }); // [N,C]
  const cap = c.logitSoftcap;
  const logits = cap === undefined ? raw : softcap(raw, cap);
  const max = reduceMax(logits, [1], { keepDims: true }); // [N,1]
  const sum = reduceSum(exp(sub(logits, max)), [1], { keepDims: true });
  const lse = input('lse', dtype, ['N', 1]);
  const p = mul(exp(sub(logits, lse)), input('coefficient', dtype, ['N', 1])); // [N,C]
  const dz = cap === undefined ? p : mul(p, capSlope(logits, cap));
  const dg = matmul(dz, w);
  return {
    norm: { name: 'final_norm', outputs: { g: normed } },
    normBack: { name: 'final_norm.back', outputs: { dx, dgain } },
    forward: { name: 'head.forward', outputs: { max, sum } },
    back: { name: 'head.back', outputs: { dg, dw: matmul(dz, g, { transA: true }) } },
    backFrozen: { name: 'head.back.frozen', outputs: { dg } },
  };
}

/** 1 − (l/cap)². */
function capSlope(logits: Node, cap: number): Node {
  const t = scale(logits, 1 / cap);
  return shift(neg(mul(t, t)), 1);
}
