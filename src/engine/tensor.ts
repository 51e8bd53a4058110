/** @file A tensor at the engine's border: a dtype, concrete sizes and a flat row-major buffer. No arithmetic lives here. */
import { CrosspatchError } from '../base/index.ts';

/** Element types the engine knows. `f16`, `bf16` and `u8` are storage only: bit patterns, cast or unpacked before use. */
export type DType = 'f32' | 'f64' | 'i64' | 'bool' | 'f16' | 'bf16' | 'u8';

/** The typed array that holds each dtype. */
interface DataOf {
  f32: Float32Array;
  f64: Float64Array;
  i64: BigInt64Array;
  bool: Uint8Array;
  f16: Uint16Array;
  bf16: Uint16Array;
  u8: Uint8Array;
}

/** A tensor of dtype `D`: `data.length` is the product of `shape`; row-major. */
export interface Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: DataOf[D];
}

/** Number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

const makers: { [D in DType]: (n: number) => DataOf[D] } = {
  f32: (n) => new Float32Array(n),
  f64: (n) => new Float64Array(n),
  i64: (n) => new BigInt64Array(n),
  bool: (n) => new Uint8Array(n),
  f16: (n) => new Uint16Array(n),
  bf16: (n) => new Uint16Array(n),
  u8: (n) => new Uint8Array(n),
};

/** A zeroed tensor. */
export function zeros<D extends DType>(dtype: D, shape: readonly number[]): Tensor<D> {
  return { dtype, shape, data: makers[dtype](sizeOf(shape)) };
}

/** A tensor around existing data; throws when the sizes do not agree. */
export function tensor<D extends DType>(dtype: D, shape: readonly number[], data: DataOf[D]): Tensor<D> {
  if (data.length !== sizeOf(shape)) {
    throw new CrosspatchError(
      `tensor: shape [${shape.join(',')}] wants ${sizeOf(shape)} elements, got ${data.length}`,
      { id: 'graph-invalid' },
    );
  }
  return { dtype, shape, data };
}

/** f32 tensor from numbers. */
export function f32(shape: readonly number[], values: ArrayLike<number>): Tensor<'f32'> {
  return tensor('f32', shape, values instanceof Float32Array ? values : Float32Array.from(values));
}

/** f64 tensor from numbers. */
export function f64(shape: readonly number[], values: ArrayLike<number>): Tensor<'f64'> {
  return tensor('f64', shape, values instanceof Float64Array ? values : Float64Array.from(values));
}

/** i64 tensor from integers. */
export function i64(shape: readonly number[], values: ArrayLike<number>): Tensor<'i64'> {
  return tensor('i64', shape, BigInt64Array.from(Array.from(values, (v) => BigInt(v))));
}
