/** @file Elements of any dtype as float64. */
import type { DType, Tensor } from './tensor.ts';

/** A copy of the elements as float64; i64 must fit 2⁵³, bool becomes 0 and 1. */
export function widen(t: Tensor): Float64Array {
  return wideners[t.dtype](t.data as never);
}

const wideners: { readonly [D in DType]: (data: Tensor<D>['data']) => Float64Array } = {
  f32: (data) => Float64Array.from(data),
  f64: (data) => data.slice(),
  i64: (data) => Float64Array.from(data, Number),
  bool: (data) => Float64Array.from(data, (x) => (x === 0 ? 0 : 1)),
  u8: (data) => Float64Array.from(data),
  f16: (data) => Float64Array.from(data, halfToNumber),
  // bf16 is the upper half of an f32
  bf16: (data) => Float64Array.from(new Float32Array(Uint32Array.from(data, (x) => x << 16).buffer)),
};

/** IEEE 754 binary16 bits → number. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}
