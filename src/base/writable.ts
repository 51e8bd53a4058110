/** @file Places that cannot be written: no right, no room, no folder. The user can mend those, so they become input errors. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { InputError } from './errors.ts';

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
  return new InputError(`${path}: cannot be written (${code}); ${next} another folder`, {
    id: 'out-unwritable',
    cause: error,
  });
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
