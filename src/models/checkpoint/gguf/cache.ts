/** @file Where what is made of a GGUF is kept: a sealed folder of the cache, named by the file and by what is made, made once. */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { brokenSeal, InputError, withAtomicFolder, writeJsonAtomic } from '../../../base/index.ts';
import { cacheRoot, removeLeftovers } from '../cache-folder.ts';
import { readRange } from '../safetensors-file.ts';
import type { GgufPart } from './parts.ts';

/** What is made of a GGUF, and how it is read again. */
interface Kept<T> {
  /** Name and version of the format; raise it when the translation changes: older folders are then left alone. */
  readonly format: string;
  /** The file of the folder that is read again. */
  readonly file: string;
  /** Written beside it. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Write the file. */
  readonly make: (path: string) => Promise<void>;
  /** Read it; undefined, or an InputError, where it is not what it should be. */
  readonly read: (path: string) => Promise<T | undefined>;
}

/** Conversions going on in this process, by cache folder, so that two openings share one. */
const converting = new Map<string, Promise<void>>();

/**
 * What `kept` says of a GGUF, made in `<cache>/gguf/<key>` unless it is there already. The folder appears by one rename when it is
 * whole; what a killed process left aside is removed by the next.
 */
export async function keptOf<T>(
  parts: readonly GgufPart[],
  cacheDir: string | undefined,
  kept: Kept<T>,
): Promise<T> {
  const parent = join(cacheRoot(cacheDir), 'gguf');
  const folder = join(parent, await cacheKey(parts, kept.format));
  const found = await openKept(folder, kept);
  if (found !== undefined) return found;
  let conversion = converting.get(folder);
  if (conversion === undefined) {
    conversion = removeLeftovers(parent)
      .then(() =>
        withAtomicFolder(
          folder,
          async (aside) => {
            await writeJsonAtomic(join(aside, 'config.json'), kept.config);
            await kept.make(join(aside, kept.file));
          },
          { cache: true },
        ),
      )
      .finally(() => converting.delete(folder));
    converting.set(folder, conversion);
  }
  await conversion;
  return (await kept.read(join(folder, kept.file))) as T;
}

/**
 * Name of a GGUF's cache folder: format, size, time of change, and a hash of the header and of 64 pages spread over the data, for
 * each of its files. Not a hash of every byte, which would cost a full read at every start.
 */
async function cacheKey(parts: readonly GgufPart[], format: string): Promise<string> {
  const hash = createHash('sha256').update(`${format}\n`);
  const pages = 64;
  const page = 4096;
  for (const { path, headerBytes } of parts) {
    const handle = await open(path, 'r');
    try {
      const { size, mtimeMs } = await handle.stat();
      hash.update(`${size} ${mtimeMs}\n`);
      hash.update(await readRange(handle, 0, Math.min(headerBytes, size), path));
      for (let i = 0; i < pages; i++) {
        const at = headerBytes + Math.floor(((size - headerBytes) * i) / pages);
        if (at < size) hash.update(await readRange(handle, at, Math.min(page, size - at), path));
      }
    } finally {
      await handle.close();
    }
  }
  return hash.digest('hex').slice(0, 32);
}

/** Cache folders whose every byte was compared with the seal by this process, with the stamps their files had then. */
const checked = new Map<string, string>();

/** What the folder holds if it is as it was sealed, byte for byte. */
async function openKept<T>(folder: string, { file, read }: Kept<T>): Promise<T | undefined> {
  const path = join(folder, file);
  const info = await stat(path).catch(() => undefined);
  if (info === undefined) return undefined;
  const stamp = `${info.size} ${info.mtimeMs} ${info.ino}`;
  if (checked.get(folder) !== stamp && (await brokenSeal(folder)) !== undefined) return undefined;
  try {
    const found = await read(path);
    if (found !== undefined) checked.set(folder, stamp);
    return found;
  } catch (error) {
    if (error instanceof InputError) return undefined; // damaged: made again
    throw error;
  }
}
