/** @file A small model as a GGUF whose matrices are Q8_0, quantised here; and one with a massive activation in every block. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeFloat32, memorySource, openCheckpoint, readGguf } from './checkpoint/index.ts';
import { exportGguf } from './export-gguf.ts';
import type { TemporaryFolder } from './language-model.helper.ts';
import { type Variant, variantFolder } from './variant.helper.ts';

const ALIGNMENT = 32;
const BLOCK = 32;
const F32 = 0;
const Q8_0 = 8;

/** A variant of `tiny-qwen` in one file, `model.gguf`, of the folder given. */
export async function quantisedVariant(
  variant: Variant = {},
): Promise<TemporaryFolder & { readonly file: string }> {
  const folder = await variantFolder({ of: 'tiny-qwen', ...variant });
  const file = join(folder.path, 'model.gguf');
  await exportGguf(await openCheckpoint(folder.path), file, { dtype: 'F32' });
  await writeFile(file, quantised(await readFile(file)));
  return { ...folder, file };
}

/**
 * One number in each block of 32 that a norm gives is 2¹² times what it was, and the matrices after it do not read it: exact arithmetic does
 * not see it, and 8-bit activations lose the 31 beside it.
 */
export const massive: Variant = {
  tensors: ({ data, ...tensor }) => {
    const width = tensor.shape.at(-1)!;
    const gain = /(?:input|post_attention)_layernorm/.test(tensor.name);
    const read = /(?:q|k|v|gate|up)_proj\.weight$/.test(tensor.name);
    if (gain || read)
      for (let i = 0; i < data.length; i++)
        if ((i % width) % BLOCK === 0) data[i] = read ? 0 : 2 ** 12 * data[i]!;
    return [{ ...tensor, dtype: 'F32', data }];
  },
};

/** A float32 GGUF with its matrices as Q8_0 where blocks of 32 fit: d = max |w| / 127 in half precision, then round(w / d). */
function quantised(bytes: Buffer): Uint8Array {
  const { tensors, dataStart } = readGguf(memorySource(bytes), 'quantised');
  const head = Buffer.from(bytes.subarray(0, dataStart));
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (const { name, shape, offset, byteLength } of tensors.values()) {
    const data = bytes.subarray(offset, offset + byteLength);
    const matrix = shape.length === 2 && shape[1]! % BLOCK === 0;
    const piece = matrix ? q8(new Float32Array(Uint8Array.from(data).buffer)) : data;
    // after the name: how many dimensions, the dimensions, type and offset
    const entry = head.indexOf(Buffer.concat([length64(name.length), Buffer.from(name)])) + 8 + name.length;
    const type = entry + 4 + 8 * shape.length;
    head.writeUInt32LE(matrix ? Q8_0 : F32, type);
    head.writeBigUInt64LE(BigInt(at), type + 4);
    const padding = (ALIGNMENT - (piece.length % ALIGNMENT)) % ALIGNMENT;
    pieces.push(piece, new Uint8Array(padding));
    at += piece.length + padding;
  }
  return Buffer.concat([head, ...pieces]);
}

function q8(values: Float32Array): Uint8Array {
  const blocks = Array.from({ length: values.length / BLOCK }, (_, b) => {
    const block = values.subarray(b * BLOCK, (b + 1) * BLOCK);
    const largest = block.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const scale = encodeFloat32('F16', Float32Array.of(largest / 127));
    const codes = Int8Array.from(block, (v) => (largest === 0 ? 0 : Math.round((127 * v) / largest)));
    return Buffer.concat([scale, new Uint8Array(codes.buffer)]);
  });
  return Buffer.concat(blocks);
}

function length64(n: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(n));
  return bytes;
}
