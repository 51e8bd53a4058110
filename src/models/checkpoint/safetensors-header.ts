/**
 * @file The safetensors header: 8 bytes little-endian length N, N bytes of JSON
 * `{name: {dtype, shape, data_offsets: [begin, end]}, __metadata__?: {string: string}}`, then the data.
 * As strict as the format's own reader: the data must be covered exactly, with neither hole nor overlap.
 */

import { DTYPE_BYTES, type Dtype } from './dtypes.ts';
import { CheckpointError, show } from './errors.ts';
import { isPlainObject, parseStrictJsonObject } from './strict-json.ts';

/** The format's own limit on the JSON header, in bytes. */
const MAX_HEADER_BYTES = 100_000_000;

/** One tensor of the header; `offset` counts from the start of the file. */
interface HeaderTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly byteLength: number;
}

/** A parsed header. */
export interface SafetensorsHeader {
  /** In the order of their bytes in the file. */
  readonly tensors: readonly HeaderTensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Length of the JSON header, from the first 8 bytes. Checked against the size of the file and the format's limit,
 * so that a caller may allocate it.
 */
export function headerLength(first8: Uint8Array, fileSize: number, where: string): number {
  if (fileSize < 8 || first8.length < 8)
    throw new CheckpointError(where, {
      wanted: 'at least the 8 bytes of the header length',
      got: `${fileSize} bytes`,
    });
  const length = new DataView(first8.buffer, first8.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES))
    throw new CheckpointError(where, {
      wanted: `a header of at most ${MAX_HEADER_BYTES} bytes`,
      got: `${length}`,
      next: 'this is not a safetensors file, or it is damaged',
    });
  if (Number(length) > fileSize - 8)
    throw new CheckpointError(where, {
      wanted: `a header within the file's ${fileSize} bytes`,
      got: `${length} bytes`,
      next: 'the file is truncated: download it again',
    });
  return Number(length);
}

/** Parse and check the JSON header (`json`, without the length) of a file of `fileSize` bytes. Throws `CheckpointError`. */
export function parseSafetensorsHeader(json: Uint8Array, fileSize: number, where: string): SafetensorsHeader {
  if (json[0] !== 0x7b)
    throw new CheckpointError(where, { wanted: 'a header that begins with {', got: show(json[0] ?? null) });
  // No entry is shorter than its three keys: a large header of many objects and arrays is none of tensors.
  const most = 2 + json.length / 20;
  let opened = 0;
  for (let i = 0; i < json.length; i++) if (json[i] === 0x7b || json[i] === 0x5b) opened++;
  if (json.length > 1e6 && opened > most)
    throw new CheckpointError(where, {
      wanted: 'a header of tensors',
      got: `${opened} objects and arrays in ${json.length} bytes`,
    });
  const dataStart = 8 + json.length;
  const tensors: HeaderTensor[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(parseStrictJsonObject(json, `${where}: header`, 8))) {
    if (name === '__metadata__') metadata = parseMetadata(entry, where);
    else tensors.push(parseEntry(name, entry, dataStart, where));
  }
  tensors.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  checkCoverage(tensors, dataStart, fileSize, where);
  return { tensors, metadata };
}

function parseMetadata(value: unknown, where: string): Record<string, string> {
  if (!isPlainObject(value) || Object.values(value).some((v) => typeof v !== 'string'))
    throw new CheckpointError(`${where}: __metadata__`, {
      wanted: 'a map of strings to strings',
      got: show(value),
    });
  return value as Record<string, string>;
}

function parseEntry(name: string, entry: unknown, dataStart: number, where: string): HeaderTensor {
  const at = `${where}: tensor ${show(name)}`;
  if (!isPlainObject(entry))
    throw new CheckpointError(at, { wanted: '{dtype, shape, data_offsets}', got: show(entry) });
  for (const key of Object.keys(entry))
    if (key !== 'dtype' && key !== 'shape' && key !== 'data_offsets')
      throw new CheckpointError(at, { wanted: 'dtype, shape and data_offsets only', got: show(key) });

  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !Object.hasOwn(DTYPE_BYTES, dtype))
    throw new CheckpointError(at, {
      id: 'model-unsupported',
      wanted: `dtype ${Object.keys(DTYPE_BYTES).join(', ')}`,
      got: show(dtype),
      next: 'take a checkpoint in F32, F16 or BF16',
    });
  if (!Array.isArray(shape) || !shape.every(isCount))
    throw new CheckpointError(at, { wanted: 'a shape of whole numbers', got: show(shape) });
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw new CheckpointError(at, { wanted: 'data_offsets [begin, end]', got: show(offsets) });

  const [begin, end] = offsets as [number, number];
  const bytes = shape.reduce<number>((n, d) => n * d, DTYPE_BYTES[dtype as Dtype]);
  if (!Number.isSafeInteger(bytes))
    throw new CheckpointError(at, { wanted: 'a size below 2^53 bytes', got: `shape ${show(shape)}` });
  if (end - begin !== bytes)
    throw new CheckpointError(at, {
      wanted: `${bytes} bytes for ${dtype} ${show(shape)}`,
      got: `data_offsets ${show(offsets)}, ${end - begin} bytes`,
    });
  return { name, dtype: dtype as Dtype, shape, offset: dataStart + begin, byteLength: bytes };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}

function checkCoverage(
  tensors: readonly HeaderTensor[],
  dataStart: number,
  fileSize: number,
  where: string,
): void {
  let end = dataStart;
  let before = 'the header';
  for (const t of tensors) {
    if (t.offset !== end)
      throw new CheckpointError(`${where}: tensor ${show(t.name)}`, {
        wanted: `data to begin at byte ${end - dataStart}, where ${before} ends`,
        got: `${t.offset - dataStart} (${t.offset < end ? 'tensors overlap' : 'a hole'})`,
      });
    end = t.offset + t.byteLength;
    before = show(t.name);
  }
  if (end !== fileSize)
    throw new CheckpointError(where, {
      wanted: `${end} bytes, where the last tensor ends`,
      got: `${fileSize} bytes`,
      next:
        end > fileSize
          ? 'the file is truncated: download it again'
          : 'the file has bytes that no tensor owns: download it again',
    });
}
