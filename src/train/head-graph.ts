/**
 * @file Graphs of the head in vocabulary chunks: N predictions, D width, C vocabulary rows a chunk. With z = g Wᵀ,
 * l = softcap(z), lse = ln Σ eˡ over all chunks: dz = wₙ (softmax(l) − onehot(label)) · (1 − (l/cap)²). The graphs leave out
 * the one-hot share, which touches one row a prediction. Towards a teacher t whose logits the same head makes of its states h:
 * dz = wₙ (softmax(l) − softmax(t)) · (1 − (l/cap)²), the whole vocabulary.
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

  const { g, w, logits } = studentLogits(c, dtype);
  const p = mul(softmaxOf(logits, 'lse', dtype), input('coefficient', dtype, ['N', 1])); // [N,C]
  const dz = beforeCap(c, p, logits);
  const dg = matmul(dz, w);
  return {
    norm: { name: 'final_norm', outputs: { g: normed } },
    normBack: { name: 'final_norm.back', outputs: { dx, dgain } },
    forward: { name: 'head.forward', outputs: sumOfExponentials(logits) },
    back: { name: 'head.back', outputs: { dg, dw: matmul(dz, g, { transA: true }) } },
    backFrozen: { name: 'head.back.frozen', outputs: { dg } },
  };
}

/** Graphs of the loss KL(teacher ‖ model). */
interface TeacherGraphs {
  /** g, h [N,D], w [C,D], teacher_lse [N,1] → max, sum as without a teacher, and `gap` Σ softmax(t) (t − l), [N,1]. */
  readonly forward: Graph;
  /** g, h, w, lse, teacher_lse, coefficient [N,1] → this chunk's share of dg [N,D]. */
  readonly back: Graph;
}

/** The graphs of a model's head beside a teacher. */
export function teacherGraphs(c: ModelConfig, dtype: 'f32' | 'f64' = 'f32'): TeacherGraphs {
  const { w, logits } = studentLogits(c, dtype);
  const taught = logitsOf(c, input('h', dtype, ['N', c.dModel]), w);
  const wanted = softmaxOf(taught, 'teacher_lse', dtype); // [N,C]
  const gap = reduceSum(mul(wanted, sub(taught, logits)), [1], { keepDims: true });
  const off = mul(sub(softmaxOf(logits, 'lse', dtype), wanted), input('coefficient', dtype, ['N', 1]));
  return {
    forward: { name: 'head.teacher.forward', outputs: { ...sumOfExponentials(logits), gap } },
    back: { name: 'head.teacher.back', outputs: { dg: matmul(beforeCap(c, off, logits), w) } },
  };
}

function studentLogits(c: ModelConfig, dtype: 'f32' | 'f64'): { g: Node; w: Node; logits: Node } {
  const g = input('g', dtype, ['N', c.dModel]);
  const w = input('w', dtype, ['C', c.dModel]);
  return { g, w, logits: logitsOf(c, g, w) };
}

/** softcap(g Wᵀ), [N,C]. */
function logitsOf(c: ModelConfig, g: Node, w: Node): Node {
  const raw = matmul(g, w, { transB: true });
  return c.logitSoftcap === undefined ? raw : softcap(raw, c.logitSoftcap);
}

/** max and Σ exp(l − max) over a chunk, [N,1]. */
function sumOfExponentials(logits: Node): { max: Node; sum: Node } {
  const max = reduceMax(logits, [1], { keepDims: true });
  return { max, sum: reduceSum(exp(sub(logits, max)), [1], { keepDims: true }) };
}

/** exp(l − lse), lse over the whole vocabulary under the name `lse`. */
function softmaxOf(logits: Node, lse: string, dtype: 'f32' | 'f64'): Node {
  return exp(sub(logits, input(lse, dtype, ['N', 1])));
}

/** dz from dl: times 1 − (l/cap)² where there is a cap. */
function beforeCap(c: ModelConfig, dl: Node, logits: Node): Node {
  if (c.logitSoftcap === undefined) return dl;
  const t = scale(logits, 1 / c.logitSoftcap);
  return mul(dl, shift(neg(mul(t, t)), 1));
}
