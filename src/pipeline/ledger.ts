/**
 * @file `.published.json` of a run folder: the hash of every file crosspatch wrote there, and from which stage's result. What was
 * changed later is refused by name when it is read, and copied again by the next run. Invalid counts as absent.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { hashFile, hashJson, InputError, listFiles, writeJsonAtomic } from '../base/index.ts';

export const LEDGER = '.published.json';

const ledgerSchema = z.strictObject({
  /** Path within the run folder → SHA-256. */
  files: z.record(z.string(), z.string()),
  /** Published file or folder → key of the stage it came from; empty while it is being copied. */
  keys: z.record(z.string(), z.string()),
  /** Of the rest of this document. */
  sha256: z.string(),
});
type Content = Omit<z.infer<typeof ledgerSchema>, 'sha256'>;

/** The ledger of one run folder, in memory and on disk. */
export class Ledger {
  readonly #out: string;
  readonly #files: Map<string, string>;
  readonly #keys: Map<string, string>;

  private constructor(out: string, { files, keys }: Content) {
    this.#out = out;
    this.#files = new Map(Object.entries(files));
    this.#keys = new Map(Object.entries(keys));
  }

  static async open(out: string): Promise<Ledger> {
    return new Ledger(out, (await readLedger(out)) ?? { files: {}, keys: {} });
  }

  /** Whether crosspatch wrote `name` here, or was about to. */
  has(name: string): boolean {
    return this.#keys.has(name);
  }

  /** Whether `name` is there from the stage with this key, every byte as it was copied. */
  async holds(name: string, key: string): Promise<boolean> {
    if (this.#keys.get(name) !== key) return false;
    const listed = [...this.#files.keys()].filter((file) => isWithin(file, name));
    const there = await filesOf(this.#out, name);
    if (there.join('\0') !== listed.sort().join('\0')) return false;
    for (const file of there)
      if ((await hashFile(join(this.#out, file))) !== this.#files.get(file)) return false;
    return true;
  }

  /** Say that `name` is about to be written: a kill in between leaves something known to be ours. */
  async announce(name: string): Promise<void> {
    if (this.#keys.get(name) === '') return;
    this.#keys.set(name, '');
    await this.#write();
  }

  /** Say that `name` is written whole. */
  async record(name: string, key: string): Promise<void> {
    for (const file of [...this.#files.keys()]) if (isWithin(file, name)) this.#files.delete(file);
    for (const file of await filesOf(this.#out, name))
      this.#files.set(file, await hashFile(join(this.#out, file)));
    this.#keys.set(name, key);
    await this.#write();
  }

  async #write(): Promise<void> {
    const sorted = (map: Map<string, string>) =>
      Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
    const content: Content = { files: sorted(this.#files), keys: sorted(this.#keys) };
    await writeJsonAtomic(join(this.#out, LEDGER), { ...content, sha256: hashJson(content) });
  }
}

/**
 * Throw an {@link InputError} that names the first of `names` (files of run folder `folder`) that is not as crosspatch wrote it.
 * Files no ledger speaks of pass: a folder that was put together by hand has none.
 */
export async function checkPublished(folder: string, ...names: readonly string[]): Promise<void> {
  const ledger = await readLedger(folder);
  for (const name of names) {
    // A file that is being written again has no hash yet.
    const wanted = ledger?.keys[name] === '' ? undefined : ledger?.files[name];
    if (wanted === undefined) continue;
    const hash = await hashFile(join(folder, name)).catch(() => undefined);
    if (hash === wanted) continue;
    throw new InputError(
      `${join(folder, name)}: ${hash === undefined ? 'is missing' : 'was changed after it was written'}; run the experiment again into ${folder} to mend it`,
      { id: 'run-damaged' },
    );
  }
}

/** Whether a run wrote a ledger into `folder`. */
export async function hasLedger(folder: string): Promise<boolean> {
  return (await readLedger(folder)) !== undefined;
}

async function readLedger(folder: string): Promise<Content | undefined> {
  try {
    const text = await readFile(join(folder, LEDGER), 'utf8');
    const { sha256, ...content } = ledgerSchema.parse(JSON.parse(text));
    return hashJson(content) === sha256 ? content : undefined;
  } catch {
    return undefined;
  }
}

/** `name` itself when it is a file, else the files in it; none when it is not there. */
async function filesOf(out: string, name: string): Promise<string[]> {
  const info = await stat(join(out, name)).catch(() => undefined);
  if (info === undefined) return [];
  return info.isDirectory() ? (await listFiles(join(out, name))).map((file) => `${name}/${file}`) : [name];
}

function isWithin(file: string, name: string): boolean {
  return file === name || file.startsWith(`${name}/`);
}
