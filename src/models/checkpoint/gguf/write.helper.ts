/** @file Makes small GGUF files, sound or deliberately wrong, for tests; no part of the program. */
import { readGguf } from './read.ts';
import { memorySource } from './source.ts';

type Scalar = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'f32' | 'bool' | 'string' | 'u64' | 'i64' | 'f64';
type Entry = readonly [Scalar | `${Scalar}[]`, unknown];

/** What goes into the file. */
export interface GgufParts {
  readonly metadata: Readonly<Record<string, Entry>>;
  /** `[type id, dimensions as stored (innermost first), offset?]`; data are zeros, laid out one after the other. */
  readonly tensors: Readonly<Record<string, readonly [number, readonly number[], number?]>>;
}

const IDS: Record<Scalar, number> = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  u64: 10,
  i64: 11,
  f64: 12,
};

/** Bytes and writer of each scalar but the string. */
const WRITERS: Record<
  Exclude<Scalar, 'string'>,
  readonly [number, (view: DataView, value: never) => void]
> = {
  u8: [1, (v, x) => v.setUint8(0, x)],
  i8: [1, (v, x) => v.setInt8(0, x)],
  u16: [2, (v, x) => v.setUint16(0, x, true)],
  i16: [2, (v, x) => v.setInt16(0, x, true)],
  u32: [4, (v, x) => v.setUint32(0, x, true)],
  i32: [4, (v, x) => v.setInt32(0, x, true)],
  f32: [4, (v, x) => v.setFloat32(0, x, true)],
  bool: [1, (v, x) => v.setUint8(0, x ? 1 : 0)],
  u64: [8, (v, x) => v.setBigUint64(0, x, true)],
  i64: [8, (v, x) => v.setBigInt64(0, x, true)],
  f64: [8, (v, x) => v.setFloat64(0, x, true)],
};

function scalar(type: Scalar, value: unknown): Uint8Array {
  if (type === 'string') {
    const text = new TextEncoder().encode(value as string);
    return concat([scalar('u64', BigInt(text.length)), text]);
  }
  const [size, write] = WRITERS[type];
  const bytes = new Uint8Array(size);
  write(new DataView(bytes.buffer), value as never);
  return bytes;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** The bytes of a version 3 file with 32-byte alignment and 512 bytes of data a tensor. */
export function ggufBytes({ metadata, tensors }: GgufParts): Uint8Array {
  const parts = [
    new TextEncoder().encode('GGUF'),
    scalar('u32', 3),
    scalar('u64', BigInt(Object.keys(tensors).length)),
    scalar('u64', BigInt(Object.keys(metadata).length)),
  ];
  for (const [key, [type, value]] of Object.entries(metadata)) {
    parts.push(scalar('string', key));
    if (type.endsWith('[]')) {
      const inner = type.slice(0, -2) as Scalar;
      const items = value as readonly unknown[];
      parts.push(scalar('u32', 9), scalar('u32', IDS[inner]), scalar('u64', BigInt(items.length)));
      for (const item of items) parts.push(scalar(inner, item));
    } else parts.push(scalar('u32', IDS[type as Scalar]), scalar(type as Scalar, value));
  }
  Object.entries(tensors).forEach(([name, [type, dimensions, offset]], i) => {
    parts.push(scalar('string', name), scalar('u32', dimensions.length));
    for (const d of dimensions) parts.push(scalar('u64', BigInt(d)));
    parts.push(scalar('u32', type), scalar('u64', BigInt(offset ?? i * 512)));
  });
  const header = concat(parts);
  const padding = (32 - (header.length % 32)) % 32;
  return concat([header, new Uint8Array(padding + 512 * Object.keys(tensors).length)]);
}

/** A GGUF with one more entry of metadata, a list of no strings: what a file without a whole tokenizer lacks to be opened as a model. */
export function withEmptyList(bytes: Uint8Array, key: string): Uint8Array {
  const source = memorySource(bytes);
  const { entries, dataStart } = readGguf(source, 'x');
  const end = Math.max(...[...entries.values()].map(({ offset, length }) => offset + length));
  const head = bytes.slice(0, end);
  const view = new DataView(head.buffer);
  view.setBigUint64(16, view.getBigUint64(16, true) + 1n, true);
  const entry = concat([
    scalar('string', key),
    scalar('u32', 9),
    scalar('u32', IDS.string),
    scalar('u64', 0n),
  ]);
  // What lies between directory and data is padding; it is made again.
  const directory = bytes.slice(end, directoryEnd(bytes, end));
  const start = head.length + entry.length + directory.length;
  return concat([head, entry, directory, new Uint8Array((32 - (start % 32)) % 32), bytes.slice(dataStart)]);
}

/** Where the directory of tensors ends: name, dimensions, type and offset of each. */
function directoryEnd(bytes: Uint8Array, start: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let at = start;
  for (let left = Number(view.getBigUint64(8, true)); left > 0; left--) {
    at += 8 + Number(view.getBigUint64(at, true));
    at += 4 + 8 * view.getUint32(at, true) + 4 + 8;
  }
  return at;
}
