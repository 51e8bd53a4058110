/** @file Graphs that print, interpret, differentiate themselves and run on ONNX Runtime. Knows no language models. */

export { attentionDecomposed, rmsNormDecomposed, rotaryDecomposed } from './decompose.ts';
export { gradGraph, vjp } from './grad.ts';
export * from './graph.ts';
export { interpret } from './interpret.ts';
export type { WeightSource } from './onnx/emit.ts';
export type { ExternalData } from './onnx/writer.ts';
export { graphHash, printGraph } from './print.ts';
export {
  type CompileOptions,
  compile,
  type Feeds,
  type Handle,
  handle,
  type Provider,
  Session,
  unhandle,
} from './session.ts';
export { broadcastShapes, type Dim, productDim, type Shape, shapeText } from './shape.ts';
export {
  bytesPerElement,
  type DataOf,
  type DType,
  f32,
  f64,
  i64,
  sizeOf,
  type Tensor,
  tensor,
  zeros,
} from './tensor.ts';
