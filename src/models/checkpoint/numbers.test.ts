import { describe, expect, test } from 'vitest';
import { Rng } from '../../base/index.ts';
import { decodeFloats, decodeToFloat32, encodeFloat32, float16Table } from './numbers.ts';

/** binary16 by its definition, in float64: (−1)^s · 2^(e−15) · (1 + f/1024), or · 2⁻¹⁴ · f/1024 when e is 0. */
function half(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1;
  const e = (pattern >> 10) & 31;
  const f = pattern & 1023;
  if (e === 31) return f === 0 ? sign * Infinity : Number.NaN;
  return sign * (e === 0 ? 2 ** -14 * (f / 1024) : 2 ** (e - 15) * (1 + f / 1024));
}

/** Nearest binary16 pattern of a finite x, ties to even, by searching all magnitudes in float64. */
function nearestHalf(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  let low = 0;
  let high = 0x7c00; // as if 2^16 were representable: that is where rounding to infinity begins
  const value = (p: number): number => (p === 0x7c00 ? 65536 : half(p));
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (value(middle) <= Math.abs(x)) low = middle;
    else high = middle;
  }
  const down = Math.abs(x) - value(low);
  const up = value(high) - Math.abs(x);
  return sign | (up < down || (up === down && high % 2 === 0) ? high : low);
}

/** All 65,536 bit patterns. */
const patterns = Array.from({ length: 65536 }, (_, p) => p);

const u16 = (bytes: Uint8Array): Uint16Array => new Uint16Array(bytes.slice().buffer);

describe('binary16', () => {
  test('every pattern decodes by the definition', () => {
    const table = float16Table();
    const wrong = patterns.filter((p) => !Object.is(table[p], half(p)));
    expect(wrong).toEqual([]);
  });

  test('every pattern that is not NaN comes back from float32', () => {
    const back = u16(encodeFloat32('F16', float16Table().slice()));
    expect(patterns.filter((p) => back[p] !== p && !Number.isNaN(half(p)))).toEqual([]);
    expect(back[0x7e01] & 0x7c00).toBe(0x7c00);
    expect(back[0x7e01] & 0x3ff).not.toBe(0);
  });

  test('rounds to nearest, ties to even, over all magnitudes', () => {
    const rng = new Rng(1);
    const values: number[] = [
      0,
      -0,
      65504,
      65519.99,
      65520,
      65536,
      1e30,
      -1e30,
      2 ** -25,
      -(2 ** -25),
      2 ** -24,
    ];
    for (let p = 0; p < 0x7bff; p += 7) {
      const tie = (half(p) + half(p + 1)) / 2; // exact in float32
      values.push(tie, tie * (1 + 2 ** -22), tie * (1 - 2 ** -22));
    }
    for (let i = 0; i < 20_000; i++) values.push(rng.normal() * 2 ** (rng.int(60) - 40));
    const floats = Float32Array.from(values);
    const got = u16(encodeFloat32('F16', floats));
    expect(floats.filter((x, i) => got[i] !== nearestHalf(x))).toEqual(new Float32Array(0));
  });
});

describe('bfloat16', () => {
  test('rounds to nearest, ties to even: against both neighbours in float64', () => {
    const rng = new Rng(2);
    const floats = Float32Array.from({ length: 20_000 }, () => rng.normal() * 2 ** (rng.int(200) - 100));
    floats.set([1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -(1 + 2 ** -8), 0, -0, Infinity, 3.4e38]);
    const got = u16(encodeFloat32('BF16', floats));
    const value = (p: number): number => decodeToFloat32('BF16', new Uint8Array(Uint16Array.of(p).buffer))[0];
    const wrong = floats.filter((x, i) => {
      const p = got[i];
      const error = Math.abs(value(p) - x);
      const isNearer = (other: number): boolean => {
        const far = Math.abs(value(other) - x);
        return error < far || (error === far && p % 2 === 0);
      };
      return i >= 8 && !(isNearer(p - 1) && isNearer(p + 1));
    });
    expect(wrong).toEqual(new Float32Array(0));
    expect([...got.slice(0, 8)]).toEqual([0x3f80, 0x3f80, 0x3f82, 0xbf80, 0, 0x8000, 0x7f80, 0x7f80]);
    expect(value(u16(encodeFloat32('BF16', Float32Array.of(Number.NaN)))[0])).toBeNaN();
  });
});

test('every dtype decodes by value, from unaligned bytes too', () => {
  const cases = [
    ['F64', new Float64Array([1.5, -2]), [1.5, -2]],
    ['F32', new Float32Array([0.1, -2]), [Math.fround(0.1), -2]],
    ['I64', new BigInt64Array([3n, -4n]), [3, -4]],
    ['I32', new Int32Array([3, -4]), [3, -4]],
    ['I16', new Int16Array([3, -4]), [3, -4]],
    ['I8', new Int8Array([3, -4]), [3, -4]],
    ['U8', new Uint8Array([3, 200]), [3, 200]],
    ['BOOL', new Uint8Array([0, 1]), [0, 1]],
  ] as const;
  for (const [dtype, stored, wanted] of cases) {
    const bytes = new Uint8Array(stored.byteLength + 1);
    bytes.set(new Uint8Array(stored.buffer), 1);
    expect({ dtype, values: [...decodeToFloat32(dtype, bytes.subarray(1))] }).toEqual({
      dtype,
      values: wanted,
    });
    const out = new Float32Array(4);
    decodeFloats(dtype, bytes.subarray(1), out.subarray(1, 3));
    expect([...out]).toEqual([0, ...wanted, 0]);
  }
});
