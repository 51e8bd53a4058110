/**
 * @file A folder's seal: `.crosspatch.json` with the SHA-256 of every other file. It says that crosspatch made the folder, and
 * what; a bit that flipped, a file that is cut, missing or added is found by comparing.
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { z } from 'zod';
import { errorLine } from './errors.ts';
import { hashFile, hashJson } from './hash.ts';

/** Name of the seal within its folder. */
export const SEAL = '.crosspatch.json';

const sealSchema = z.strictObject({
  made_by: z.literal('crosspatch'),
  /** Path within the folder → SHA-256. */
  files: z.record(z.string(), z.string().regex(/^[0-9a-f]{64}$/)),
  /** Files that are crosspatch's too, and may change. */
  unsealed: z.array(z.string()).optional(),
  /** Of the rest of this document. */
  sha256: z.string(),
});

/** The seal's text for `folder` as it is now; `unsealed` files may change later. */
export async function sealOf(folder: string, unsealed: readonly string[] = []): Promise<string> {
  const files: Record<string, string> = {};
  const names = (await listFiles(folder)).filter((name) => name !== SEAL);
  for (const name of names) if (!isOneOf(name, unsealed)) files[name] = await hashFile(join(folder, name));
  const open = names.filter((name) => isOneOf(name, unsealed));
  const content = { made_by: 'crosspatch', files, unsealed: open.length > 0 ? open : undefined };
  return `${JSON.stringify({ ...content, sha256: hashJson(content) }, null, 2)}\n`;
}

/** What a seal says. */
export interface Seal {
  /** Path within the folder → SHA-256. */
  readonly files: Readonly<Record<string, string>>;
  /** Files that are crosspatch's too, and may change. */
  readonly unsealed?: readonly string[] | undefined;
}

/** The seal of a folder; undefined where there is none or it was changed. */
export async function readSeal(folder: string): Promise<Seal | undefined> {
  const text = await readFile(join(folder, SEAL), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : parseSeal(text);
}

/** A seal from its text; undefined where that was changed. */
export function parseSeal(text: string): Seal | undefined {
  try {
    const { sha256, ...content } = sealSchema.parse(JSON.parse(text));
    return hashJson(content) === sha256 ? content : undefined;
  } catch {
    return undefined;
  }
}

/** Why the content of a sealed folder cannot be used, naming the file; undefined when every byte is as it was written. */
export async function brokenSeal(
  folder: string,
  unsealed: readonly string[] = [],
): Promise<string | undefined> {
  try {
    const files = (await readSeal(folder))?.files;
    if (files === undefined) return `${SEAL} is missing or was changed`;
    const names = (await listFiles(folder)).filter((name) => name !== SEAL && !isOneOf(name, unsealed));
    const extra = names.find((name) => !Object.hasOwn(files, name));
    if (extra !== undefined) return `${extra} was added`;
    for (const [name, hash] of Object.entries(files)) {
      if (!names.includes(name)) return `${name} is missing`;
      if ((await hashFile(join(folder, name))) !== hash) return `${name} was changed`;
    }
    return undefined;
  } catch (error) {
    return errorLine(error);
  }
}

/** By its name, in whichever folder it lies. */
function isOneOf(path: string, names: readonly string[]): boolean {
  return names.includes(basename(path));
}

/** Paths of all files and links under `folder`, relative, `/`-separated, sorted. */
export async function listFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .sort();
}
