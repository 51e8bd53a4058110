/** @file Half-precision numbers: IEEE binary16 (F16) and bfloat16 (BF16) from and to float32, in bulk. */

import { DTYPE_BYTES, type Dtype, type FloatDtype } from './dtypes.ts';
import { CheckpointError } from './errors.ts';

let halfTable: Float32Array | undefined;

/** float32 value of each of the 65,536 binary16 patterns; 256 KiB, made at first use. */
export function float16Table(): Float32Array {
  if (halfTable !== undefined) return halfTable;
  const table = new Float32Array(65536);
  const bits = new Uint32Array(table.buffer);
  for (let h = 0; h < 65536; h++) {
    const sign = (h & 0x8000) << 16;
    const exponent = (h >>> 10) & 0x1f;
    const fraction = h & 0x3ff;
    if (exponent === 0) {
      table[h] = fraction * 2 ** -24; // zero and subnormals: fraction · 2⁻²⁴
      bits[h]! |= sign;
    } else if (exponent === 31) bits[h] = sign | 0x7f800000 | (fraction << 13);
    else bits[h] = sign | ((exponent + 112) << 23) | (fraction << 13); // 112 = 127 − 15, the biases
  }
  halfTable = table;
  return table;
}

/** Decode binary16 patterns into `out` (same length). */
function decodeFloat16(from: Uint16Array, out: Float32Array): void {
  const table = float16Table();
  for (let i = 0; i < from.length; i++) out[i] = table[from[i]!]!;
}

/** Decode bfloat16 patterns (the high halves of float32) into `out` (same length). */
function decodeBfloat16(from: Uint16Array, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < from.length; i++) bits[i] = from[i]! << 16;
}

/** Largest magnitude that is not rounded to infinity. */
export const LARGEST: Readonly<Record<FloatDtype, number>> = {
  F32: 3.4028234663852886e38,
  F16: 65_519.996_093_75, // below halfway from 65,504 to 2¹⁶
  BF16: 3.396177326406364e38, // below halfway from the largest, (2 − 2⁻⁷)·2¹²⁷, to 2¹²⁸
};

/** Encode float32 as binary16, round to nearest, ties to even; too large becomes infinity, NaN stays NaN. */
function encodeFloat16(from: Float32Array, out: Uint16Array): void {
  const bits = new Uint32Array(from.buffer, from.byteOffset, from.length);
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i]!;
    const sign = (b >>> 16) & 0x8000;
    const magnitude = b & 0x7fffffff;
    if (magnitude >= 0x47800000) {
      out[i] = sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00); // NaN, or ≥ 2¹⁶ and infinity
    } else if (magnitude >= 0x38800000) {
      // ≥ 2⁻¹⁴: rebias, then round 13 bits away; a carry runs into the exponent, up to infinity, as it should
      const rebiased = magnitude - 0x38000000;
      out[i] = sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
    } else {
      // subnormal: |x| = significand · 2^(e−150), wanted in units of 2⁻²⁴
      const shift = 126 - (magnitude >>> 23);
      if (shift > 24) out[i] = sign;
      else {
        const significand = (magnitude & 0x7fffff) | 0x800000;
        const whole = significand >>> shift;
        const rest = significand & ((1 << shift) - 1);
        const half = 1 << (shift - 1);
        out[i] = sign | (whole + (rest > half || (rest === half && (whole & 1) === 1) ? 1 : 0));
      }
    }
  }
}

/** Encode float32 as bfloat16, round to nearest, ties to even; NaN stays NaN (quiet). */
function encodeBfloat16(from: Float32Array, out: Uint16Array): void {
  const bits = new Uint32Array(from.buffer, from.byteOffset, from.length);
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i]!;
    out[i] = (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
}

/** Little-endian elements of `dtype` as float32 values, into `out` (one an element). `bytes` may be unaligned; integers round. */
export function decodeFloats(dtype: Dtype, bytes: Uint8Array, out: Float32Array): void {
  DECODERS[dtype](bytes, out);
}

/** {@link decodeFloats} into a new array; F32 that is aligned is a view of `bytes`, not a copy. */
export function decodeToFloat32(dtype: Dtype, bytes: Uint8Array): Float32Array {
  if (dtype === 'F32') return new Float32Array(...aligned(bytes, 4));
  const out = new Float32Array(bytes.length / DTYPE_BYTES[dtype]);
  decodeFloats(dtype, bytes, out);
  return out;
}

/** float32 values as little-endian bytes of `dtype`. F32 is a view, not a copy. */
export function encodeFloat32(dtype: FloatDtype, values: Float32Array): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const out = new Uint16Array(values.length);
  if (dtype === 'F16') encodeFloat16(values, out);
  else encodeBfloat16(values, out);
  return new Uint8Array(out.buffer);
}

/** Refuse values that are NaN or infinite. `where` names what they are; the error says which is the first. */
export function refuseNonFinite(values: Float32Array, where: string): void {
  const at = firstNonFinite(values);
  if (at >= 0)
    throw new CheckpointError(where, {
      wanted: 'finite numbers',
      got: `${values[at]} at element ${at} of ${values.length}`,
      next: 'everything computed with it would be NaN: take another copy, or write it again in float32',
    });
}

/** Index of the first NaN or infinity, −1 without any. */
export function firstNonFinite(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
  return -1;
}

/** A typed view of `bytes`, copied first only if it is not aligned to `size`. */
function aligned(bytes: Uint8Array, size: number): [ArrayBufferLike, number, number] {
  const b = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return [b.buffer, b.byteOffset, b.byteLength / size];
}

const DECODERS: Record<Dtype, (bytes: Uint8Array, out: Float32Array) => void> = {
  F64: (b, out) => out.set(new Float64Array(...aligned(b, 8))),
  F32: (b, out) => new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(b),
  F16: (b, out) => decodeFloat16(new Uint16Array(...aligned(b, 2)), out),
  BF16: (b, out) => decodeBfloat16(new Uint16Array(...aligned(b, 2)), out),
  I64: (b, out) => out.set(Array.from(new BigInt64Array(...aligned(b, 8)), Number)),
  I32: (b, out) => out.set(new Int32Array(...aligned(b, 4))),
  I16: (b, out) => out.set(new Int16Array(...aligned(b, 2))),
  I8: (b, out) => out.set(new Int8Array(...aligned(b, 1))),
  U8: (b, out) => out.set(b),
  BOOL: (b, out) => out.set(b.map((v) => (v === 0 ? 0 : 1))),
};
