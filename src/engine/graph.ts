/**
 * @file The graph: immutable nodes, each with one output of known dtype and (partly named) shape. Constructors check and
 * infer at build time, so an ill-shaped graph cannot be made. A graph prints, interprets itself in float64
 * (`interpret.ts`), differentiates itself (`grad.ts`) and emits ONNX (`onnx/`).
 *
 * Every op is one key of {@link OpAttrs}; tables over it (`kernels`, `gradients`, `emitters`) are exhaustive by type.
 */
import { CrosspatchError } from '../base/index.ts';
import {
  broadcastShapes,
  type Dim,
  normalAxis,
  productDim,
  type Shape,
  sameShape,
  shapeText,
} from './shape.ts';
import type { DType, Tensor } from './tensor.ts';

type None = Record<never, never>;

/** The attributes of every op. Inputs are listed in the constructor's docstring. */
export interface OpAttrs {
  input: { readonly name: string };
  weight: { readonly name: string };
  constant: { readonly value: Tensor };
  neg: None;
  exp: None;
  log: None;
  sqrt: None;
  reciprocal: None;
  tanh: None;
  sigmoid: None;
  relu: None;
  add: None;
  sub: None;
  mul: None;
  div: None;
  maximum: None;
  less: None;
  equal: None;
  where: None;
  cast: { readonly to: DType };
  matmul: { readonly transA: boolean; readonly transB: boolean };
  unpack: None;
  packedLinear: None;
  reduceSum: { readonly axes: readonly number[]; readonly keepDims: boolean };
  reduceMax: { readonly axes: readonly number[]; readonly keepDims: boolean };
  reshape: { readonly shape: Shape };
  expand: { readonly shape: Shape };
  transpose: { readonly perm: readonly number[] };
  concat: { readonly axis: number };
  slice: { readonly axis: number; readonly start: number; readonly end: number };
  gatherRows: None;
  scatterRows: { readonly rows: number };
  softmax: None;
  topTwo: None;
  rmsNorm: { readonly eps: number };
  rotary: { readonly heads: number; readonly inverse: boolean };
  attention: {
    readonly heads: number;
    readonly kvHeads: number;
    readonly scale: number;
    /** `cap · tanh(score / cap)` before the mask; absent = none. */
    readonly softcap?: number;
  };
}

/** Name of an op. */
export type Op = keyof OpAttrs;

/** One op applied to its inputs. `O` narrows `attrs`. */
export interface Node<O extends Op = Op> {
  readonly op: O;
  readonly inputs: readonly Node[];
  readonly attrs: OpAttrs[O];
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A named function from inputs (and weights) to outputs. */
export interface Graph {
  readonly name: string;
  readonly outputs: Readonly<Record<string, Node>>;
}

function node<O extends Op>(
  op: O,
  inputs: readonly Node[],
  attrs: OpAttrs[O],
  dtype: DType,
  shape: Shape,
): Node<O> {
  return { op, inputs, attrs, dtype, shape };
}

function isFloat(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'f64';
}

function wantFloat(x: Node, where: string): void {
  if (!isFloat(x.dtype))
    throw new CrosspatchError(`${where}: wanted f32 or f64, got ${x.dtype}${shapeText(x.shape)}`, {
      id: 'graph-invalid',
    });
}

function wantSame(a: Node, b: Node, where: string): void {
  if (a.dtype !== b.dtype)
    throw new CrosspatchError(
      `${where}: dtypes differ: ${a.dtype}${shapeText(a.shape)} and ${b.dtype}${shapeText(b.shape)}`,
      { id: 'graph-invalid' },
    );
}

// ── leaves ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A tensor fed at every run. */
export function input(name: string, dtype: DType, shape: Shape): Node<'input'> {
  return node('input', [], { name }, dtype, shape);
}

/** A tensor bound once, when the session is made (a file's bytes or a buffer). */
export function weight(name: string, dtype: DType, shape: readonly number[]): Node<'weight'> {
  return node('weight', [], { name }, dtype, shape);
}

/** A tensor written into the graph; meant for small ones. */
export function constant(value: Tensor): Node<'constant'> {
  return node('constant', [], { value }, value.dtype, value.shape);
}

/** A scalar of `dtype` (f32 or f64), shape []. */
export function scalar(value: number, dtype: DType): Node<'constant'> {
  if (dtype === 'f32') return constant({ dtype, shape: [], data: Float32Array.of(value) });
  if (dtype === 'f64') return constant({ dtype, shape: [], data: Float64Array.of(value) });
  throw new CrosspatchError(`scalar: wanted f32 or f64, got ${dtype}`, { id: 'graph-invalid' });
}

// ── elementwise ─────────────────────────────────────────────────────────────────────────────────────────────────────

type UnaryOp = 'neg' | 'exp' | 'log' | 'sqrt' | 'reciprocal' | 'tanh' | 'sigmoid' | 'relu';

function unary<O extends UnaryOp>(op: O, x: Node): Node<O> {
  wantFloat(x, op);
  return node(op, [x], {}, x.dtype, x.shape);
}

/** −x */
export const neg = (x: Node): Node => unary('neg', x);
/** eˣ */
export const exp = (x: Node): Node => unary('exp', x);
/** ln x */
export const log = (x: Node): Node => unary('log', x);
/** √x */
export const sqrt = (x: Node): Node => unary('sqrt', x);
/** 1/x */
export const reciprocal = (x: Node): Node => unary('reciprocal', x);
/** tanh x */
export const tanh = (x: Node): Node => unary('tanh', x);
/** 1 / (1 + e⁻ˣ) */
export const sigmoid = (x: Node): Node => unary('sigmoid', x);
/** max(x, 0) */
export const relu = (x: Node): Node => unary('relu', x);

type BinaryOp = 'add' | 'sub' | 'mul' | 'div' | 'maximum';

function binary<O extends BinaryOp>(op: O, a: Node, b: Node): Node<O> {
  wantFloat(a, op);
  wantSame(a, b, op);
  return node(op, [a, b], {}, a.dtype, broadcastShapes(a.shape, b.shape, op));
}

/** a + b, broadcast */
export const add = (a: Node, b: Node): Node => binary('add', a, b);
/** a − b, broadcast */
export const sub = (a: Node, b: Node): Node => binary('sub', a, b);
/** a · b, broadcast */
export const mul = (a: Node, b: Node): Node => binary('mul', a, b);
/** a / b, broadcast */
export const div = (a: Node, b: Node): Node => binary('div', a, b);
/** max(a, b), broadcast; a tie sends the whole gradient to `a` */
export const maximum = (a: Node, b: Node): Node => binary('maximum', a, b);
/** x · s for a plain number */
export const scale = (x: Node, s: number): Node => (s === 1 ? x : mul(x, scalar(s, x.dtype)));
/** x + s for a plain number */
export const shift = (x: Node, s: number): Node => (s === 0 ? x : add(x, scalar(s, x.dtype)));

/** a < b, as bool, broadcast */
export function less(a: Node, b: Node): Node {
  wantSame(a, b, 'less');
  return node('less', [a, b], {}, 'bool', broadcastShapes(a.shape, b.shape, 'less'));
}

/** a = b, as bool, broadcast */
export function equal(a: Node, b: Node): Node {
  wantSame(a, b, 'equal');
  return node('equal', [a, b], {}, 'bool', broadcastShapes(a.shape, b.shape, 'equal'));
}

/** condition ? a : b, broadcast; condition is bool */
export function where(condition: Node, a: Node, b: Node): Node {
  wantSame(a, b, 'where');
  if (condition.dtype !== 'bool')
    throw new CrosspatchError(`where: wanted a bool condition, got ${condition.dtype}`, {
      id: 'graph-invalid',
    });
  const shape = broadcastShapes(condition.shape, broadcastShapes(a.shape, b.shape, 'where'), 'where');
  return node('where', [condition, a, b], {}, a.dtype, shape);
}

/** Change of dtype. f16/bf16 may be cast from, never to. */
export function cast(x: Node, to: DType): Node {
  if (x.dtype === to) return x;
  if (to === 'f16' || to === 'bf16')
    throw new CrosspatchError(`cast: ${to} is a storage type and cannot be computed`, {
      id: 'graph-invalid',
    });
  return node('cast', [x], { to }, to, x.shape);
}

// ── products and reductions ─────────────────────────────────────────────────────────────────────────────────────────

/** Matrix product over the last two axes, leading axes broadcast. `transA`/`transB` swap the last two axes first. */
export function matmul(a: Node, b: Node, { transA = false, transB = false } = {}): Node {
  wantFloat(a, 'matmul');
  wantSame(a, b, 'matmul');
  const ra = a.shape.length;
  const rb = b.shape.length;
  if (ra < 2 || rb < 2)
    throw new CrosspatchError(`matmul: wanted rank ≥ 2, got ${shapeText(a.shape)} × ${shapeText(b.shape)}`, {
      id: 'graph-invalid',
    });
  const m = a.shape[transA ? ra - 1 : ra - 2];
  const ka = a.shape[transA ? ra - 2 : ra - 1];
  const kb = b.shape[transB ? rb - 1 : rb - 2];
  const n = b.shape[transB ? rb - 2 : rb - 1];
  if (ka !== kb) {
    throw new CrosspatchError(
      `matmul: inner sizes differ: ${shapeText(a.shape)}${transA ? 'ᵀ' : ''} × ${shapeText(b.shape)}${transB ? 'ᵀ' : ''}`,
      { id: 'graph-invalid' },
    );
  }
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2), 'matmul');
  return node('matmul', [a, b], { transA, transB }, a.dtype, [...batch, m, n]);
}

/** y = x Wᵀ for x [..., K] and W [N, K] as checkpoints store it; leading axes of x are flattened for one 2-D product. */
export function linear(x: Node, w: Node): Node {
  if (x.shape.length === 2) return matmul(x, w, { transB: true });
  const rows = productDim(x.shape.slice(0, -1));
  const flat = reshape(x, [rows, x.shape.at(-1) as Dim]);
  return reshape(matmul(flat, w, { transB: true }), [...x.shape.slice(0, -1), w.shape[0]]);
}

/**
 * A matrix of 4-bit numbers with a scale per block: W[n, k] = scale[n, b] · (code[n, k] − 8), b = ⌊k / block⌋.
 *
 * @param codes u8 [N, blocks, block / 2]: value 2j of a block in the low half of its byte j, value 2j + 1 in the high one
 * @param scales float [N, blocks]
 * @returns float [N, blocks · block]
 */
export function unpack(codes: Node, scales: Node): Node {
  const [rows, width] = packedShape(codes, scales, 'unpack');
  return node('unpack', [codes, scales], {}, scales.dtype, [rows, width]);
}

/** y = x Wᵀ for x [..., K] and W = {@link unpack}(codes, scales), which is not made where the target has a kernel. */
export function packedLinear(x: Node, codes: Node, scales: Node): Node {
  wantFloat(x, 'packedLinear');
  wantSame(x, scales, 'packedLinear');
  const [rows, width] = packedShape(codes, scales, 'packedLinear');
  if (x.shape.length < 2 || x.shape.at(-1) !== width)
    throw new CrosspatchError(
      `packedLinear: inner sizes differ: ${shapeText(x.shape)} × ${shapeText([rows, width])}ᵀ`,
      { id: 'graph-invalid' },
    );
  return node('packedLinear', [x, codes, scales], {}, x.dtype, x.shape.with(-1, rows));
}

/** Rows and columns of a packed matrix. */
function packedShape(codes: Node, scales: Node, where: string): [number, number] {
  const [rows, blocks, bytes] = codes.shape;
  if (
    codes.dtype !== 'u8' ||
    codes.shape.length !== 3 ||
    typeof rows !== 'number' ||
    typeof blocks !== 'number' ||
    typeof bytes !== 'number' ||
    !sameShape(scales.shape, [rows, blocks])
  )
    throw new CrosspatchError(
      `${where}: wanted codes u8 [N,blocks,bytes] and scales [N,blocks], got ${codes.dtype}${shapeText(codes.shape)} and ${scales.dtype}${shapeText(scales.shape)}`,
      { id: 'graph-invalid' },
    );
  wantFloat(scales, where);
  return [rows, blocks * bytes * 2];
}

function reduce<O extends 'reduceSum' | 'reduceMax'>(
  op: O,
  x: Node,
  axes: readonly number[],
  keepDims: boolean,
): Node<O> {
  wantFloat(x, op);
  const normal = [...new Set(axes.map((a) => normalAxis(a, x.shape.length, op)))].sort((p, q) => p - q);
  const shape: Dim[] = [];
  x.shape.forEach((d, i) => {
    if (!normal.includes(i)) shape.push(d);
    else if (keepDims) shape.push(1);
  });
  return node(op, [x], { axes: normal, keepDims }, x.dtype, shape);
}

/** Sum over `axes`. */
export const reduceSum = (x: Node, axes: readonly number[], { keepDims = false } = {}): Node =>
  reduce('reduceSum', x, axes, keepDims);
/** Largest over `axes`; ties share nothing: the gradient goes to every maximal element divided by their number. */
export const reduceMax = (x: Node, axes: readonly number[], { keepDims = false } = {}): Node =>
  reduce('reduceMax', x, axes, keepDims);

/**
 * The two largest of the last axis and where the largest stands: x [..., V], V ≥ 2 → [..., 3] of largest, second largest, index of the
 * largest (the first of equals; exact in f32 up to 2²⁴). The gradient goes to the two; ties share it.
 */
export function topTwo(x: Node): Node {
  wantFloat(x, 'topTwo');
  const width = x.shape.at(-1);
  if (typeof width !== 'number' || width < 2)
    throw new CrosspatchError(`topTwo: wanted a last axis of 2 or more, got ${shapeText(x.shape)}`, {
      id: 'graph-invalid',
    });
  return node('topTwo', [x], {}, x.dtype, x.shape.with(-1, 3));
}

// ── shape ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The same elements in another shape. Names must be bound by some input, or be the product of names that are. */
export function reshape(x: Node, shape: Shape): Node {
  if (sameShape(x.shape, shape)) return x;
  const numeric = (s: Shape): s is readonly number[] => s.every((d) => typeof d === 'number');
  if (numeric(x.shape) && numeric(shape)) {
    const a = x.shape.reduce((p, n) => p * n, 1);
    const b = shape.reduce((p, n) => p * n, 1);
    if (a !== b)
      throw new CrosspatchError(
        `reshape: ${shapeText(x.shape)} has ${a} elements, ${shapeText(shape)} wants ${b}`,
        { id: 'graph-invalid' },
      );
  }
  return node('reshape', [x], { shape }, x.dtype, shape);
}

/** Broadcast to `shape`. */
export function expand(x: Node, shape: Shape): Node {
  if (sameShape(x.shape, shape)) return x;
  if (!sameShape(broadcastShapes(x.shape, shape, 'expand'), shape)) {
    throw new CrosspatchError(`expand: ${shapeText(x.shape)} does not broadcast to ${shapeText(shape)}`, {
      id: 'graph-invalid',
    });
  }
  return node('expand', [x], { shape }, x.dtype, shape);
}

/** Axes in another order: output axis i is input axis perm[i]. */
export function transpose(x: Node, perm: readonly number[]): Node {
  if (perm.length !== x.shape.length || new Set(perm).size !== perm.length) {
    throw new CrosspatchError(
      `transpose: [${perm.join(',')}] is not a permutation of the axes of ${shapeText(x.shape)}`,
      { id: 'graph-invalid' },
    );
  }
  return node(
    'transpose',
    [x],
    { perm },
    x.dtype,
    perm.map((p) => x.shape[normalAxis(p, x.shape.length, 'transpose')]),
  );
}

/**
 * Tensors joined along one axis. Its sizes must be numbers, unless `as` names the joined one: then the parts' may be names too,
 * and another input of the graph must have a size called `as`.
 */
export function concat(parts: readonly Node[], axis: number, as?: string): Node {
  const first = parts[0];
  if (first === undefined) throw new CrosspatchError('concat: nothing to join', { id: 'graph-invalid' });
  const a = normalAxis(axis, first.shape.length, 'concat');
  let total = 0;
  for (const p of parts) {
    wantSame(first, p, 'concat');
    const d = p.shape[a];
    const rest =
      p.shape.length === first.shape.length && p.shape.every((e, i) => i === a || e === first.shape[i]);
    if (!rest || (typeof d !== 'number' && as === undefined))
      throw new CrosspatchError(
        `concat: ${shapeText(p.shape)} does not join ${shapeText(first.shape)} on axis ${a}`,
        { id: 'graph-invalid' },
      );
    total += Number(d);
  }
  return node(
    'concat',
    parts,
    { axis: a },
    first.dtype,
    first.shape.map((d, i) => (i === a ? (as ?? total) : d)),
  );
}

/** Elements start…end−1 of one axis, whose size must be a number. */
export function slice(x: Node, axis: number, start: number, end: number): Node {
  const a = normalAxis(axis, x.shape.length, 'slice');
  const n = x.shape[a];
  if (typeof n !== 'number' || start < 0 || end > n || start >= end) {
    throw new CrosspatchError(`slice: ${start}…${end} is not inside axis ${a} of ${shapeText(x.shape)}`, {
      id: 'graph-invalid',
    });
  }
  return node(
    'slice',
    [x],
    { axis: a, start, end },
    x.dtype,
    x.shape.map((d, i) => (i === a ? end - start : d)),
  );
}

// ── indexed ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Rows of a table: table [R, D], ids i64 [...] → [..., D]. */
export function gatherRows(table: Node, ids: Node): Node {
  if (ids.dtype !== 'i64' || table.shape.length !== 2) {
    throw new CrosspatchError(
      `gatherRows: wanted a table [R,D] and i64 ids, got ${shapeText(table.shape)} and ${ids.dtype}`,
      { id: 'graph-invalid' },
    );
  }
  return node('gatherRows', [table, ids], {}, table.dtype, [...ids.shape, table.shape[1]]);
}

/** The transpose of {@link gatherRows}: ids i64 [...], updates [..., D] → [rows, D], repeated ids added up. */
export function scatterRows(ids: Node, updates: Node, rows: number): Node {
  if (ids.dtype !== 'i64' || !sameShape(ids.shape, updates.shape.slice(0, -1))) {
    throw new CrosspatchError(
      `scatterRows: ids ${shapeText(ids.shape)} do not index updates ${shapeText(updates.shape)}`,
      { id: 'graph-invalid' },
    );
  }
  return node('scatterRows', [ids, updates], { rows }, updates.dtype, [rows, updates.shape.at(-1) as Dim]);
}

// ── fused pieces of a decoder ───────────────────────────────────────────────────────────────────────────────────────

/** Softmax over the last axis. */
export function softmax(x: Node): Node {
  wantFloat(x, 'softmax');
  return node('softmax', [x], {}, x.dtype, x.shape);
}

/** x · w / √(mean(x²) + eps) over the last axis: x [..., D], w [D] (RMSNorm, arXiv 1910.07467). */
export function rmsNorm(x: Node, w: Node, eps: number): Node {
  wantFloat(x, 'rmsNorm');
  wantSame(x, w, 'rmsNorm');
  if (w.shape.length !== 1 || w.shape[0] !== x.shape.at(-1)) {
    throw new CrosspatchError(`rmsNorm: gain ${shapeText(w.shape)} does not fit ${shapeText(x.shape)}`, {
      id: 'graph-invalid',
    });
  }
  return node('rmsNorm', [x, w], { eps }, x.dtype, x.shape);
}

/**
 * Rotary embedding, half-split layout (the first half of a head pairs with its second half, as Hugging Face's
 * `rotate_half`; arXiv 2104.09864): x [B,T,H·Dh], cos and sin [B,T,Dh/2] (batch may be 1). `inverse` turns backwards.
 */
export function rotary(
  x: Node,
  cos: Node,
  sin: Node,
  { heads, inverse = false }: { heads: number; inverse?: boolean },
): Node {
  wantFloat(x, 'rotary');
  wantSame(x, cos, 'rotary');
  wantSame(x, sin, 'rotary');
  const width = x.shape.at(-1);
  const half = cos.shape.at(-1);
  if (
    x.shape.length !== 3 ||
    cos.shape.length !== 3 ||
    !sameShape(cos.shape, sin.shape) ||
    (cos.shape[0] !== 1 && cos.shape[0] !== x.shape[0]) ||
    cos.shape[1] !== x.shape[1] ||
    typeof width !== 'number' ||
    typeof half !== 'number' ||
    width !== heads * half * 2
  ) {
    throw new CrosspatchError(
      `rotary: x ${shapeText(x.shape)} with ${heads} heads does not fit cos ${shapeText(cos.shape)} and sin ${shapeText(sin.shape)}`,
      { id: 'graph-invalid' },
    );
  }
  return node('rotary', [x, cos, sin], { heads, inverse }, x.dtype, x.shape);
}

/**
 * Scaled dot-product attention with grouped heads: q [B,T,H·Dh], k and v [B,S,Hkv·Dh], mask [B or 1,1,T,S] added to the
 * scores (0 or a large negative number) → [B,T,H·Dh]. Query head h reads key head ⌊h / (H/Hkv)⌋.
 */
export function attention(q: Node, k: Node, v: Node, mask: Node, attrs: OpAttrs['attention']): Node {
  for (const x of [q, k, v, mask]) wantSame(q, x, 'attention');
  wantFloat(q, 'attention');
  const { heads, kvHeads } = attrs;
  const dq = q.shape[2];
  const dk = k.shape[2];
  const fits =
    q.shape.length === 3 &&
    k.shape.length === 3 &&
    q.shape[0] === k.shape[0] &&
    sameShape(k.shape, v.shape) &&
    typeof dq === 'number' &&
    typeof dk === 'number' &&
    heads % kvHeads === 0 &&
    dq / heads === dk / kvHeads;
  const [maskBatch, maskHeads, maskQueries, maskKeys] = mask.shape;
  const masks =
    mask.shape.length === 4 &&
    (maskBatch === 1 || maskBatch === q.shape[0]) &&
    maskHeads === 1 &&
    maskQueries === q.shape[1] &&
    maskKeys === k.shape[1];
  if (!fits || !masks) {
    throw new CrosspatchError(
      `attention: q ${shapeText(q.shape)} (${heads} heads), k ${shapeText(k.shape)} (${kvHeads} heads), v ${shapeText(v.shape)}, mask ${shapeText(mask.shape)} do not fit`,
      { id: 'graph-invalid' },
    );
  }
  return node('attention', [q, k, v, mask], attrs, q.dtype, q.shape);
}

// ── composites ──────────────────────────────────────────────────────────────────────────────────────────────────────

/** x · σ(x) (SiLU / swish). */
export const silu = (x: Node): Node => mul(x, sigmoid(x));

/** ½x(1 + tanh(√(2/π)(x + 0.044715x³))), the tanh form of GELU (arXiv 1606.08415), decomposed: the fused kernel errs 2e-5. */
export function geluTanh(x: Node): Node {
  const inner = scale(add(x, scale(mul(mul(x, x), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return mul(scale(x, 0.5), shift(tanh(inner), 1));
}

/** cap · tanh(x / cap) (Gemma 2, arXiv 2408.00118 §2). */
export const softcap = (x: Node, cap: number): Node => scale(tanh(scale(x, 1 / cap)), cap);

// ── walking ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** All nodes the outputs need, inputs before users, each once; the order depends on the graph alone. */
export function topological(graph: Graph): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  const visit = (root: Node): void => {
    const stack: { node: Node; next: number }[] = [{ node: root, next: 0 }];
    seen.add(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const child = top.node.inputs[top.next++];
      if (child === undefined) {
        order.push(top.node);
        stack.pop();
      } else if (!seen.has(child)) {
        seen.add(child);
        stack.push({ node: child, next: 0 });
      }
    }
  };
  for (const out of Object.values(graph.outputs)) if (!seen.has(out)) visit(out);
  return order;
}

/** Narrow a node to one op. */
export function isOp<O extends Op>(n: Node, op: O): n is Node<O> {
  return n.op === op;
}

/** The graph's inputs by name, in order of first use; two different inputs of one name are an error. */
export function leavesOf(graph: Graph, op: 'input' | 'weight'): Map<string, Node> {
  const found = new Map<string, Node>();
  for (const n of topological(graph)) {
    if (!isOp(n, op)) continue;
    const { name } = n.attrs;
    const other = found.get(name);
    if (other !== undefined && other !== n)
      throw new CrosspatchError(`graph ${graph.name}: two different ${op}s are called ${name}`, {
        id: 'graph-invalid',
      });
    found.set(name, n);
  }
  return found;
}
