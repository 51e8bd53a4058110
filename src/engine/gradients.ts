/**
 * @file One gradient rule per op. A rule is given dy, the gradient of the output y, and returns the gradient of each input,
 * built of the graph's own constructors. It may return a gradient of the broadcast shape: the walker (`grad.ts`) sums over
 * broadcast axes. `undefined` declares that no gradient flows.
 */

import { CrosspatchError } from '../base/index.ts';
import type { GradientRule } from './gradient-rule.ts';
import { attentionRule, rmsNormRule, rotaryRule, softmaxRule } from './gradients-fused.ts';
import {
  add,
  cast,
  concat,
  div,
  equal,
  expand,
  gatherRows,
  less,
  matmul,
  mul,
  type Node,
  neg,
  type Op,
  reduceSum,
  reshape,
  scalar,
  scale,
  scatterRows,
  slice,
  sub,
  transpose,
  unpack,
  where,
} from './graph.ts';
import { type Dim, normalAxis, productDim, type Shape } from './shape.ts';

const leaf = (): [] => [];

/** dy where the condition holds, else 0. */
const only = (condition: Node, dy: Node): Node => where(condition, dy, scalar(0, dy.dtype));
const unless = (condition: Node, dy: Node): Node => where(condition, scalar(0, dy.dtype), dy);

/** x reshaped as if a reduction over `axes` had kept them. */
function keptShape(shape: Shape, axes: readonly number[]): Shape {
  return shape.map((d, i) => (axes.includes(i) ? 1 : d));
}

/** [...,K] → [rows,K]. */
function flatRows(x: Node): Node {
  return reshape(x, [productDim(x.shape.slice(0, -1)), x.shape.at(-1) as Dim]);
}

const ones = (like: Node): Node => expand(scalar(1, like.dtype), like.shape);

/** Sums over the blocks of a packed matrix's rows: [N,blocks · block] → [N,blocks]. */
function blockSums(x: Node, { shape: [rows, blocks, bytes] }: Node): Node {
  return reduceSum(reshape(x, [rows, blocks, 2 * (bytes as number)]), [-1]);
}

const matmulRule: GradientRule<'matmul'> = (dy, { attrs: { transA, transB } }, a, b) => {
  // Y = A B: dA = dY Bᵀ, dB = Aᵀ dY; for a stored transposed, da = dAᵀ = B dYᵀ; for b, db = dBᵀ = dYᵀ A
  const da = transA ? matmul(b, dy, { transA: transB, transB: true }) : matmul(dy, b, { transB: !transB });
  // one matrix b under a batch of a's: a single product over all rows instead of a sum of products
  const shared = b.shape.length === 2 && a.shape.length > 2 && !transA;
  const [rows, dyRows] = shared ? [flatRows(a), flatRows(dy)] : [a, dy];
  const db = transB
    ? matmul(dyRows, rows, { transA: true, transB: transA })
    : matmul(rows, dyRows, { transA: !transA });
  return [da, db];
};

/** The gradient rule of every op. */
export const gradients: { readonly [O in Op]: GradientRule<O> } = {
  input: leaf,
  weight: leaf,
  constant: leaf,
  // d(−x) = −dx
  neg: (dy) => [neg(dy)],
  // d(eˣ) = eˣ·dx
  exp: (dy, y) => [mul(dy, y)],
  // d(ln x) = dx/x
  log: (dy, _, x) => [div(dy, x)],
  // d(√x) = dx/(2√x)
  sqrt: (dy, y) => [div(scale(dy, 0.5), y)],
  // d(1/x) = −x⁻²·dx
  reciprocal: (dy, y) => [neg(mul(dy, mul(y, y)))],
  // d(tanh x) = (1 − tanh²x)·dx
  tanh: (dy, y) => [mul(dy, sub(scalar(1, y.dtype), mul(y, y)))],
  // d(σ(x)) = σ(x)(1 − σ(x))·dx
  sigmoid: (dy, y) => [mul(dy, mul(y, sub(scalar(1, y.dtype), y)))],
  // d(max(x, 0)) = [x > 0]·dx; 0 at 0
  relu: (dy, _, x) => [only(less(scalar(0, x.dtype), x), dy)],
  // d(a + b) = da + db
  add: (dy) => [dy, dy],
  // d(a − b) = da − db
  sub: (dy) => [dy, neg(dy)],
  // d(ab) = b·da + a·db
  mul: (dy, _, a, b) => [mul(dy, b), mul(dy, a)],
  // d(a/b) = da/b − (a/b)/b·db
  div: (dy, y, _, b) => {
    const da = div(dy, b);
    return [da, neg(mul(da, y))];
  },
  // d(max(a, b)) = [a ≥ b]·da + [a < b]·db; a tie goes to a
  maximum: (dy, _, a, b) => {
    const second = less(a, b);
    return [unless(second, dy), only(second, dy)];
  },
  // steps: flat wherever they are continuous
  less: () => [undefined, undefined],
  equal: () => [undefined, undefined],
  // d(c ? a : b) = c ? da : db; the condition is discrete
  where: (dy, _, condition) => [undefined, only(condition, dy), unless(condition, dy)],
  // d(cast x) = cast(dx) between f32 and f64; integers, bools and the storage types f16 and bf16 carry no gradient
  cast: (dy, y, x) => {
    const flows = [x.dtype, y.dtype].every((t) => t === 'f32' || t === 'f64');
    return [flows ? cast(dy, x.dtype) : undefined];
  },
  matmul: matmulRule,
  // W = s (c − 8): ds = Σ over the block of dW (c − 8); the codes are discrete
  unpack: (dy, _, codes, scales) => [undefined, blockSums(mul(dy, unpack(codes, ones(scales))), codes)],
  // y = x Wᵀ: dx = dy W, and dW = dyᵀ x as for unpack
  packedLinear: (dy, _, x, codes, scales) => {
    const dw = matmul(flatRows(dy), flatRows(x), { transA: true });
    return [
      matmul(dy, unpack(codes, scales)),
      undefined,
      blockSums(mul(dw, unpack(codes, ones(scales))), codes),
    ];
  },
  // d(Σx) = Σdx: every element gets dy
  reduceSum: (dy, y, x) => [expand(reshape(dy, keptShape(x.shape, y.attrs.axes)), x.shape)],
  // d(max x) = mean of dx over the maximal elements: n ties get dy/n each
  reduceMax: (dy, y, x) => {
    const { axes } = y.attrs;
    const kept = keptShape(x.shape, axes);
    const hits = cast(equal(x, reshape(y, kept)), x.dtype);
    return [mul(hits, div(reshape(dy, kept), reduceSum(hits, axes, { keepDims: true })))];
  },
  // rearrangements: the inverse one
  reshape: (dy, _, x) => [reshape(dy, x.shape)],
  // broadcast: the walker sums
  expand: (dy) => [dy],
  transpose: (dy, y) => {
    const { perm } = y.attrs;
    const inverse = new Array<number>(perm.length);
    perm.forEach((p, i) => {
      inverse[normalAxis(p, perm.length, 'transpose')] = i;
    });
    return [transpose(dy, inverse)];
  },
  // each part gets its piece
  concat: (dy, { attrs: { axis } }, ...parts) => {
    let end = 0;
    return parts.map((part) => {
      const start = end;
      const size = part.shape[axis];
      if (typeof size !== 'number')
        throw new CrosspatchError(`concat: no gradient along an axis whose size is a name (${size})`, {
          id: 'graph-invalid',
        });
      end += size;
      return slice(dy, axis, start, end);
    });
  },
  // the piece, zeros around it
  slice: (dy, { attrs: { axis, start, end } }, x) => {
    const zeros = (size: number): Node[] =>
      size === 0 ? [] : [expand(scalar(0, dy.dtype), dy.shape.with(axis, size))];
    const size = x.shape[axis] as number;
    const parts = [...zeros(start), dy, ...zeros(size - end)];
    return [parts.length === 1 ? dy : concat(parts, axis)];
  },
  // dtable[r] = Σ of dy where ids = r; ids are discrete
  gatherRows: (dy, _, table, ids) => [scatterRows(ids, dy, table.shape[0] as number), undefined],
  // dupdates = dy[ids]; ids are discrete
  scatterRows: (dy, _, ids) => [undefined, gatherRows(dy, ids)],
  softmax: softmaxRule,
  // d(largest) = dx there, d(second) = dx there; among n equal ones each gets 1/n; the index is discrete
  topTwo: (dy, y, x) => {
    const last = y.shape.length - 1;
    const towards = (k: number): Node => {
      const hits = cast(equal(x, slice(y, last, k, k + 1)), x.dtype);
      return mul(hits, div(slice(dy, last, k, k + 1), reduceSum(hits, [last], { keepDims: true })));
    };
    return [add(towards(0), towards(1))];
  },
  rmsNorm: rmsNormRule,
  rotary: rotaryRule,
  attention: attentionRule,
};
