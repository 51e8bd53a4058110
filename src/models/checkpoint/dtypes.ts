/** @file Element types of safetensors files. */

/** Bytes of one element of each safetensors dtype we read. */
export const DTYPE_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

/** Element type, by its safetensors name. */
export type Dtype = keyof typeof DTYPE_BYTES;

/** Dtypes {@link CheckpointTensor} data can be written as by `convertToHf`. */
export type FloatDtype = 'F32' | 'F16' | 'BF16';

/** Number of elements of a shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((n, d) => n * d, 1);
}
