/** @file The GGUF container, versions 2 and 3: magic, metadata, tensor directory, aligned data. */
import { isLfsPointer, LFS_NEXT } from '../../../base/index.ts';
import { CheckpointError, show } from '../errors.ts';
import { type ByteSource, Cursor } from './source.ts';
import { type GgmlType, ggmlTypes } from './types.ts';

/** A metadata array: numbers as the typed array of their width, strings, booleans (0/1 bytes), or arrays. */
export type GgufArray =
  | readonly string[]
  | readonly GgufArray[]
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** A metadata value. 64-bit integers are numbers when exact, else bigints. */
export type GgufValue = string | number | bigint | boolean | GgufArray;

/** All metadata by key, e.g. `tokenizer.ggml.tokens` → string[], `tokenizer.ggml.scores` → Float32Array. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** One tensor of the directory. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgmlType;
  /** Outermost dimension first (the file stores them the other way round). */
  readonly shape: readonly number[];
  /** Counted from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** A parsed GGUF header. */
export interface Gguf {
  readonly version: number;
  readonly metadata: GgufMetadata;
  /** Where each entry of the metadata lies in the file, key and type included. */
  readonly entries: ReadonlyMap<string, { readonly offset: number; readonly length: number }>;
  /** In the order of the directory. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** First byte of tensor data. */
  readonly dataStart: number;
}

/** `GGUF`, little-endian. */
const MAGIC = 0x46554747;
const DEFAULT_ALIGNMENT = 32;
/** The headers of the largest vocabularies are below 20 MB. */
const MAX_HEADER_BYTES = 64_000_000;
/** Elements of one metadata array; the largest vocabularies have 262,144, their merges twice as many. */
const MAX_ELEMENTS = 1 << 22;
/** Tensors, and metadata entries. */
const MAX_ENTRIES = 1 << 17;
/** GGML_MAX_DIMS. */
const MAX_DIMENSIONS = 4;
/** Values of a tensor and offsets stay exact as numbers, with room for their sizes in bytes. */
const MAX_COUNT = 2n ** 49n;
/** Arrays of arrays are legal; nobody writes them deeper than this. */
const MAX_NESTING = 4;

/**
 * Read and check a GGUF header. Nothing is allocated that the bytes of the file do not justify; tensors must lie
 * inside the file, aligned, without overlap. Throws `CheckpointError`.
 */
export function readGguf(source: ByteSource, where: string): Gguf {
  // A length within a sparse file costs its author nothing: what is read as a header stays small whatever the file's size.
  const size = Math.min(source.size, MAX_HEADER_BYTES);
  const cursor = new Cursor({ size, read: (offset, length) => source.read(offset, length) }, where);
  if (source.size >= 64 && isLfsPointer(source.read(0, 64)))
    throw new CheckpointError(where, { wanted: 'a GGUF', got: 'a Git LFS pointer', next: LFS_NEXT });
  const magic = cursor.u32();
  if (magic !== MAGIC)
    throw new CheckpointError(where, {
      wanted: 'the magic bytes GGUF',
      got: `0x${magic.toString(16).padStart(8, '0')}`,
      next: 'this is not a GGUF file',
    });
  const version = cursor.u32();
  if (version !== 2 && version !== 3)
    throw new CheckpointError(where, {
      id: 'model-unsupported',
      wanted: 'GGUF version 2 or 3, little-endian',
      got: (version & 0xffff) === 0 ? 'a big-endian file' : `version ${version}`,
      next: 'convert the file with a current llama.cpp',
    });
  const tensorCount = cursor.count('tensors', 24);
  const metadataCount = cursor.count('metadata entries', 13);
  if (Math.max(tensorCount, metadataCount) > MAX_ENTRIES)
    throw new CheckpointError(where, {
      wanted: `at most ${MAX_ENTRIES} tensors and metadata entries`,
      got: `${tensorCount} and ${metadataCount}`,
    });

  const metadata = new Map<string, GgufValue>();
  const entries = new Map<string, { offset: number; length: number }>();
  for (let i = 0; i < metadataCount; i++) {
    const offset = cursor.position;
    const key = cursor.string();
    if (metadata.has(key))
      throw new CheckpointError(where, { wanted: 'every key once', got: `${show(key)} twice` });
    metadata.set(key, readValue(cursor, cursor.u32(), `${where}: ${show(key)}`));
    entries.set(key, { offset, length: cursor.position - offset });
  }

  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || !Number.isInteger(alignment) || alignment < 8 || alignment % 8 !== 0)
    throw new CheckpointError(`${where}: general.alignment`, {
      wanted: 'a multiple of 8',
      got: show(alignment),
    });
  const directory = Array.from({ length: tensorCount }, () => readTensorEntry(cursor, alignment, where));
  const dataStart = Math.ceil(cursor.position / alignment) * alignment;
  const tensors = new Map<string, GgufTensor>();
  for (const entry of directory) {
    if (tensors.has(entry.name))
      throw new CheckpointError(where, { wanted: 'every tensor once', got: `${show(entry.name)} twice` });
    tensors.set(entry.name, { ...entry, offset: dataStart + entry.offset });
  }
  checkExtents(tensors.values(), source.size, where);
  return { version, metadata, entries, tensors, dataStart };
}

function readTensorEntry(cursor: Cursor, alignment: number, where: string): GgufTensor {
  const name = cursor.string();
  const at = `${where}: tensor ${show(name)}`;
  const rank = cursor.u32();
  if (rank < 1 || rank > MAX_DIMENSIONS)
    throw new CheckpointError(at, { wanted: `1 to ${MAX_DIMENSIONS} dimensions`, got: `${rank}` });
  const dimensions = Array.from({ length: rank }, () => cursor.u64());
  const typeId = cursor.u32();
  const type = ggmlTypes.get(typeId);
  if (type === undefined)
    throw new CheckpointError(at, {
      id: 'model-unsupported',
      wanted: 'a known tensor type',
      got: `type ${typeId}`,
      next: 'the file is damaged, or of a type newer than this program: take a Q8_0 or Q4_K_M file',
    });
  const values = dimensions.reduce((n, d) => n * d, 1n);
  const inner = dimensions[0] as bigint;
  if (values === 0n || values > MAX_COUNT || inner % BigInt(type.values) !== 0n)
    throw new CheckpointError(at, {
      wanted: `positive dimensions, the first a multiple of ${type.values} for ${type.name}`,
      got: `[${dimensions.join(', ')}]`,
    });
  const offset = cursor.u64();
  if (offset % BigInt(alignment) !== 0n || offset > MAX_COUNT)
    throw new CheckpointError(at, { wanted: `an offset that ${alignment} divides`, got: `${offset}` });
  const shape = dimensions.map(Number).reverse();
  const byteLength = (Number(values) / type.values) * type.bytes;
  return { name, type, shape, offset: Number(offset), byteLength };
}

function checkExtents(tensors: Iterable<GgufTensor>, size: number, where: string): void {
  const sorted = [...tensors].sort((a, b) => a.offset - b.offset);
  let end = 0;
  let before = '';
  for (const t of sorted) {
    const at = `${where}: tensor ${show(t.name)}`;
    if (t.offset < end)
      throw new CheckpointError(at, {
        wanted: `data at or after byte ${end}, where ${before} ends`,
        got: `${t.offset} (tensors overlap)`,
      });
    end = t.offset + t.byteLength;
    before = show(t.name);
    if (end > size)
      throw new CheckpointError(at, {
        wanted: `data up to byte ${end}`,
        got: `a file of ${size} bytes`,
        next: 'the file is truncated: download it again',
      });
  }
}

const ARRAY_TYPE = 9;

/** Scalars by metadata type id: their name, least size in bytes, and reader. */
const SCALARS: Readonly<Record<number, readonly [string, number, (cursor: Cursor) => GgufValue]>> = {
  0: ['u8', 1, (c) => c.u8()],
  1: ['i8', 1, (c) => c.i8()],
  2: ['u16', 2, (c) => c.u16()],
  3: ['i16', 2, (c) => c.i16()],
  4: ['u32', 4, (c) => c.u32()],
  5: ['i32', 4, (c) => c.i32()],
  6: ['f32', 4, (c) => c.f32()],
  7: ['bool', 1, (c) => c.u8() !== 0],
  8: ['string', 8, (c) => c.string()],
  10: ['u64', 8, (c) => exact(c.u64())],
  11: ['i64', 8, (c) => exact(c.i64())],
  12: ['f64', 8, (c) => c.f64()],
};

/** Numeric arrays are views of the file's own bytes. */
const ARRAYS: Readonly<
  Record<number, readonly [bytes: number, view: (buffer: ArrayBufferLike) => GgufArray]>
> = {
  0: [1, (b) => new Uint8Array(b)],
  1: [1, (b) => new Int8Array(b)],
  2: [2, (b) => new Uint16Array(b)],
  3: [2, (b) => new Int16Array(b)],
  4: [4, (b) => new Uint32Array(b)],
  5: [4, (b) => new Int32Array(b)],
  6: [4, (b) => new Float32Array(b)],
  7: [1, (b) => new Uint8Array(b)],
  10: [8, (b) => new BigUint64Array(b)],
  11: [8, (b) => new BigInt64Array(b)],
  12: [8, (b) => new Float64Array(b)],
};

function exact(value: bigint): number | bigint {
  const n = Number(value);
  return Number.isSafeInteger(n) ? n : value;
}

function readValue(cursor: Cursor, typeId: number, where: string): GgufValue {
  if (typeId === ARRAY_TYPE) return readArray(cursor, where, 1);
  const scalar = SCALARS[typeId];
  if (scalar === undefined) throw unknownType(where, typeId);
  return scalar[2](cursor);
}

function readArray(cursor: Cursor, where: string, depth: number): GgufArray {
  if (depth > MAX_NESTING)
    throw new CheckpointError(where, {
      wanted: `at most ${MAX_NESTING} nested arrays`,
      got: 'a deeper nesting',
    });
  const typeId = cursor.u32();
  const numeric = ARRAYS[typeId];
  if (numeric !== undefined) {
    const [bytes, view] = numeric;
    return view(cursor.bytes(elements(cursor, 'array elements', bytes, where) * bytes).buffer);
  }
  if (typeId === 8) return collect(elements(cursor, 'strings', 8, where), () => cursor.string());
  if (typeId === ARRAY_TYPE)
    return collect(elements(cursor, 'arrays', 12, where), () => readArray(cursor, where, depth + 1));
  throw unknownType(where, typeId);
}

/** The number of elements of an array. */
function elements(cursor: Cursor, what: string, bytesEach: number, where: string): number {
  const n = cursor.count(what, bytesEach);
  if (n > MAX_ELEMENTS)
    throw new CheckpointError(where, { wanted: `at most ${MAX_ELEMENTS} ${what}`, got: `${n}` });
  return n;
}

/** `n` items, growing as they are read: a count that lies costs nothing. */
function collect<T>(n: number, next: () => T): T[] {
  const items: T[] = [];
  for (let i = 0; i < n; i++) items.push(next());
  return items;
}

function unknownType(where: string, typeId: number): CheckpointError {
  return new CheckpointError(where, { wanted: 'a metadata type from 0 to 12', got: `${typeId}` });
}
