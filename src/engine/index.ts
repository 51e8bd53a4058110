/** @file Graphs that print, interpret, differentiate themselves and run on ONNX Runtime. Knows no language models. */

export { gradGraph, vjp } from './grad.ts';
export {
  add,
  attention,
  cast,
  concat,
  constant,
  div,
  equal,
  exp,
  expand,
  type Graph,
  gatherRows,
  geluTanh,
  input,
  less,
  linear,
  log,
  matmul,
  maximum,
  mul,
  type Node,
  neg,
  type Op,
  packedLinear,
  reciprocal,
  reduceMax,
  reduceSum,
  relu,
  reshape,
  rmsNorm,
  rotary,
  scalar,
  scale,
  scatterRows,
  shift,
  sigmoid,
  silu,
  slice,
  softcap,
  softmax,
  sqrt,
  sub,
  tanh,
  topological,
  topTwo,
  transpose,
  weight,
  where,
} from './graph.ts';
export { interpret } from './interpret.ts';

export { emitOnnx } from './onnx/emit.ts';
export { RUNTIME_LOG_VARIABLE } from './onnx/runtime.ts';
export type { ExternalData } from './onnx/writer.ts';
export { OnnxFile } from './onnx-file.ts';
export { printGraph } from './print.ts';
export { modelProvider, PROVIDER_VARIABLE, PROVIDERS, tryProvider } from './providers.ts';
export {
  type Arithmetic,
  type CompileOptions,
  compile,
  type Feeds,
  type Handle,
  handle,
  type Provider,
  Session,
} from './session.ts';
export { type Shape, shapeText } from './shape.ts';
export { type DType, f32, type Tensor, tensor, zeros } from './tensor.ts';
