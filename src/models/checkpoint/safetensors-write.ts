/** @file Writing safetensors: streamed, same input same bytes, whole or absent. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InputError, makeFolder, showText, unwritable, writeError } from '../../base/index.ts';
import { DTYPE_BYTES, elementCount, type FloatDtype } from './dtypes.ts';
import { encodeFloat32, LARGEST } from './numbers.ts';

/** Dtypes the writer takes. */
export type WritableDtype = 'F32' | 'F16' | 'BF16' | 'I64' | 'I32';

/** Values of a tensor, or a part of them: float32 (rounded to the tensor's dtype), integers, or its stored bytes. */
export type TensorPiece = Float32Array | Int32Array | BigInt64Array | Uint8Array;

/** A tensor to write. `data` may be a function that gives the pieces one after the other, row-major. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: WritableDtype;
  readonly shape: readonly number[];
  readonly data: TensorPiece | (() => AsyncIterable<TensorPiece>);
}

/**
 * Write `tensors` to `path`. Streams: holds one piece at a time. The file is written aside, flushed and renamed, so a
 * full disk or a kill leaves no half-written `path`. Tensors lie by falling element size, then by name, whatever
 * the order given (as the format's own writer does), and the data begins at a multiple of 8 bytes.
 *
 * @param metadata strings for `__metadata__`. Defaults to `{ format: 'pt' }`, which transformers asks for.
 * @throws InputError when a name comes twice, data and shape disagree, a value is NaN or has no finite rounding in the tensor's dtype, or the place cannot be written (full, read-only).
 * @example await writeSafetensors('v.safetensors', [{ name: 'v', dtype: 'F32', shape: [2], data: new Float32Array([1, 2]) }]);
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Readonly<Record<string, string>> = { format: 'pt' },
): Promise<void> {
  const sorted = [...tensors].sort(
    (a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  const header = headerBytes(sorted, metadata, path);
  const aside = join(
    dirname(path),
    `.${basename(path)}.${process.pid}.${randomBytes(4).toString('hex')}.part`,
  );
  try {
    await makeFolder(dirname(path));
    const handle = await open(aside, 'wx');
    try {
      await writeAll(handle, header);
      for (const tensor of sorted) await writeTensor(handle, tensor, path);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true }).catch(() => {});
    if (unwritable(error) === 'ENOSPC')
      throw new InputError(
        `${path}: wanted ${totalBytes(sorted)} bytes of disk, got a full one; free some, or choose another folder`,
        { id: 'disk-full', cause: error },
      );
    throw writeError(error, path);
  }
}

function tensorBytes(tensor: TensorToWrite): number {
  return elementCount(tensor.shape) * DTYPE_BYTES[tensor.dtype];
}

function totalBytes(tensors: readonly TensorToWrite[]): number {
  return tensors.reduce((n, t) => n + tensorBytes(t), 0);
}

/** Length and JSON, padded with spaces so that the data begins at a multiple of 8. */
function headerBytes(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
  where: string,
): Uint8Array {
  const entries: string[] = [];
  const names = Object.keys(metadata).sort();
  if (names.length > 0)
    entries.push(`"__metadata__":${JSON.stringify(Object.fromEntries(names.map((k) => [k, metadata[k]])))}`);
  const seen = new Set<string>(['__metadata__']);
  let offset = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    if (seen.has(name))
      throw new InputError(`${where}: wanted every tensor name once, got "${name}" twice; rename one`, {
        id: 'tensor-invalid',
      });
    if (!shape.every((d) => Number.isSafeInteger(d) && d >= 0))
      throw new InputError(
        `${where}: tensor "${name}": wanted a shape of whole numbers, got [${shape.join(', ')}]; correct it`,
        { id: 'tensor-invalid' },
      );
    seen.add(name);
    const end = offset + tensorBytes(tensor);
    entries.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, end] })}`);
    offset = end;
  }
  const json = Buffer.from(`{${entries.join(',')}}`, 'utf8');
  const padded = Math.ceil(json.length / 8) * 8;
  const out = new Uint8Array(8 + padded).fill(0x20);
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true);
  out.set(json, 8);
  return out;
}

async function writeTensor(handle: FileHandle, tensor: TensorToWrite, path: string): Promise<void> {
  const wanted = tensorBytes(tensor);
  let written = 0;
  const range = new Range(tensor);
  const put = async (piece: TensorPiece): Promise<void> => {
    if (piece instanceof Float32Array) range.add(piece);
    const bytes = pieceBytes(tensor, piece, path);
    written += bytes.byteLength;
    if (written <= wanted) await writeAll(handle, bytes);
  };
  if (typeof tensor.data === 'function') for await (const piece of tensor.data()) await put(piece);
  else await put(tensor.data);
  range.check(path);
  if (written !== wanted)
    throw new InputError(
      `${path}: tensor "${tensor.name}": wanted ${wanted} bytes for ${tensor.dtype} [${tensor.shape.join(', ')}], got ${written}; make data and shape agree`,
      { id: 'tensor-invalid' },
    );
}

/** Watches that no value becomes infinite in the dtype it is written as, and that all are numbers. */
class Range {
  readonly #tensor: TensorToWrite;
  readonly #largest: number;
  #beyond = 0;
  #most = 0;
  #unreal = 0;

  constructor(tensor: TensorToWrite) {
    this.#tensor = tensor;
    this.#largest = LARGEST[tensor.dtype as FloatDtype] ?? Number.POSITIVE_INFINITY;
  }

  add(values: Float32Array): void {
    const largest = this.#largest;
    for (let i = 0; i < values.length; i++) {
      const v = values[i] as number;
      if (v <= largest && v >= -largest) continue;
      if (!Number.isFinite(v)) this.#unreal++;
      else this.#beyond++;
      if (Number.isFinite(v) && Math.abs(v) > Math.abs(this.#most)) this.#most = v;
    }
  }

  check(path: string): void {
    const at = `${path}: tensor "${showText(this.#tensor.name)}"`;
    if (this.#unreal > 0)
      throw new InputError(
        `${at}: wanted finite numbers, got ${this.#unreal} that are NaN or infinite; what computed them went wrong, nothing was written`,
        { id: 'not-a-number' },
      );
    if (this.#beyond > 0)
      throw new InputError(
        `${at}: wanted values that ${this.#tensor.dtype} can hold, got ${this.#beyond} beyond ${this.#largest} (the largest ${this.#most}), which would be written as infinity; write F32${this.#tensor.dtype === 'F16' ? ' or BF16' : ''} instead`,
        { id: 'tensor-invalid' },
      );
  }
}

function pieceBytes(tensor: TensorToWrite, piece: TensorPiece, path: string): Uint8Array {
  const { dtype } = tensor;
  if (piece instanceof Uint8Array) return piece;
  const raw = new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
  if (piece instanceof Float32Array && (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16'))
    return encodeFloat32(dtype, piece);
  if (piece instanceof Int32Array && dtype === 'I32') return raw;
  if (piece instanceof BigInt64Array && dtype === 'I64') return raw;
  throw new InputError(
    `${path}: tensor "${tensor.name}": wanted values for ${dtype}, got ${piece.constructor.name}; convert them first`,
    { id: 'tensor-invalid' },
  );
}

/** `write` may stop short (it does near 2 GiB); go on until all is out. */
async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(1 << 30, bytes.length - done));
    done += bytesWritten;
  }
}
