/**
 * @file Entries of a store as objects: `NAME/.crosspatch.json`, the seal that names every file with its SHA-256, is written last, so an entry
 * without one does not exist. A file lies under `NAME/HASH/PATH`, HASH being the start of its own: two machines that write one entry at the
 * same time, with other times in it, never mix. What a seal cannot be kept for (a file is missing or has other bytes) loses its seal, and is made again.
 */
import { randomBytes } from 'node:crypto';
import { basename, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  hashFile,
  InputError,
  parseSeal,
  readSeal,
  SEAL,
  type Seal,
  withAtomicFolder,
  writeFileAtomic,
} from '../base/index.ts';
import type { S3Objects } from './store-s3.ts';

const ID = '.store-id';
/** A file whose bytes differ is fetched once more before it counts as damaged. */
const FETCHES = 2;

/** How an entry came. */
export type Brought =
  | { readonly state: 'whole' }
  | { readonly state: 'absent' }
  | { readonly state: 'damaged'; readonly reason: string };

/** A file of an entry that is missing or differs. */
class Damage extends Error {}

export class RemoteEntries {
  readonly #objects: S3Objects;
  /** The store's own name, 16 hex digits. */
  readonly id: string;

  /** Reads the store's name, or gives it one. Throws {@link InputError} when it cannot be reached. */
  static async open(objects: S3Objects): Promise<RemoteEntries> {
    const id = await nameOf(objects);
    objects.isOpen();
    return new RemoteEntries(objects, id);
  }

  private constructor(objects: S3Objects, id: string) {
    this.#objects = objects;
    this.id = id;
  }

  /** As messages name it. */
  get shown(): string {
    return this.#objects.shown;
  }

  /** Whether an entry is there; its files are not read. */
  async has(name: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#seal(name, signal)) !== undefined;
  }

  /** Send the sealed folder `folder` as entry `name`, in place of one that is there. */
  async send(name: string, folder: string, signal?: AbortSignal): Promise<void> {
    const seal = await readSeal(folder);
    if (seal === undefined) throw new InputError(`${folder}: its seal was changed`, { id: 'store-damaged' });
    for (const [path, sha256] of Object.entries(seal.files))
      await this.#objects.upload(keyOf(name, path, sha256), join(folder, path), signal);
    for (const path of seal.unsealed ?? [])
      await this.#objects.upload(`${name}/${path}`, join(folder, path), signal);
    await this.#objects.upload(`${name}/${SEAL}`, join(folder, SEAL), signal);
  }

  /** Bring entry `name` into `folder`, which is there whole or not at all. */
  async bring(name: string, folder: string, signal?: AbortSignal): Promise<Brought> {
    return this.#read(name, signal, async (seal) => {
      const fill = async (aside: string) => {
        for (const path of Object.keys(seal.files))
          await this.#fetch({ name, path, seal, folder: aside, signal });
        for (const path of seal.unsealed ?? [])
          await this.#fetchUnsealed({ name, path, folder: aside, signal });
      };
      await withAtomicFolder(folder, fill, {
        cache: true,
        unsealed: (seal.unsealed ?? []).map((path) => basename(path)),
      });
    });
  }

  /** Bring those files of entry `name` into `folder` that `isWanted` names; those that are there already are not fetched again. */
  async bringSome(
    name: string,
    folder: string,
    { isWanted, signal }: { isWanted: (path: string) => boolean; signal?: AbortSignal | undefined },
  ): Promise<Brought> {
    return this.#read(name, signal, async (seal) => {
      for (const [path, sha256] of Object.entries(seal.files))
        if (isWanted(path) && (await hashFile(join(folder, path)).catch(() => undefined)) !== sha256)
          await this.#fetch({ name, path, seal, folder, signal });
      for (const path of (seal.unsealed ?? []).filter(isWanted))
        await this.#fetchUnsealed({ name, path, folder, signal });
    });
  }

  async #read(
    name: string,
    signal: AbortSignal | undefined,
    take: (seal: Seal) => Promise<void>,
  ): Promise<Brought> {
    const seal = await this.#seal(name, signal);
    if (seal === undefined) return { state: 'absent' };
    try {
      await take(seal);
      return { state: 'whole' };
    } catch (error) {
      if (!(error instanceof Damage)) throw error;
      await this.#objects.remove(`${name}/${SEAL}`);
      return { state: 'damaged', reason: error.message };
    }
  }

  /** One that was changed counts as absent. */
  async #seal(name: string, signal: AbortSignal | undefined): Promise<Seal | undefined> {
    const text = await this.#objects.read(`${name}/${SEAL}`, signal);
    const seal = text === undefined ? undefined : parseSeal(text);
    const paths = seal && [...Object.keys(seal.files), ...(seal.unsealed ?? [])];
    return paths?.every(isWithin) ? seal : undefined;
  }

  async #fetch({ name, path, seal, folder, signal }: Fetch & { readonly seal: Seal }): Promise<void> {
    const sha256 = seal.files[path] ?? '';
    for (let tries = 1; ; tries++) {
      const found = await this.#objects.stream(keyOf(name, path, sha256), signal);
      if (found === undefined) throw new Damage(`${path} is missing`);
      await writeFileAtomic(join(folder, path), found.bytes);
      if (found.sha256() === sha256) return;
      if (tries === FETCHES) throw new Damage(`${path} was changed`);
    }
  }

  async #fetchUnsealed({ name, path, folder, signal }: Fetch): Promise<void> {
    const found = await this.#objects.stream(`${name}/${path}`, signal);
    if (found !== undefined) await writeFileAtomic(join(folder, path), found.bytes);
  }
}

interface Fetch {
  readonly name: string;
  readonly path: string;
  readonly folder: string;
  readonly signal: AbortSignal | undefined;
}

function keyOf(name: string, path: string, sha256: string): string {
  return `${name}/${sha256.slice(0, 16)}/${path}`;
}

/** A path that stays in its folder, on every system. */
function isWithin(path: string): boolean {
  return !/^[/\\]|\\|^[a-z]:|(^|\/)\.{0,2}(\/|$)/i.test(path);
}

/** Times a name that was just written is read, and the pause between, in milliseconds. */
const NAME_READS = 10;
const NAME_PAUSE = 100;

/**
 * The name of a store. Of two that name it at the same time the first stays; a server that cannot tell them apart keeps the last, and both read
 * that. Some show a name that is being written as an empty object: it is read again.
 */
async function nameOf(objects: S3Objects): Promise<string> {
  const there = await objects.read(ID);
  if (isName(there)) return there;
  await objects.write(ID, randomBytes(8).toString('hex'), { isNew: there === undefined });
  for (let reads = 0; reads < NAME_READS; reads++) {
    const name = await objects.read(ID);
    if (isName(name)) return name;
    await setTimeout(NAME_PAUSE);
  }
  throw new InputError(`${objects.shown}: ${ID} was written and does not come back`, { id: 'store-damaged' });
}

function isName(text: string | undefined): text is string {
  return text !== undefined && /^[0-9a-f]{16}$/.test(text);
}
