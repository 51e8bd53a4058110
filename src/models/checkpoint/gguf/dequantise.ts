/**
 * @file Block decoders: quantised bytes to float32. Layouts are those of ggml-common.h; each sum and product is
 * rounded to float32 once, as in the reference, so the values equal gguf-py's to the last bit.
 *
 * Legend: d a block's scale (binary16), m its minimum (binary16), q the small integers, lo/hi the nibbles of a byte.
 */
import { decodeFloats, float16Table } from '../numbers.ts';

/** Decode whole blocks: `bytes` [blocks × block bytes] into `out` [blocks × values]. `bytes` may be unaligned. */
export type Dequantise = (bytes: Uint8Array, out: Float32Array) => void;

/** By type name; what is missing is refused. */
export const dequantisers: Readonly<Record<string, Dequantise>> = {
  F32: (bytes, out) => decodeFloats('F32', bytes, out),
  F16: (bytes, out) => decodeFloats('F16', bytes, out),
  BF16: (bytes, out) => decodeFloats('BF16', bytes, out),
  Q8_0: dequantiseQ8_0,
  Q4_0: dequantiseQ4_0,
  Q4_1: dequantiseQ4_1,
  Q5_0: dequantiseQ5_0,
  Q5_1: dequantiseQ5_1,
  Q4_K: dequantiseQ4_K,
  Q5_K: dequantiseQ5_K,
  Q6_K: dequantiseQ6_K,
};

function half(bytes: Uint8Array, at: number): number {
  return float16Table()[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

/** 32 values in 34 bytes: d, 32 × int8. y = d·q */
function dequantiseQ8_0(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 34, o += 32) {
    const d = half(bytes, at);
    for (let j = 0; j < 32; j++) out[o + j] = d * ((bytes[at + 2 + j]! << 24) >> 24);
  }
}

/** 32 values in 18 bytes: d, 16 bytes; low nibbles are values 0-15, high ones 16-31. y = d·(q − 8) */
function dequantiseQ4_0(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 18, o += 32) {
    const d = half(bytes, at);
    for (let j = 0; j < 16; j++) {
      const q = bytes[at + 2 + j]!;
      out[o + j] = d * ((q & 15) - 8);
      out[o + 16 + j] = d * ((q >> 4) - 8);
    }
  }
}

/** 32 values in 20 bytes: d, m, 16 bytes. y = d·q + m */
function dequantiseQ4_1(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 20, o += 32) {
    const d = half(bytes, at);
    const m = half(bytes, at + 2);
    for (let j = 0; j < 16; j++) {
      const q = bytes[at + 4 + j]!;
      out[o + j] = d * (q & 15) + m;
      out[o + 16 + j] = d * (q >> 4) + m;
    }
  }
}

/** The u32 of fifth bits: bit j belongs to value j. */
function fifthBits(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** 32 values in 22 bytes: d, 32 fifth bits, 16 bytes. y = d·(q − 16) */
function dequantiseQ5_0(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 22, o += 32) {
    const d = half(bytes, at);
    const fifth = fifthBits(bytes, at + 2);
    for (let j = 0; j < 16; j++) {
      const q = bytes[at + 6 + j]!;
      out[o + j] = d * (((q & 15) | (((fifth >>> j) & 1) << 4)) - 16);
      out[o + 16 + j] = d * (((q >> 4) | (((fifth >>> (j + 16)) & 1) << 4)) - 16);
    }
  }
}

/** 32 values in 24 bytes: d, m, 32 fifth bits, 16 bytes. y = d·q + m */
function dequantiseQ5_1(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 24, o += 32) {
    const d = half(bytes, at);
    const m = half(bytes, at + 2);
    const fifth = fifthBits(bytes, at + 4);
    for (let j = 0; j < 16; j++) {
      const q = bytes[at + 8 + j]!;
      out[o + j] = d * ((q & 15) | (((fifth >>> j) & 1) << 4)) + m;
      out[o + 16 + j] = d * ((q >> 4) | (((fifth >>> (j + 16)) & 1) << 4)) + m;
    }
  }
}

/** Six-bit scale and minimum of sub-block `s` (0-7), packed in 12 bytes: 4 with their top bits in the last four. */
function subScale(bytes: Uint8Array, at: number, s: number): number {
  return s < 4 ? bytes[at + s]! & 63 : (bytes[at + s + 4]! & 15) | ((bytes[at + s - 4]! >> 6) << 4);
}
function subMinimum(bytes: Uint8Array, at: number, s: number): number {
  return s < 4 ? bytes[at + s + 4]! & 63 : (bytes[at + s + 4]! >> 4) | ((bytes[at + s]! >> 6) << 4);
}

/** 256 values in 144 bytes: d, m, 12 bytes of sub-scales, 128 bytes. 8 sub-blocks of 32. y = d·scale·q − m·minimum */
function dequantiseQ4_K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 144, o += 256) {
    const d = half(bytes, at);
    const m = half(bytes, at + 2);
    for (let s = 0; s < 8; s++) {
      const scale = d * subScale(bytes, at + 4, s);
      const minimum = m * subMinimum(bytes, at + 4, s);
      const qs = at + 16 + (s >> 1) * 32;
      const shift = (s & 1) * 4;
      for (let j = 0; j < 32; j++) out[o + s * 32 + j] = scale * ((bytes[qs + j]! >> shift) & 15) - minimum;
    }
  }
}

/** 256 values in 176 bytes: as Q4_K with 32 bytes of fifth bits (bit s of byte j: value j of sub-block s) before the nibbles. */
function dequantiseQ5_K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 176, o += 256) {
    const d = half(bytes, at);
    const m = half(bytes, at + 2);
    for (let s = 0; s < 8; s++) {
      const scale = d * subScale(bytes, at + 4, s);
      const minimum = m * subMinimum(bytes, at + 4, s);
      const qs = at + 48 + (s >> 1) * 32;
      const shift = (s & 1) * 4;
      for (let j = 0; j < 32; j++) {
        const q = ((bytes[qs + j]! >> shift) & 15) | (((bytes[at + 16 + j]! >> s) & 1) << 4);
        out[o + s * 32 + j] = scale * q - minimum;
      }
    }
  }
}

/**
 * 256 values in 210 bytes: 128 bytes of low nibbles, 64 of high pairs, 16 int8 scales (one for 16 values), d.
 * Two halves of 128 values; in each, value 32·g + j has nibble g>>1 of byte 32·(g&1) + j and pair g of byte j.
 * y = d·scale·(q − 32)
 */
function dequantiseQ6_K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 210, o += 256) {
    const d = half(bytes, at + 208);
    for (let g = 0; g < 8; g++) {
      const low = at + (g >> 2) * 64 + (g & 1) * 32;
      const lowShift = ((g >> 1) & 1) * 4;
      const high = at + 128 + (g >> 2) * 32;
      const highShift = (g & 3) * 2;
      for (let j = 0; j < 32; j++) {
        const scale = Math.fround(d * ((bytes[at + 192 + g * 2 + (j >> 4)]! << 24) >> 24));
        const q = ((bytes[low + j]! >> lowShift) & 15) | (((bytes[high + j]! >> highShift) & 3) << 4);
        out[o + g * 32 + j] = scale * (q - 32);
      }
    }
  }
}
