/**
 * @file Quantised blocks as what they are: small whole numbers, a scale and a minimum per block, y = s·q + m. The layouts are those of
 * `dequantise.ts`; here nothing is multiplied out, so that a product can be computed from the small numbers.
 */
import { float16Table } from '../numbers.ts';

/** How one type is read. */
export interface Levels {
  /** q is in 0 … 2^bits − 1. */
  readonly bits: 4 | 5 | 6 | 8;
  /** Values that share a scale. */
  readonly block: 16 | 32;
  /** m = −s·2^(bits−1) in every block: q is centred, and `minima` is left alone. */
  readonly centred: boolean;
  /** Decode whole blocks of the file: `q` one per value, `scales` and `minima` one per `block` values. Both are exact in float64. */
  readonly read: (bytes: Uint8Array, q: Uint8Array, scales: Float64Array, minima: Float64Array) => void;
}

/** By type name. Types without small numbers (F32, F16, BF16) have none. */
export const levels: Readonly<Record<string, Levels>> = {
  Q4_0: { bits: 4, block: 32, centred: true, read: readQ4_0 },
  Q4_1: { bits: 4, block: 32, centred: false, read: readQ4_1 },
  Q5_0: { bits: 5, block: 32, centred: true, read: readQ5_0 },
  Q5_1: { bits: 5, block: 32, centred: false, read: readQ5_1 },
  Q8_0: { bits: 8, block: 32, centred: true, read: readQ8_0 },
  Q4_K: { bits: 4, block: 32, centred: false, read: readQ4_K },
  Q5_K: { bits: 5, block: 32, centred: false, read: readQ5_K },
  Q6_K: { bits: 6, block: 16, centred: true, read: readQ6_K },
};

function half(bytes: Uint8Array, at: number): number {
  return float16Table()[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

/** 16 bytes: low halves are values 0-15, high ones 16-31. */
function nibbles(bytes: Uint8Array, at: number, q: Uint8Array, o: number): void {
  for (let j = 0; j < 16; j++) {
    const byte = bytes[at + j]!;
    q[o + j] = byte & 15;
    q[o + 16 + j] = byte >> 4;
  }
}

/** The fifth bits of 32 values, bit j of the u32 at `at`. */
function fifths(bytes: Uint8Array, at: number, q: Uint8Array, o: number): void {
  for (let j = 0; j < 32; j++) q[o + j]! |= ((bytes[at + (j >> 3)]! >> (j & 7)) & 1) << 4;
}

function readQ4_0(bytes: Uint8Array, q: Uint8Array, scales: Float64Array): void {
  for (let at = 0, b = 0; at < bytes.length; at += 18, b++) {
    scales[b] = half(bytes, at);
    nibbles(bytes, at + 2, q, b * 32);
  }
}

function readQ4_1(bytes: Uint8Array, q: Uint8Array, scales: Float64Array, minima: Float64Array): void {
  for (let at = 0, b = 0; at < bytes.length; at += 20, b++) {
    scales[b] = half(bytes, at);
    minima[b] = half(bytes, at + 2);
    nibbles(bytes, at + 4, q, b * 32);
  }
}

function readQ5_0(bytes: Uint8Array, q: Uint8Array, scales: Float64Array): void {
  for (let at = 0, b = 0; at < bytes.length; at += 22, b++) {
    scales[b] = half(bytes, at);
    nibbles(bytes, at + 6, q, b * 32);
    fifths(bytes, at + 2, q, b * 32);
  }
}

function readQ5_1(bytes: Uint8Array, q: Uint8Array, scales: Float64Array, minima: Float64Array): void {
  for (let at = 0, b = 0; at < bytes.length; at += 24, b++) {
    scales[b] = half(bytes, at);
    minima[b] = half(bytes, at + 2);
    nibbles(bytes, at + 8, q, b * 32);
    fifths(bytes, at + 4, q, b * 32);
  }
}

/** int8 plus 128. */
function readQ8_0(bytes: Uint8Array, q: Uint8Array, scales: Float64Array): void {
  for (let at = 0, b = 0; at < bytes.length; at += 34, b++) {
    scales[b] = half(bytes, at);
    for (let j = 0; j < 32; j++) q[b * 32 + j] = bytes[at + 2 + j]! ^ 128;
  }
}

/** The eight scales and minima of a K block, whose d and m are at `at`; six bits each, packed in the 12 bytes after them. */
function subBlocks(
  bytes: Uint8Array,
  at: number,
  [scales, minima]: readonly [Float64Array, Float64Array],
  b: number,
): void {
  const [d, m] = [half(bytes, at), half(bytes, at + 2)];
  for (let s = 0; s < 8; s++) {
    const [first, later] = [bytes[at + 4 + (s & 3)]!, bytes[at + 8 + (s & 3)]!];
    const both = bytes[at + 12 + (s & 3)]!;
    scales[b + s] = d * (s < 4 ? first & 63 : (both & 15) | ((first >> 6) << 4));
    minima[b + s] = -m * (s < 4 ? later & 63 : (both >> 4) | ((later >> 6) << 4));
  }
}

function readQ4_K(bytes: Uint8Array, q: Uint8Array, scales: Float64Array, minima: Float64Array): void {
  for (let at = 0, b = 0; at < bytes.length; at += 144, b += 8) {
    subBlocks(bytes, at, [scales, minima], b);
    for (let s = 0; s < 8; s++) {
      const from = at + 16 + (s >> 1) * 32;
      const shift = (s & 1) * 4;
      for (let j = 0; j < 32; j++) q[(b + s) * 32 + j] = (bytes[from + j]! >> shift) & 15;
    }
  }
}

function readQ5_K(bytes: Uint8Array, q: Uint8Array, scales: Float64Array, minima: Float64Array): void {
  for (let at = 0, b = 0; at < bytes.length; at += 176, b += 8) {
    subBlocks(bytes, at, [scales, minima], b);
    for (let s = 0; s < 8; s++) {
      const from = at + 48 + (s >> 1) * 32;
      const shift = (s & 1) * 4;
      for (let j = 0; j < 32; j++)
        q[(b + s) * 32 + j] = ((bytes[from + j]! >> shift) & 15) | (((bytes[at + 16 + j]! >> s) & 1) << 4);
    }
  }
}

function readQ6_K(bytes: Uint8Array, q: Uint8Array, scales: Float64Array): void {
  for (let at = 0, b = 0; at < bytes.length; at += 210, b += 16) {
    const d = half(bytes, at + 208);
    for (let s = 0; s < 16; s++) scales[b + s] = d * ((bytes[at + 192 + s]! << 24) >> 24);
    for (let g = 0; g < 8; g++) {
      const low = at + (g >> 2) * 64 + (g & 1) * 32;
      const lowShift = ((g >> 1) & 1) * 4;
      const high = at + 128 + (g >> 2) * 32;
      const highShift = (g & 3) * 2;
      for (let j = 0; j < 32; j++)
        q[b * 16 + g * 32 + j] =
          ((bytes[low + j]! >> lowShift) & 15) | (((bytes[high + j]! >> highShift) & 3) << 4);
    }
  }
}
