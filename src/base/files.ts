/** @file Files that are whole or absent: written aside, flushed, then renamed into place. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InputError } from './errors.ts';

function aside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.${randomBytes(4).toString('hex')}.part`);
}

/** What the system says where a file cannot be written: no right, no room, no folder. */
const UNWRITABLE: ReadonlySet<unknown> = new Set([
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOSPC',
  'EDQUOT',
  'ENOTDIR',
  'EEXIST',
  'ENAMETOOLONG',
]);

/** The code of the first such error among `error` and its causes. */
export function unwritable(error: unknown): string | undefined {
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 4; e = e.cause, depth++) {
    const { code } = e as NodeJS.ErrnoException;
    if (UNWRITABLE.has(code)) return code;
  }
  return undefined;
}

/** `error` of writing to `path`: an {@link InputError} where the place is at fault, which the user can mend; else as it is. */
export function writeError(error: unknown, path: string): unknown {
  const code = error instanceof InputError ? undefined : unwritable(error);
  if (code === undefined) return error;
  const next = code === 'ENOSPC' || code === 'EDQUOT' ? 'free some room, or choose' : 'choose';
  return new InputError(`${path}: cannot be written (${code}); ${next} another folder`, { cause: error });
}

/** Make a folder and those above it. Throws the system's own reason: Node's recursive `mkdir` says ENOENT on a read-only disk. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeFolder(dirname(path));
    await mkdir(path);
  }
}

/** Write `data` to `path` so that a reader sees the old file or the whole new one, never a part. Makes parent folders. */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const temporary = aside(path);
  try {
    await makeFolder(dirname(path));
    const handle = await open(temporary, 'wx');
    try {
      await handle.writeFile(data);
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

/**
 * Fill a folder aside with `fill(temporaryFolder)`, then move it to `path` (replacing what was there). When `fill`
 * throws, nothing is left behind and the former folder stays. Returns what `fill` returned.
 */
export async function withAtomicFolder<T>(path: string, fill: (folder: string) => Promise<T>): Promise<T> {
  const temporary = aside(path);
  try {
    await makeFolder(dirname(path));
    await mkdir(temporary);
    const result = await fill(temporary);
    const former = aside(path);
    const hadFormer = await rename(path, former).then(
      () => true,
      () => false,
    );
    try {
      await rename(temporary, path);
    } catch (error) {
      if (hadFormer) await rename(former, path);
      throw error;
    }
    if (hadFormer) await rm(former, { recursive: true, force: true });
    return result;
  } catch (error) {
    await removed(temporary);
    throw writeError(error, path);
  }
}

/** What was begun goes; where nothing can be written (or no folder is), there is nothing. */
async function removed(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => {});
}
