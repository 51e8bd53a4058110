/** @file Writing GGUF files, version 3: entries of metadata, the directory of tensors, aligned data as it comes. */
import { writeFileAtomic } from '../../../base/index.ts';
import { encodeFloat32 } from '../numbers.ts';

const ALIGNMENT = 32;

/** Bytes of a scalar's type id and of its value. */
const SCALARS = {
  u32: (value: number) => [4, new Uint8Array(Uint32Array.of(value).buffer)] as const,
  f32: (value: number) => [6, new Uint8Array(Float32Array.of(value).buffer)] as const,
  string: (value: string) => [8, text(value)] as const,
};

/** A tensor to write; its values are asked for when their turn comes. */
export interface GgufTensorToWrite {
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  readonly type: 'F32' | 'F16';
  readonly values: () => Float32Array | Promise<Float32Array>;
}

/** One entry of metadata, encoded. */
export function ggufEntry(
  key: string,
  ...[type, value]: ['u32' | 'f32', number] | ['string', string]
): Uint8Array {
  const [id, bytes] = type === 'string' ? SCALARS.string(value) : SCALARS[type](value);
  return Buffer.concat([text(key), u32(id), bytes]);
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
  const head = Buffer.concat([
    Buffer.from('GGUF', 'latin1'),
    u32(3),
    u64(tensors.length),
    u64(entries.length),
    ...entries,
    ...directory,
  ]);
  async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    yield head;
    yield new Uint8Array(aligned(head.length) - head.length);
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
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function u64(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}
