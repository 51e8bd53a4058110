/** @file Files that are whole or absent: written aside, flushed, then renamed into place. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { claimFolder, realTarget, refuseForeign } from './claim.ts';
import { SEAL, sealOf } from './seal.ts';
import { makeFolder, writeError } from './writable.ts';

function aside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.${randomBytes(4).toString('hex')}.part`);
}

/**
 * Write `data` (or pieces of it, as they come) to `path` so that a reader sees the old file or the whole new one, never a part. Makes parent
 * folders.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array | AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = aside(path);
  try {
    await makeFolder(dirname(path));
    const handle = await open(temporary, 'wx');
    try {
      if (typeof data === 'string' || data instanceof Uint8Array) await handle.writeFile(data);
      else for await (const piece of data) await handle.writeFile(piece);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await removed(temporary);
    throw writeError(error, path);
  }
}

/** `writeFileAtomic` of indented JSON with a final newline. */
export async function writeJsonAtomic(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** Options of {@link withAtomicFolder}. */
interface AtomicFolderOptions {
  /**
   * Replace whatever lies at the path, without looking: for folders of a cache, which are named by their content.
   * Defaults to false: what crosspatch did not write is refused, and so is a folder another process writes.
   */
  readonly cache?: boolean;
  /** Files that the seal leaves out. Defaults to none. */
  readonly unsealed?: readonly string[];
}

/**
 * Fill a folder aside with `fill(temporaryFolder)`, seal it ({@link SEAL}), then move it to `path`, replacing a folder that
 * crosspatch made. When `fill` throws, nothing is left and the former folder stays. Returns what `fill` returned.
 *
 * @throws InputError when `path` holds what crosspatch did not write, or is in use
 */
export async function withAtomicFolder<T>(
  path: string,
  fill: (folder: string) => Promise<T>,
  { cache = false, unsealed = [] }: AtomicFolderOptions = {},
): Promise<T> {
  const target = await realTarget(path);
  const temporary = aside(target);
  try {
    await makeFolder(dirname(target));
    await using _claim = cache ? undefined : await claimFolder(path);
    await mkdir(temporary);
    const result = await fill(temporary);
    await writeFileAtomic(join(temporary, SEAL), await sealOf(temporary, unsealed));
    if (!cache) await refuseForeign(target, path);
    await moveInto(temporary, target);
    return result;
  } catch (error) {
    await removed(temporary);
    throw writeError(error, path);
  }
}

async function moveInto(temporary: string, target: string): Promise<void> {
  const former = aside(target);
  const hadFormer = await rename(target, former).then(
    () => true,
    () => false,
  );
  try {
    await rename(temporary, target);
  } catch (error) {
    if (hadFormer) await rename(former, target);
    throw error;
  }
  if (hadFormer) await rm(former, { recursive: true, force: true });
}

/** What was begun goes; where nothing can be written (or no folder is), there is nothing. */
async function removed(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => {});
}
