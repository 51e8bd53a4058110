/** @file Planes and shift of every type against gguf-py's values of the same blocks (test/parity/gguf/make.py), and against our own decoders. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { levels } from './levels.ts';
import { packedForm, packedRows, packer } from './pack.ts';
import { ggmlTypes } from './types.ts';

const goldens = JSON.parse(
  gunzipSync(
    readFileSync(join(import.meta.dirname, '../../../../test/parity/gguf/blocks.json.gz')),
  ).toString(),
) as Record<string, { bytes: string; values: string }>;

/** Σ_p scale·(code − 8) + shift, in float64, and the shift of each value. */
function unpacked(name: string, bytes: Uint8Array, values: number) {
  const form = packedForm(name)!;
  const rows = packedRows(form, values);
  packer(name)(bytes, rows);
  const shift = Float64Array.from(
    { length: values },
    (_, i) => rows.shift?.[Math.floor(i / form.block)] ?? 0,
  );
  const matrix = shift.map((from, i) =>
    rows.codes.reduce((sum, codes, p) => {
      const code = i % 2 === 0 ? codes[i >> 1]! & 15 : codes[i >> 1]! >> 4;
      return sum + rows.scales[p]![Math.floor(i / form.block)]! * (code - 8);
    }, from),
  );
  return { matrix, shift, rows };
}

describe('packed rows', () => {
  test('every type of blocks that we read is packed, floats are not', () => {
    const blocks = [...ggmlTypes.values()].filter((t) => t.dequantise !== undefined && t.values > 1);
    expect(Object.keys(levels).sort()).toEqual(blocks.map((t) => t.name).sort());
    expect(packedForm('F16')).toBeUndefined();
  });

  test.each(Object.keys(levels))('%s is the dequantised matrix to one rounding', (name) => {
    const bytes = new Uint8Array(Buffer.from(goldens[name]!.bytes, 'base64'));
    const wanted = new Float32Array(new Uint8Array(Buffer.from(goldens[name]!.values, 'base64')).buffer);
    const { matrix, shift, rows } = unpacked(name, bytes, wanted.length);
    // float32 rounds the shift once and the golden once; without a minimum every number is exact
    const exact = levels[name]!.centred;
    let worst = 0;
    matrix.forEach((value, i) => {
      const size = Math.max(Math.abs(shift[i]!), Math.abs(wanted[i]!));
      worst = Math.max(worst, Math.abs(value - wanted[i]!) / (size || 1));
    });
    expect(worst).toBeLessThanOrEqual(exact ? 0 : 2 ** -23);
    expect(rows.codes).toHaveLength(packedForm(name)!.planes);
    expect(rows.shift !== undefined).toBe(packedForm(name)!.shifted);
  });

  test('a packer that is used again forgets what it packed before', () => {
    const bytes = new Uint8Array(Buffer.from(goldens.Q5_K!.bytes, 'base64')).subarray(0, 352);
    const pack = packer('Q5_K');
    const [first, second] = [packedRows(packedForm('Q5_K')!, 512), packedRows(packedForm('Q5_K')!, 512)];
    pack(bytes, first);
    pack(
      bytes.map((b) => 255 - b),
      packedRows(packedForm('Q5_K')!, 512),
    );
    pack(bytes, second);
    expect(second).toEqual(first);
  });
});
