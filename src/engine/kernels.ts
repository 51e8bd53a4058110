/**
 * @file One plain float64 kernel per op. Nothing here is fast; everything should be readable against the op's docstring in
 * `graph.ts`. All values are Float64Array: i64 as integers, bool as 0 and 1.
 */
import { CrosspatchError } from '../base/index.ts';
import type { Op, OpAttrs } from './graph.ts';
import type { Kernel, Value } from './kernel.ts';
import { attentionKernel, rmsNormKernel, rotaryKernel, softmaxKernel } from './kernels-fused.ts';
import { broadcastStrides, offsets, stridesOf } from './kernels-layout.ts';
import { widen } from './kernels-widen.ts';
import { normalAxis } from './shape.ts';
import { sizeOf } from './tensor.ts';

const unary =
  (f: (x: number) => number) =>
  (_: unknown, x: Value): Float64Array =>
    x.data.map((v) => f(v));

/** The elements of `x` read as if it were broadcast to `shape`. */
function broadcast(x: Value, shape: readonly number[]): Float64Array {
  return take(x, offsets(shape, broadcastStrides(x.shape, shape)));
}

function take(x: Value, at: Int32Array): Float64Array {
  return Float64Array.from(at, (i) => x.data[i]);
}

const binary =
  (f: (a: number, b: number) => number) =>
  ({ shape }: { shape: readonly number[] }, a: Value, b: Value): Float64Array => {
    const right = broadcast(b, shape);
    return broadcast(a, shape).map((v, i) => f(v, right[i]));
  };

const reduction =
  (start: number, f: (sum: number, x: number) => number) =>
  ({ attrs }: { attrs: OpAttrs['reduceSum'] }, x: Value): Float64Array => {
    const kept = x.shape.map((n, i) => (attrs.axes.includes(i) ? 1 : n));
    const to = offsets(x.shape, broadcastStrides(kept, x.shape));
    const out = new Float64Array(sizeOf(kept)).fill(start);
    x.data.forEach((v, i) => {
      const o = to[i];
      out[o] = f(out[o], v);
    });
    return out;
  };

const casts = {
  f32: (x: number) => x,
  f64: (x: number) => x,
  f16: (x: number) => x,
  bf16: (x: number) => x,
  u8: (x: number) => Math.trunc(x) & 255,
  i64: Math.trunc,
  bool: (x: number) => (x === 0 ? 0 : 1),
};

/** The matrix of {@link unpack}'s formula, row-major. */
function unpacked({ shape, data }: Value, scales: Value): Float64Array {
  const block = 2 * (shape[2] as number);
  const out = new Float64Array(2 * data.length);
  for (let i = 0; i < out.length; i++) {
    const byte = data[i >> 1] as number;
    const code = i % 2 === 0 ? byte & 15 : byte >> 4;
    out[i] = (scales.data[Math.floor(i / block)] as number) * (code - 8);
  }
  return out;
}

/** y[r, n] = Σ_k x[r, k] · W[n, k] */
const packedLinearKernel: Kernel<'packedLinear'> = ({ shape }, x, codes, scales) => {
  const matrix = unpacked(codes, scales);
  const n = shape.at(-1) as number;
  const k = x.shape.at(-1) as number;
  const out = new Float64Array((x.data.length / k) * n);
  for (let i = 0; i < out.length; i++) {
    const [row, column] = [Math.floor(i / n) * k, (i % n) * k];
    for (let j = 0; j < k; j++) out[i] += (x.data[row + j] as number) * (matrix[column + j] as number);
  }
  return out;
};

const matmulKernel: Kernel<'matmul'> = ({ attrs: { transA, transB }, shape }, a, b) => {
  const batch = shape.slice(0, -2);
  const [m, n] = shape.slice(-2) as [number, number];
  const inner = a.shape.at(transA ? -2 : -1) as number;
  const starts = (x: Value): Int32Array => {
    const step = sizeOf(x.shape.slice(-2));
    const strides = broadcastStrides(x.shape.slice(0, -2), batch).map((s) => s * step);
    return offsets(batch, strides);
  };
  const [ra, ca] = transA ? [1, m] : [inner, 1]; // strides of rows and columns of op(a)
  const [rb, cb] = transB ? [1, inner] : [n, 1];
  const [startsA, startsB] = [starts(a), starts(b)];
  const out = new Float64Array(sizeOf(shape));
  let o = 0;
  for (let z = 0; z < startsA.length; z++) {
    const [za, zb] = [startsA[z], startsB[z]];
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let k = 0; k < inner; k++) {
          sum += a.data[za + i * ra + k * ca] * b.data[zb + k * rb + j * cb];
        }
        out[o++] = sum;
      }
    }
  }
  return out;
};

/** The plain kernel of every op. */
export const kernels: { readonly [O in Op]: Kernel<O> } = {
  input: ({ attrs, leaf }) => leaf(attrs.name),
  weight: ({ attrs, leaf }) => leaf(attrs.name),
  constant: ({ attrs }) => widen(attrs.value),
  neg: unary((x) => -x),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  reciprocal: unary((x) => 1 / x),
  tanh: unary(Math.tanh),
  sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  relu: unary((x) => Math.max(x, 0)),
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  div: binary((a, b) => a / b),
  maximum: binary(Math.max),
  less: binary((a, b) => Number(a < b)),
  equal: binary((a, b) => Number(a === b)),
  where: ({ shape }, condition, a, b) => {
    const [yes, no] = [broadcast(a, shape), broadcast(b, shape)];
    return broadcast(condition, shape).map((c, i) => (c !== 0 ? yes[i] : no[i]));
  },
  cast: ({ attrs }, x) => x.data.map((v) => casts[attrs.to](v)),
  matmul: matmulKernel,
  unpack: (_, codes, scales) => unpacked(codes, scales),
  packedLinear: packedLinearKernel,
  reduceSum: reduction(0, (sum, x) => sum + x),
  reduceMax: reduction(Number.NEGATIVE_INFINITY, Math.max),
  reshape: (_, x) => x.data,
  expand: ({ shape }, x) => broadcast(x, shape),
  transpose: ({ attrs, shape }, x) => {
    const strides = stridesOf(x.shape);
    const order = attrs.perm.map((p) => strides[normalAxis(p, strides.length, 'transpose')]);
    return take(x, offsets(shape, order));
  },
  concat: ({ attrs: { axis }, shape }, ...parts) => {
    const out = new Float64Array(sizeOf(shape));
    const strides = stridesOf(shape);
    let base = 0;
    for (const part of parts) {
      offsets(part.shape, strides, base).forEach((o, i) => {
        out[o] = part.data[i];
      });
      base += part.shape[axis] * strides[axis];
    }
    return out;
  },
  slice: ({ attrs: { axis, start }, shape }, x) => {
    const strides = stridesOf(x.shape);
    return take(x, offsets(shape, strides, start * strides[axis]));
  },
  gatherRows: ({ shape }, table, ids) => {
    const width = shape.at(-1) as number;
    const out = new Float64Array(sizeOf(shape));
    ids.data.forEach((id, i) => {
      const row = rowOf('gatherRows', id, table.shape[0]);
      out.set(table.data.subarray(row * width, (row + 1) * width), i * width);
    });
    return out;
  },
  scatterRows: ({ attrs: { rows }, shape }, ids, updates) => {
    const width = shape.at(-1) as number;
    const out = new Float64Array(sizeOf(shape));
    ids.data.forEach((id, i) => {
      const row = rowOf('scatterRows', id, rows);
      for (let j = 0; j < width; j++) out[row * width + j] += updates.data[i * width + j];
    });
    return out;
  },
  softmax: softmaxKernel,
  topTwo: (_, x) => {
    const width = x.shape.at(-1) as number;
    const out = new Float64Array((3 * x.data.length) / width);
    for (let row = 0; row * width < x.data.length; row++) {
      const values = x.data.subarray(row * width, (row + 1) * width);
      const [first, second] = values.toSorted((a, b) => b - a);
      out.set([first, second, values.indexOf(first)], 3 * row);
    }
    return out;
  },
  rmsNorm: rmsNormKernel,
  rotary: rotaryKernel,
  attention: attentionKernel,
};

function rowOf(op: string, id: number, rows: number): number {
  if (id < 0 || id >= rows)
    throw new CrosspatchError(`${op}: wanted ids in 0…${rows - 1}, got ${id}`, { id: 'graph-invalid' });
  return id;
}
