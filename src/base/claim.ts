/**
 * @file Output places: no command deletes what it did not make. A folder may be written when it is absent, empty, or sealed as an
 * output of the same kind, with every file in it as its seal lists it; one process at a time may write it.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import type { Owned } from './dispose.ts';
import { InputError } from './errors.ts';
import { hashFile } from './hash.ts';
import { acquireLock } from './lock.ts';
import { readSeal, SEAL, type Seal } from './seal.ts';
import { writeError } from './writable.ts';

/** Options of {@link claimFolder}. */
interface ClaimOptions {
  /** Files and folders the command reads: the output must be neither one of them nor around one. */
  readonly reads?: readonly (string | undefined)[];
  /**
   * Names of files, one of which every output of this command holds: a folder that crosspatch made but that holds none of them is the
   * output of another command, and refused. Defaults to any output of crosspatch.
   */
  readonly makes?: readonly string[];
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
  { reads = [], makes, resumes = false }: ClaimOptions = {},
): Promise<Owned> {
  const target = await realTarget(path);
  for (const read of reads) if (read !== undefined) await refuseAround(target, path, read);
  if (!resumes) await refuseForeign(target, path, makes);
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
export async function refuseForeign(target: string, path = target, makes?: readonly string[]): Promise<void> {
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
  if (foreign.length === 0 && sealed !== undefined) {
    const files = Object.keys(sealed.files);
    if (makes === undefined || files.length === 0 || files.some((name) => makes.includes(name))) return;
    throw new InputError(
      `${path}: holds what another command of crosspatch made (${few(files)}); choose another folder, or remove it`,
      { id: 'out-not-ours' },
    );
  }
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

/** Files that the seal does not list, and those somebody edited. */
async function unlisted(folder: string, { files, unsealed = [] }: Seal): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .filter((name) => name !== SEAL && !unsealed.includes(name))
    .sort();
  const foreign: string[] = [];
  for (const name of names) {
    const sealed = Object.hasOwn(files, name) ? files[name] : undefined;
    if (sealed === undefined) foreign.push(name);
    else if (await isEdited(join(folder, name), sealed)) foreign.push(`${name} as it was edited`);
  }
  return foreign;
}

/** Nobody edits larger files by hand; hashing the weights of a model would take seconds. */
const EDITED_BYTES = 64 * 2 ** 20;

async function isEdited(path: string, sealed: string): Promise<boolean> {
  return (await stat(path)).size <= EDITED_BYTES && (await hashFile(path)) !== sealed;
}

/** Three names, and how many more. */
function few(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length <= 3 ? shown || SEAL : `${shown} and ${names.length - 3} more`;
}
