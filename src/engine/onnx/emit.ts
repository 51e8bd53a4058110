/** @file Graph → ONNX: one emitter an op, in an exhaustive table. */
import { CrosspatchError } from '../../base/index.ts';
import { type Graph, leavesOf, type Node, type Op, type OpAttrs, topological } from '../graph.ts';
import { type Dim, type Shape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { lower, type Target } from './lower.ts';
import { type ExternalData, OnnxWriter, onnxType } from './writer.ts';

/** How weights reach the model: bytes in a file, or a tensor copied into it. */
export type WeightSource = ExternalData | Tensor;

/**
 * How packed matrices are multiplied: in float32, or by activations rounded to 8 bits within each block of the matrix, as llama.cpp does.
 * Everything else of a graph is float32 either way.
 */
export type Arithmetic = 'exact' | 'fast';

/** `accuracy_level` of MatMulNBits. */
const ACCURACY_LEVEL = { exact: 1, fast: 4 } as const satisfies Record<Arithmetic, number>;

/** What the emitter is asked for. */
interface EmitOptions {
  /** Which fused kernels may be used. Defaults to `cpu`. f64 graphs are always decomposed. */
  readonly target?: Target;
  /** Bytes for every `weight` leaf, by name. */
  readonly weights?: Readonly<Record<string, WeightSource>>;
  /** Of packed products on the `cpu` target; the others are float32. Defaults to `exact`. */
  readonly arithmetic?: Arithmetic;
  /** Makes it a file for other programs, with these strings in it: an older opset, the `portable` target, and ops of that opset only. */
  readonly metadata?: Readonly<Record<string, string>>;
}

interface Context {
  readonly writer: OnnxWriter;
  readonly target: Target;
  /** Where a named size can be read at run time. */
  readonly sizes: ReadonlyMap<string, { readonly value: string; readonly axis: number }>;
  readonly weights: Readonly<Record<string, WeightSource>>;
  readonly arithmetic: Arithmetic;
}

type Emitter<O extends Op> = (n: Node<O>, inputs: readonly string[], context: Context) => string;

/** Encode `graph` as an ONNX model whose inputs and outputs carry the graph's names. */
export function emitOnnx(graph: Graph, options: EmitOptions = {}): Uint8Array {
  const { metadata } = options;
  const target = options.target ?? (metadata === undefined ? 'cpu' : 'portable');
  const lowered = lower(graph, target);
  const writer = new OnnxWriter();
  const sizes = new Map<string, { value: string; axis: number }>();
  const leaves = leavesOf(lowered, 'input');
  for (const [name, n] of leaves) {
    writer.input(name, n.dtype, n.shape);
    n.shape.forEach((d, axis) => {
      if (typeof d === 'string' && !sizes.has(d)) sizes.set(d, { value: name, axis });
    });
  }
  const { weights = {}, arithmetic = 'exact' } = options;
  const context: Context = { writer, target, sizes, weights, arithmetic };
  const called = new Map<Node, string>();
  for (const [name, n] of Object.entries(lowered.outputs)) {
    if (leaves.has(name))
      throw new CrosspatchError(`emit ${graph.name}: an input and an output are both called ${name}`, {
        id: 'graph-invalid',
      });
    if (!called.has(n)) called.set(n, name);
  }
  const names = new Map<Node, string>();
  for (const n of topological(lowered)) {
    const inputs = n.inputs.map((i) => names.get(i) as string);
    // The table is exhaustive over ops; TypeScript cannot tie one key to one entry here.
    const value = (emitters[n.op] as Emitter<Op>)(n, inputs, context);
    const name = called.get(n);
    names.set(n, name !== undefined && writer.renameLast(value, name) ? name : value);
  }
  for (const [name, n] of Object.entries(lowered.outputs)) {
    const value = names.get(n) as string;
    // Only what no node of its own has made is copied: a leaf, or a second name for one value.
    if (value !== name) writer.node('Identity', [value], {}, { output: name });
    writer.output(name, n.dtype, n.shape);
  }
  return writer.encode(graph.name, metadata);
}

const plain =
  (opType: string): Emitter<Op> =>
  (_n, inputs, { writer }) =>
    writer.node(opType, inputs);

const emitters: { readonly [O in Op]: Emitter<O> } = {
  input: (n) => n.attrs.name,
  weight: (n, _inputs, { writer, weights }) => {
    const source = weights[n.attrs.name];
    if (source === undefined)
      throw new CrosspatchError(`emit: no bytes were given for weight ${n.attrs.name}`, {
        id: 'graph-invalid',
      });
    const shape = n.shape as readonly number[];
    // A weight may share its name with an output; ONNX wants all names distinct.
    const name = `weight:${n.attrs.name}`;
    if ('file' in source) writer.external(name, n.dtype, shape, source);
    else writer.constant(source, name);
    return name;
  },
  constant: (n, _inputs, { writer }) => writer.constant(n.attrs.value),
  neg: plain('Neg'),
  exp: plain('Exp'),
  log: plain('Log'),
  sqrt: plain('Sqrt'),
  reciprocal: plain('Reciprocal'),
  tanh: plain('Tanh'),
  sigmoid: plain('Sigmoid'),
  relu: plain('Relu'),
  add: plain('Add'),
  sub: plain('Sub'),
  mul: plain('Mul'),
  div: plain('Div'),
  maximum: plain('Max'),
  less: plain('Less'),
  equal: plain('Equal'),
  where: plain('Where'),
  cast: (n, inputs, { writer }) => writer.node('Cast', inputs, { to: onnxType(n.attrs.to) }),
  matmul: emitMatmul,
  unpack: emitUnpack,
  packedLinear: (n, inputs, { writer, arithmetic }) => {
    const [rows, blocks, bytes] = n.inputs[1].shape as [number, number, number];
    return writer.node(
      'MatMulNBits',
      inputs,
      // 8 is the zero point where none is given
      {
        K: 2 * blocks * bytes,
        N: rows,
        bits: 4,
        block_size: 2 * bytes,
        accuracy_level: ACCURACY_LEVEL[arithmetic],
      },
      { domain: 'com.microsoft' },
    );
  },
  reduceSum: (n, [x], { writer }) =>
    writer.node('ReduceSum', [x, writer.integers(n.attrs.axes)], {
      keepdims: n.attrs.keepDims ? 1 : 0,
    }),
  reduceMax: (n, [x], { writer }) =>
    writer.node('ReduceMax', [x, writer.integers(n.attrs.axes)], {
      keepdims: n.attrs.keepDims ? 1 : 0,
    }),
  reshape: (n, [x], context) =>
    context.writer.node('Reshape', [x, reshapeTarget(n.inputs[0].shape, n.attrs.shape, context)]),
  expand: (n, [x], context) =>
    context.writer.node('Expand', [x, expandTarget(n.inputs[0].shape, n.attrs.shape, context)]),
  transpose: (n, inputs, { writer }) => writer.node('Transpose', inputs, { perm: n.attrs.perm }),
  concat: (n, inputs, { writer }) => writer.node('Concat', inputs, { axis: n.attrs.axis }),
  slice: (n, [x], { writer }) =>
    writer.node('Slice', [
      x,
      writer.integers([n.attrs.start]),
      writer.integers([n.attrs.end]),
      writer.integers([n.attrs.axis]),
    ]),
  gatherRows: (_n, inputs, { writer }) => writer.node('Gather', inputs, { axis: 0 }),
  scatterRows: (n, [ids, updates], context) => {
    const { writer } = context;
    const zero = writer.constant({
      dtype: n.dtype,
      shape: [1],
      data: n.dtype === 'f64' ? Float64Array.of(0) : Float32Array.of(0),
    });
    const base = writer.node('Expand', [zero, expandTarget([1], n.shape, context)]);
    const index = writer.node('Unsqueeze', [ids, writer.integers([-1])]);
    return writer.node('ScatterND', [base, index, updates], { reduction: 'add' });
  },
  topTwo: (n, [x], { writer }) => {
    const index = writer.fresh('index');
    const two = writer.node('TopK', [x, writer.integers([2])], { axis: -1 }, { others: [index] });
    const first = writer.node('Slice', [
      index,
      ...[[0], [1], [n.shape.length - 1]].map((bound) => writer.integers(bound)),
    ]);
    return writer.node('Concat', [two, writer.node('Cast', [first], { to: onnxType(n.dtype) })], {
      axis: -1,
    });
  },
  softmax: (_n, inputs, { writer }) => writer.node('Softmax', inputs, { axis: -1 }),
  rmsNorm: (n, inputs, { writer }) =>
    writer.node('SimplifiedLayerNormalization', inputs, {
      axis: -1,
      epsilon: { float: n.attrs.eps },
      stash_type: 1,
    }),
  rotary: (n, [x, cos, sin], context) => {
    const { writer } = context;
    const [{ shape }, angles] = n.inputs as [Node, Node, Node];
    // The kernel wants angles of every row: [B,T,Dh/2].
    const full = [...shape.slice(0, 2), angles.shape[2]];
    const rows = (table: string): string =>
      sameShape(angles.shape, full)
        ? table
        : writer.node('Expand', [table, expandTarget(angles.shape, full, context)]);
    const turn = n.attrs.inverse ? writer.node('Neg', [sin]) : sin;
    return writer.node('RotaryEmbedding', [x, rows(cos), rows(turn)], {
      num_heads: n.attrs.heads,
    });
  },
  attention: (n, inputs, { writer }) => writer.node('Attention', inputs, attentionAttributes(n.attrs)),
};

function attentionAttributes(attrs: OpAttrs['attention']): Record<string, number | { float: number }> {
  return {
    q_num_heads: attrs.heads,
    kv_num_heads: attrs.kvHeads,
    scale: { float: attrs.scale },
    ...(attrs.softcap === undefined ? {} : { softcap: { float: attrs.softcap } }),
  };
}

/** Two matrices: Gemm, which takes both transposes. Batched f32 on the CPU: FusedMatMul. Otherwise Transpose + MatMul. */
function emitMatmul(n: Node<'matmul'>, inputs: readonly string[], { writer, target }: Context): string {
  const [a, b] = n.inputs as [Node, Node];
  const { transA, transB } = n.attrs;
  const attributes = { transA: transA ? 1 : 0, transB: transB ? 1 : 0 };
  if (a.shape.length === 2 && b.shape.length === 2) return writer.node('Gemm', inputs, attributes);
  if (!transA && !transB) return writer.node('MatMul', inputs);
  if (n.dtype === 'f32' && target === 'cpu')
    return writer.node('FusedMatMul', inputs, attributes, { domain: 'com.microsoft' });
  const swapped = (name: string, rank: number): string =>
    writer.node('Transpose', [name], { perm: [...Array(rank - 2).keys(), rank - 1, rank - 2] });
  return writer.node('MatMul', [
    transA ? swapped(inputs[0], a.shape.length) : inputs[0],
    transB ? swapped(inputs[1], b.shape.length) : inputs[1],
  ]);
}

/** The halves of each byte on an axis of their own, as numbers around 0, times their block's scale. */
function emitUnpack(n: Node<'unpack'>, [codes, scales]: readonly string[], { writer }: Context): string {
  const [rows, width] = n.shape as [number, number];
  const [, blocks, bytes] = n.inputs[0].shape as [number, number, number];
  const byte = (value: number): string =>
    writer.constant({ dtype: 'u8', shape: [1], data: Uint8Array.of(value) });
  const halves = [
    writer.node('BitwiseAnd', [codes, byte(15)]),
    writer.node('BitShift', [codes, byte(4)], { direction: 'RIGHT' }),
  ].map((half) => writer.node('Unsqueeze', [half, writer.integers([-1])]));
  const whole = writer.node('Cast', [writer.node('Concat', halves, { axis: -1 })], {
    to: onnxType(n.dtype),
  });
  const eight = n.dtype === 'f64' ? Float64Array.of(8) : Float32Array.of(8);
  const centred = writer.node('Sub', [whole, writer.constant({ dtype: n.dtype, shape: [1], data: eight })]);
  const blocked = writer.node('Reshape', [centred, writer.integers([rows, blocks, 2 * bytes])]);
  const scaled = writer.node('Mul', [blocked, writer.node('Unsqueeze', [scales, writer.integers([-1])])]);
  return writer.node('Reshape', [scaled, writer.integers([rows, width])]);
}

/** Reshape's target: 0 copies the input's size at the same place, one −1 is inferred, anything else is read at run time. */
function reshapeTarget(from: Shape, to: Shape, context: Context): string {
  const dims = to.map((d, i): number | string => (typeof d === 'number' ? d : from[i] === d ? 0 : d));
  const unknown = dims.filter((d) => typeof d === 'string');
  if (unknown.length <= 1) return context.writer.integers(dims.map((d) => (typeof d === 'string' ? -1 : d)));
  return runtimeShape(dims, context);
}

/** Expand broadcasts both ways, so a size the input already has may be written 1. */
function expandTarget(from: Shape, to: Shape, context: Context): string {
  const pad = to.length - from.length;
  const dims = to.map((d, i): number | string => (typeof d === 'string' && from[i - pad] === d ? 1 : d));
  if (dims.every((d) => typeof d === 'number')) return context.writer.integers(dims);
  return runtimeShape(dims, context);
}

/** A shape vector with named sizes read from the graph's inputs while it runs. */
function runtimeShape(dims: readonly Dim[], context: Context): string {
  const { writer } = context;
  const parts = dims.map((d) => (typeof d === 'number' ? writer.integers([d]) : runtimeSize(d, context)));
  return parts.length === 1 ? parts[0] : writer.node('Concat', parts, { axis: 0 });
}

function runtimeSize(name: string, { writer, sizes }: Context): string {
  const factors = (sizes.has(name) ? [name] : name.split('*')).map((factor) => {
    if (/^\d+$/.test(factor)) return writer.integers([Number(factor)]);
    const source = sizes.get(factor);
    if (source === undefined)
      throw new CrosspatchError(`emit: size ${factor} is carried by no input`, { id: 'graph-invalid' });
    return writer.node('Shape', [source.value], { start: source.axis, end: source.axis + 1 });
  });
  return factors.reduce((a, b) => writer.node('Mul', [a, b]));
}
