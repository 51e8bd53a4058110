/**
 * @file A random small graph for any op. One table of samples serves every suite (kernels, gradients, ONNX Runtime against
 * the interpreter), so an op added to the IR without a sample does not compile.
 */
import type { Rng } from '../base/index.ts';
import * as g from './graph.ts';
import type { Dim, Shape } from './shape.ts';
import { i64, sizeOf, type Tensor, tensor } from './tensor.ts';

/** A graph of one op (and its leaves) with output `y`, and feeds for all its leaves. */
export interface Sample {
  readonly graph: g.Graph;
  readonly feeds: Readonly<Record<string, Tensor>>;
}

/**
 * A random graph around one op: sizes 1…4, some of them named, operands broadcast where the op broadcasts. Values are
 * exact in f32 and lie ≥ 0.05 from kinks and ties (relu at 0, maximum and reduceMax at equals).
 */
export function sampleOp(op: g.Op, rng: Rng, dtype: 'f32' | 'f64' = 'f64'): Sample {
  const draw = new Draw(rng, dtype);
  const y = samples[op](draw);
  return { graph: { name: op, outputs: { y } }, feeds: draw.feeds };
}

/** Makes leaves with values, and remembers the values as feeds. */
class Draw {
  readonly rng: Rng;
  readonly dtype: 'f32' | 'f64';
  readonly feeds: Record<string, Tensor> = {};
  readonly #sizes = new Map<string, number>();
  readonly #free = ['B', 'T', 'N', 'M'];

  constructor(rng: Rng, dtype: 'f32' | 'f64') {
    this.rng = rng;
    this.dtype = dtype;
  }

  /** Integer in from…to. */
  int(from: number, to: number): number {
    return from + this.rng.int(to - from + 1);
  }

  yes(): boolean {
    return this.rng.int(2) === 1;
  }

  /** A size 1…4: a number, or a fresh name bound to it. */
  dim(): Dim {
    const size = this.int(1, 4);
    const name = this.yes() ? this.#free.shift() : undefined;
    if (name === undefined) return size;
    this.#sizes.set(name, size);
    return name;
  }

  shape(rank = this.int(1, 3)): Dim[] {
    return Array.from({ length: rank }, () => this.dim());
  }

  sizes(shape: Shape): number[] {
    return shape.map((d) => (typeof d === 'number' ? d : (this.#sizes.get(d) as number)));
  }

  /** A shape that broadcasts to `shape`: leading axes dropped, others set to 1, at random. */
  broadcastable(shape: Shape): Dim[] {
    return shape.slice(this.rng.int(shape.length + 1)).map((d) => (this.rng.int(3) === 0 ? 1 : d));
  }

  /** Input `name` of normal numbers, or of `values` (called once an element). */
  float(name: string, shape: Shape, values: () => number = () => this.rng.normal()): g.Node {
    this.feeds[name] = this.tensor(this.sizes(shape), values);
    return g.input(name, this.dtype, shape);
  }

  /** Input `name` whose elements differ from each other, and from those of an input of another `residue`, by ≥ 0.09. */
  spaced(name: string, shape: Shape, residue = 0): g.Node {
    const n = sizeOf(this.sizes(shape));
    const ranks = this.rng.shuffle(Array.from({ length: n }, (_, i) => i - Math.floor(n / 2)));
    return this.float(name, shape, () => (ranks.pop() as number) * 0.2 + residue * 0.1 + 0.01);
  }

  ids(name: string, shape: Shape, rows: number): g.Node {
    const sizes = this.sizes(shape);
    this.feeds[name] = i64(
      sizes,
      Array.from({ length: sizeOf(sizes) }, () => this.rng.int(rows)),
    );
    return g.input(name, 'i64', shape);
  }

  /** Weight `codes` of blocks of 16 random 4-bit numbers. */
  codes(rows: number, blocks: number): g.Node {
    const data = Uint8Array.from({ length: rows * blocks * 8 }, () => this.rng.int(256));
    this.feeds.codes = tensor('u8', [rows, blocks, 8], data);
    return g.weight('codes', 'u8', [rows, blocks, 8]);
  }

  condition(name: string, shape: Shape): g.Node {
    const sizes = this.sizes(shape);
    const data = Uint8Array.from({ length: sizeOf(sizes) }, () => this.rng.int(2));
    this.feeds[name] = tensor('bool', sizes, data);
    return g.input(name, 'bool', shape);
  }

  /** A tensor of `values`, rounded to f32. */
  tensor(sizes: readonly number[], values: () => number = () => this.rng.normal()): Tensor {
    const data = Float32Array.from({ length: sizeOf(sizes) }, values);
    return this.dtype === 'f32' ? tensor('f32', sizes, data) : tensor('f64', sizes, Float64Array.from(data));
  }
}

const unary =
  (make: (x: g.Node) => g.Node) =>
  (d: Draw): g.Node =>
    make(d.float('x', d.shape()));

const positive =
  (make: (x: g.Node) => g.Node) =>
  (d: Draw): g.Node =>
    make(d.float('x', d.shape(), () => 0.5 + 2 * d.rng.next()));

const binary =
  (make: (a: g.Node, b: g.Node) => g.Node) =>
  (d: Draw): g.Node => {
    const [a, b] = twoShapes(d);
    return make(d.float('a', a), d.float('b', b));
  };

const compared =
  (make: (a: g.Node, b: g.Node) => g.Node) =>
  (d: Draw): g.Node => {
    const [a, b] = twoShapes(d);
    return make(d.spaced('a', a), d.spaced('b', b, 1));
  };

/** Two shapes that broadcast; each may be the smaller one, on any axis. */
function twoShapes(d: Draw): [Shape, Shape] {
  const full = d.shape();
  const small = d.broadcastable(full);
  return d.yes() ? [full, small] : [small, full];
}

const reduction =
  (make: typeof g.reduceSum) =>
  (d: Draw): g.Node => {
    const shape = d.shape();
    const axes = shape.map((_, i) => i).filter(() => d.yes());
    return make(d.spaced('x', shape), axes.length === 0 ? [-1] : axes, { keepDims: d.yes() });
  };

/** A random graph of each op. */
const samples: { readonly [O in g.Op]: (d: Draw) => g.Node } = {
  input: (d) => d.float('x', d.shape()),
  weight: (d) => {
    const shape = d.sizes(d.shape());
    d.float('w', shape);
    return g.weight('w', d.dtype, shape);
  },
  constant: (d) => g.constant(d.tensor(d.sizes(d.shape()))),
  neg: unary(g.neg),
  exp: unary(g.exp),
  log: positive(g.log),
  sqrt: positive(g.sqrt),
  reciprocal: positive(g.reciprocal),
  tanh: unary(g.tanh),
  sigmoid: unary(g.sigmoid),
  relu: (d) => g.relu(d.spaced('x', d.shape(), 1)),
  add: binary(g.add),
  sub: binary(g.sub),
  mul: binary(g.mul),
  div: (d) => {
    const [a, b] = twoShapes(d);
    return g.div(
      d.float('a', a),
      d.float('b', b, () => 0.5 + 2 * d.rng.next()),
    );
  },
  maximum: compared(g.maximum),
  less: compared(g.less),
  equal: (d) => {
    const [a, b] = twoShapes(d);
    const whole = (): number => d.rng.int(2);
    return g.equal(d.float('a', a, whole), d.float('b', b, whole));
  },
  where: (d) => {
    const full = d.shape();
    const [c = [], a = [], b = []] = d.rng.shuffle([full, d.broadcastable(full), d.broadcastable(full)]);
    return g.where(d.condition('c', c), d.float('a', a), d.float('b', b));
  },
  cast: (d) =>
    g.cast(d.float('x', d.shape()), d.rng.pick(d.dtype === 'f32' ? ['f64', 'i64'] : ['f32', 'i64'])),
  matmul: (d) => {
    const [m, k, n] = [d.dim(), d.dim(), d.dim()];
    const [transA, transB] = [d.yes(), d.yes()];
    const batch = d.shape(d.int(0, 2));
    const [batchA = [], batchB = []] = d.rng.shuffle([batch, d.broadcastable(batch)]);
    const a = d.float('a', [...batchA, ...(transA ? [k, m] : [m, k])]);
    const b = d.float('b', [...batchB, ...(transB ? [n, k] : [k, n])]);
    return g.matmul(a, b, { transA, transB });
  },
  unpack: (d) => {
    const [rows, blocks] = [d.int(1, 4), d.int(1, 3)];
    return g.unpack(d.codes(rows, blocks), d.float('scales', [rows, blocks]));
  },
  packedLinear: (d) => {
    const [rows, blocks] = [d.int(1, 4), d.int(1, 3)];
    const codes = d.codes(rows, blocks);
    const x = d.float('x', [...d.shape(d.int(1, 2)), 16 * blocks]);
    return g.packedLinear(x, codes, d.float('scales', [rows, blocks]));
  },
  reduceSum: reduction(g.reduceSum),
  reduceMax: reduction(g.reduceMax),
  reshape: (d) => {
    const [a, b] = [d.int(1, 4), d.int(1, 4)];
    const named = d.dim();
    const x = d.float('x', [named, a * b, 2]);
    return g.reshape(x, [a, b, named, 2]);
  },
  expand: (d) => {
    const full = d.shape(3);
    const x = d.float('x', d.broadcastable(full));
    // a second input binds the names
    return g.expand(g.add(x, g.reduceSum(d.float('bind', full), [0, 1, 2])), full);
  },
  transpose: (d) => {
    const shape = d.shape();
    return g.transpose(d.float('x', shape), d.rng.shuffle(shape.map((_, i) => i)));
  },
  concat: (d) => {
    const shape = d.shape();
    const axis = d.rng.int(shape.length);
    const part = (name: string): g.Node => d.float(name, shape.with(axis, d.int(1, 3)));
    return g.concat(['a', 'b', 'c'].slice(d.rng.int(3)).map(part), axis);
  },
  slice: (d) => {
    const shape = d.shape();
    const axis = d.rng.int(shape.length);
    const size = d.int(2, 5);
    const start = d.int(0, size - 1);
    return g.slice(d.float('x', shape.with(axis, size)), axis, start, d.int(start + 1, size));
  },
  gatherRows: (d) => g.gatherRows(d.float('table', [3, d.dim()]), d.ids('ids', d.shape(d.int(1, 2)), 3)),
  scatterRows: (d) => {
    const shape = d.shape(d.int(1, 2));
    return g.scatterRows(d.ids('ids', shape, 3), d.float('x', [...shape, d.dim()]), 3);
  },
  softmax: unary(g.softmax),
  topTwo: (d) => g.topTwo(d.spaced('x', [...d.shape(d.int(1, 2)), d.int(2, 5)], 1)),
  rmsNorm: (d) => {
    const width = d.int(1, 5);
    return g.rmsNorm(d.float('x', [...d.shape(d.int(1, 2)), width]), d.float('w', [width]), 1e-3);
  },
  rotary: (d) => {
    const [batch, time, heads, half] = [d.dim(), d.dim(), d.int(1, 3), d.int(1, 3)];
    const angles = [d.yes() ? 1 : batch, time, half];
    const x = d.float('x', [batch, time, heads * half * 2]);
    return g.rotary(x, d.float('cos', angles), d.float('sin', angles), { heads, inverse: d.yes() });
  },
  attention: (d) => {
    const [batch, time, keys, size] = [d.dim(), d.dim(), d.dim(), d.int(1, 3)];
    const kvHeads = d.int(1, 2);
    const heads = kvHeads * d.int(1, 3);
    return g.attention(
      d.float('q', [batch, time, heads * size]),
      d.float('k', [batch, keys, kvHeads * size]),
      d.float('v', [batch, keys, kvHeads * size]),
      d.float('mask', [d.yes() ? 1 : batch, 1, time, keys]),
      { heads, kvHeads, scale: size ** -0.5, ...(d.yes() ? { softcap: 1.5 } : {}) },
    );
  },
};
