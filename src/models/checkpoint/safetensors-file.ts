/** @file Reading safetensors files: the header once, tensors and slices of them on demand. */
import { open, realpath } from 'node:fs/promises';
import { isLfsPointer, LFS_NEXT } from '../../base/index.ts';
import { CheckpointError } from './errors.ts';
import { decodeToFloat32 } from './numbers.ts';
import { headerLength, parseSafetensorsHeader, type SafetensorsHeader } from './safetensors-header.ts';
import type { CheckpointTensor, TensorInfo } from './types.ts';

/** Largest single read, bytes; the kernel stops short of 2 GiB. */
const READ_BYTES = 1 << 30;

/** Tensors of one safetensors file, with its symlinks resolved. */
export interface SafetensorsFile {
  readonly file: string;
  /** In the order of their bytes. */
  readonly tensors: readonly TensorInfo[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** Open, check and close a safetensors file. Throws `CheckpointError` for anything that is not whole. */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await realpath(path).catch((error: unknown) => {
    throw new CheckpointError(
      path,
      { id: 'model-not-found', wanted: 'a safetensors file', got: 'nothing', next: 'check the path' },
      error,
    );
  });
  const handle = await open(file, 'r');
  let header: SafetensorsHeader;
  try {
    const stat = await handle.stat();
    if (!stat.isFile())
      throw new CheckpointError(path, {
        id: 'model-not-found',
        wanted: 'a file',
        got: 'something else',
        next: 'check the path',
      });
    refuseSparse(stat, path);
    const first = await readRange(handle, 0, Math.min(8, stat.size), path);
    if (isLfsPointer(await readRange(handle, 0, Math.min(64, stat.size), path)))
      throw new CheckpointError(path, { wanted: 'weights', got: 'a Git LFS pointer', next: LFS_NEXT });
    const json = await readRange(handle, 8, headerLength(first, stat.size, path), path);
    header = parseSafetensorsHeader(json, stat.size, path);
  } finally {
    await handle.close();
  }
  return { file, tensors: header.tensors.map((t) => ({ ...t, file })), metadata: header.metadata };
}

/** Files above this are looked at for holes, bytes. */
const LARGE = 1 << 20;

/**
 * Refuse a file nearly all of which is a hole: its size was written by seeking, no weights are like that, and reading it would cost
 * what its author never paid. `blocks` are of 512 bytes; a file system that does not tell them says 0.
 */
export function refuseSparse({ size, blocks }: { size: number; blocks: number }, where: string): void {
  if (size > LARGE && blocks > 0 && blocks * 512 < size / 64)
    throw new CheckpointError(where, {
      wanted: `${size} bytes of weights`,
      got: `a sparse file with ${blocks * 512} bytes on disk`,
      next: 'the download did not finish: download it again',
    });
}

/** All of one tensor as float32 values. */
export async function readTensorFloat32(info: TensorInfo): Promise<CheckpointTensor> {
  const handle = await open(info.file, 'r');
  try {
    const bytes = await readRange(handle, info.offset, info.byteLength, info.file);
    return { dtype: info.dtype, shape: info.shape, data: decodeToFloat32(info.dtype, bytes) };
  } finally {
    await handle.close();
  }
}

/** The stored bytes of one tensor in pieces of at most `pieceBytes` (a multiple of 8). Defaults to 16 MiB. */
export async function* tensorPieces(info: TensorInfo, pieceBytes = 1 << 24): AsyncGenerator<Uint8Array> {
  const handle = await open(info.file, 'r');
  try {
    for (let at = 0; at < info.byteLength; at += pieceBytes)
      yield await readRange(handle, info.offset + at, Math.min(pieceBytes, info.byteLength - at), info.file);
  } finally {
    await handle.close();
  }
}

/** What is read from: an open file. */
interface Readable {
  read(
    into: Uint8Array,
    at: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
}

/** Exactly `length` bytes from `offset`, in fresh memory aligned to 8. Throws `CheckpointError` at the end of the file. */
export async function readRange(
  handle: Readable,
  offset: number,
  length: number,
  where: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(READ_BYTES, length - done), offset + done);
    if (bytesRead === 0)
      throw new CheckpointError(where, {
        wanted: `${length} bytes at ${offset}`,
        got: `${done} before the file ended`,
        next: 'the file changed while it was read: close what writes it and try again',
      });
    done += bytesRead;
  }
  return bytes;
}
