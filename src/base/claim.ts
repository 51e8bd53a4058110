/**
 * @file Output places: no command deletes what crosspatch did not make. A folder may be written when it is absent, empty, or sealed
 * with no file in it that its seal does not list; one process at a time may write it.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import type { Owned } from './dispose.ts';
import { InputError } from './errors.ts';
import { acquireLock } from './lock.ts';
import { readSeal, SEAL, type Seal } from './seal.ts';
import { writeError } from './writable.ts';

/** Options of {@link claimFolder}. */
interface ClaimOptions {
  /** Files and folders the command reads: the output must be neither one of them nor around one. */
  readonly reads?: readonly (string | undefined)[];
  /** The writer goes on with what is there and replaces nothing else, so what the folder holds is its business. Defaults to false. */
  readonly resumes?: boolean;
}

/** Folders this process claims: a claim within a claim is granted, so that a command may hold one while it calls a writer. */
const claimed = new Set<string>();

/**
 * Own the output folder `path` until disposed of. Call it before the work starts, so that a wrong `--out` costs nothing.
 *
 * @throws InputError when it holds what crosspatch did not write, is one of `reads`, is a file, or another process owns it
 * @example await using _claim = await claimFolder(options.out, { reads: [options.model, options.data] });
 */
export async function claimFolder(
  path: string,
  { reads = [], resumes = false }: ClaimOptions = {},
): Promise<Owned> {
  const target = await realTarget(path);
  for (const read of reads) if (read !== undefined) await refuseAround(target, path, read);
  if (!resumes) await refuseForeign(target, path);
  if (claimed.has(target)) return { [Symbol.asyncDispose]: async () => {} };
  claimed.add(target);
  try {
    const lock = await acquireLock(join(dirname(target), `.${basename(target)}.lock`), { what: path });
    return {
      [Symbol.asyncDispose]: async () => {
        claimed.delete(target);
        await lock[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    claimed.delete(target);
    throw writeError(error, path);
  }
}

/** Absolute path, links followed: replacing a linked folder replaces the folder, not the link. */
export async function realTarget(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path));
}

/** Throws an {@link InputError} when `target` (shown as `path`) holds anything that crosspatch did not write. */
export async function refuseForeign(target: string, path = target): Promise<void> {
  const entries = await readdir(target).catch((cause: NodeJS.ErrnoException): string[] => {
    if (cause.code === 'ENOENT') return [];
    if (cause.code === 'ENOTDIR')
      throw new InputError(`${path}: wanted a folder to write, got a file; choose another`, {
        id: 'out-unwritable',
        cause,
      });
    throw cause;
  });
  if (entries.length === 0) return;
  const sealed = entries.includes(SEAL) ? await readSeal(target) : undefined;
  const foreign =
    sealed === undefined ? entries.filter((name) => name !== SEAL) : await unlisted(target, sealed);
  if (foreign.length === 0 && sealed !== undefined) return;
  throw new InputError(
    `${path}: holds files that crosspatch did not write (${few(foreign)}); choose another folder, or move them away`,
    { id: 'out-not-ours' },
  );
}

/**
 * Throws an {@link InputError} unless `path` is absent, empty, or its text is `ours`: a single output file replaces only a former
 * output of the same kind.
 */
export async function refuseForeignFile(
  path: string,
  ours: (text: string) => boolean,
  { reads = [] }: ClaimOptions = {},
): Promise<void> {
  const target = await realTarget(path);
  for (const read of reads) if (read !== undefined) await refuseAround(target, path, read);
  const info = await stat(target).catch(() => undefined);
  if (info === undefined || (info.isFile() && info.size === 0)) return;
  if (info.isDirectory())
    throw new InputError(`${path}: wanted a file to write, got a folder; choose another name`, {
      id: 'out-unwritable',
    });
  if (info.isFile() && !isOurs(await readFile(target, 'utf8'), ours))
    throw new InputError(
      `${path}: holds something that this command did not write; choose another name, or move it away`,
      { id: 'out-not-ours' },
    );
}

function isOurs(text: string, ours: (text: string) => boolean): boolean {
  try {
    return ours(text);
  } catch {
    return false;
  }
}

async function refuseAround(target: string, path: string, read: string): Promise<void> {
  const from = await realpath(read).catch(() => undefined);
  if (from === undefined) return;
  const inside = relative(target, from);
  if (inside === '' || !(inside.startsWith('..') || resolve(inside) === inside))
    throw new InputError(`${path}: ${read} is read from there; choose another place to write`, {
      id: 'out-is-input',
    });
}

async function unlisted(folder: string, { files, unsealed = [] }: Seal): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .filter((name) => name !== SEAL && !Object.hasOwn(files, name) && !unsealed.includes(name))
    .sort();
}

/** Three names, and how many more. */
function few(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length <= 3 ? shown || SEAL : `${shown} and ${names.length - 3} more`;
}
