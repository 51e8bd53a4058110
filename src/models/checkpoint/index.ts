/** @file Checkpoints: safetensors used in place, GGUF dequantised or packed once, both behind one view. */
export { cacheRoot } from './cache-folder.ts';
export { type ConvertOptions, convertToHf } from './convert.ts';
export { DTYPE_BYTES, type Dtype, elementCount, type FloatDtype } from './dtypes.ts';
export { CheckpointError } from './errors.ts';
export { refuseNonFiniteWeights } from './finite.ts';
export {
  type Gguf,
  type GgufArray,
  type GgufTensor,
  type GgufValue,
  readGguf,
} from './gguf/read.ts';
export { type ByteSource, fileSource, memorySource } from './gguf/source.ts';
export { ggufEntry, writeGguf } from './gguf/write.ts';
export { decodeFloats, decodeToFloat32, encodeFloat32, firstNonFinite, refuseNonFinite } from './numbers.ts';
export {
  heldAs,
  inspectCheckpoint,
  inspectWithoutWeights,
  type OpenCheckpointOptions,
  openCheckpoint,
} from './open.ts';
export { readSafetensors, readTensorFloat32, type SafetensorsFile } from './safetensors-file.ts';
export { parseSafetensorsHeader, type SafetensorsHeader } from './safetensors-header.ts';
export {
  type TensorPiece,
  type TensorToWrite,
  type WritableDtype,
  writeSafetensors,
} from './safetensors-write.ts';
export { isPlainObject, parseStrictJsonObject } from './strict-json.ts';
export type {
  Checkpoint,
  CheckpointHeaders,
  CheckpointTensor,
  PackedTensor,
  TensorInfo,
  WeightsForm,
} from './types.ts';
