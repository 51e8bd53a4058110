/** @file Writing GGUF files, version 3: entries of metadata, the directory of tensors, aligned data as it comes. */
import { writeFileAtomic } from '../../../base/index.ts';
import { encodeFloat32 } from '../numbers.ts';

const ALIGNMENT = 32;

/** An entry of metadata: key, type, value. */
export type GgufEntry = readonly [
  key: string,
  ...(
    | readonly [type: 'u32' | 'f32', value: number]
    | readonly [type: 'bool', value: boolean]
    | readonly [type: 'string', value: string]
    | readonly [type: 'i32s' | 'f32s', value: readonly number[]]
    | readonly [type: 'strings', value: readonly string[]]
  ),
];

/** Type id and bytes of a value; a list is type 9, then type and number of its elements. */
function encodedValue([, type, value]: GgufEntry): readonly [id: number, bytes: Uint8Array] {
  switch (type) {
    case 'u32':
      return [4, u32(value)];
    case 'f32':
      return [6, bytesOf(Float32Array.of(value))];
    case 'bool':
      return [7, Uint8Array.of(value ? 1 : 0)];
    case 'string':
      return [8, text(value)];
    case 'i32s':
      return [9, Buffer.concat([u32(5), u64(value.length), bytesOf(Int32Array.from(value))])];
    case 'f32s':
      return [9, Buffer.concat([u32(6), u64(value.length), bytesOf(Float32Array.from(value))])];
    case 'strings':
      return [9, Buffer.concat([u32(8), u64(value.length), ...value.map(text)])];
  }
}

/** A tensor to write; its values are asked for when their turn comes. */
export interface GgufTensorToWrite {
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  readonly type: 'F32' | 'F16';
  readonly values: () => Float32Array | Promise<Float32Array>;
}

/** One entry of metadata, encoded. */
export function ggufEntry(...entry: GgufEntry): Uint8Array {
  const [id, bytes] = encodedValue(entry);
  return Buffer.concat([text(entry[0]), u32(id), bytes]);
}

/** Entries and directory of a file, padded; bytes of each tensor, and of all data with their padding. */
export function ggufHead(
  entries: readonly Uint8Array[],
  tensors: readonly Omit<GgufTensorToWrite, 'values'>[],
): { readonly head: Uint8Array; readonly sizes: readonly number[]; readonly dataBytes: number } {
  const sizes = tensors.map(({ shape, type }) => shape.reduce((a, b) => a * b, 1) * TYPES[type].bytes);
  let offset = 0;
  const directory = tensors.map(({ name, shape, type }, k) => {
    const at = offset;
    offset = aligned(offset + (sizes[k] as number));
    return Buffer.concat([
      text(name),
      u32(shape.length),
      ...[...shape].reverse().map(u64),
      u32(TYPES[type].id),
      u64(at),
    ]);
  });
  const counts = [u32(3), u64(tensors.length), u64(entries.length)];
  const parts = Buffer.concat([Buffer.from('GGUF', 'latin1'), ...counts, ...entries, ...directory]);
  const padding = new Uint8Array(aligned(parts.length) - parts.length);
  return { head: Buffer.concat([parts, padding]), sizes, dataBytes: offset };
}

/** Write a whole file, or none. `entries`: of {@link ggufEntry}, or copied from another file. */
export async function writeGguf(
  path: string,
  {
    entries,
    tensors,
  }: { readonly entries: readonly Uint8Array[]; readonly tensors: readonly GgufTensorToWrite[] },
  onTensor: (written: number) => void = () => {},
): Promise<void> {
  const { head, sizes } = ggufHead(entries, tensors);
  async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    yield head;
    for (const [k, { type, values }] of tensors.entries()) {
      yield encodeFloat32(type, await values());
      const size = sizes[k] as number;
      yield new Uint8Array(aligned(size) - size);
      onTensor(k + 1);
    }
  }
  await writeFileAtomic(path, pieces());
}

const TYPES = { F32: { id: 0, bytes: 4 }, F16: { id: 1, bytes: 2 } } as const;

function aligned(n: number): number {
  return Math.ceil(n / ALIGNMENT) * ALIGNMENT;
}

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}

function u32(value: number): Uint8Array {
  return bytesOf(Uint32Array.of(value));
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

function u64(value: number): Uint8Array {
  return bytesOf(BigUint64Array.of(BigInt(value)));
}
