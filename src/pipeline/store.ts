/**
 * @file The content-addressed store: `<root>/<stage>-<key>/` holds what a stage wrote, `output.json` (what it was made from and what
 * it returned), a seal over these files, and `meta.json` (how long it took: not part of the content). A folder is there whole or not at all; one that was
 * damaged later is noticed by its seal and made again. Of a store in a bucket the folder holds what this machine has read or made of it.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import {
  acquireLock,
  brokenSeal,
  CrosspatchError,
  canonicalJson,
  errorLine,
  hashJson,
  InputError,
  isLocked,
  listFiles,
  processExists,
  SEAL,
  withAtomicFolder,
  writeFileAtomic,
  writeJsonAtomic,
} from '../base/index.ts';
import type { StageNode } from './plan.ts';
import type { Work } from './plan-info.ts';
import type { Brought, RemoteEntries } from './store-remote.ts';

const metaSchema = z.strictObject({
  seconds: z.number().min(0),
  finished_at: z.string(),
  /** What the time grew with, where models ran. */
  work: z.strictObject({ tokens: z.number().positive(), parameters: z.number().positive() }).optional(),
  /** Of the rest of this document. */
  sha256: z.string(),
});
/** What a stage cost when it was computed. */
export type StoreMeta = Readonly<Omit<z.infer<typeof metaSchema>, 'sha256'>>;

/** What a stored stage took. */
export type MeasuredStage = Pick<StoreMeta, 'seconds' | 'work'>;

/** A finished stage. */
export interface StoreEntry {
  readonly folder: string;
  readonly output: object;
  readonly meta: StoreMeta;
}

/** What an entry is found by. */
type EntryName = Pick<StageNode, 'key'> & { readonly stage: { readonly name: string } };

/** How {@link Store.obtain} goes about it. */
export interface ObtainOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onDamage?: (reason: string) => void;
  readonly work?: Work | undefined;
  /** Of the lock: who gives the work to one process at a time. */
  readonly dispatcher?: string | undefined;
}

/** How an entry stands. */
export type Lookup =
  | { readonly state: 'whole'; readonly entry: StoreEntry }
  | { readonly state: 'absent' }
  | { readonly state: 'damaged'; readonly reason: string };

const outputSchema = z.strictObject({
  stage: z.string(),
  version: z.string(),
  key: z.string(),
  params: z.unknown(),
  seed: z.number(),
  output: z.record(z.string(), z.unknown()),
});

const OUTPUT = 'output.json';
const META = 'meta.json';
/** Folder of entries of a bucket of which only some files were wanted. */
const SOME = '.some';
/**
 * How long an entry of another machine is waited for, and how often it is looked for. Network file systems remember for up to 60 s that a name was
 * not there; buckets do not.
 */
const AWAITED_SECONDS = { folder: 90, bucket: 5 };
const AWAITED_STEP_MS = 500;
/** Names a stage may not use. */
export const STORE_FILES: readonly string[] = [OUTPUT, META, SEAL];

/** What is looked for, and how. */
export interface LookOptions {
  /** Paths of files and folders within the entry that are read, besides what it says of itself; a store in a bucket brings no others. Defaults to all. */
  readonly wanted?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Of the lock: who gives the work to one process at a time. */
  readonly dispatcher?: string | undefined;
}

/** A store in folder `root`; many runs may share it at the same time. With `remote` the folder is this machine's copy of a store in a bucket. */
export class Store {
  readonly root: string;
  readonly remote: RemoteEntries | undefined;

  constructor(root: string, remote?: RemoteEntries) {
    this.root = root;
    this.remote = remote;
  }

  /** As messages name it. */
  get shown(): string {
    return this.remote?.shown ?? resolve(this.root);
  }

  /** Folder of a node's entry, whether or not it is there yet. */
  folder(node: EntryName): string {
    return join(this.root, `${node.stage.name}-${node.key.slice(0, 20)}`);
  }

  /** Whether all machines of the store have the node's entry; in a bucket its seal is read, in a folder every byte. */
  async has(node: EntryName): Promise<boolean> {
    if (this.remote) return this.remote.has(basename(this.folder(node)));
    return (await lookInto(this.folder(node), node)).state === 'whole';
  }

  /** Find a node's entry and check every byte of it. One that only this machine has is sent to the others. */
  async look(node: EntryName, options: LookOptions = {}): Promise<Lookup> {
    const { wanted, signal } = options;
    const folder = this.folder(node);
    const here = await lookInto(folder, node);
    if (this.remote === undefined) return here;
    if (here.state === 'whole') {
      await this.share(basename(folder), signal);
      return here;
    }
    if (wanted) return this.#lookAtSome(this.remote, node, { wanted, signal });
    const brought = await this.bring(basename(folder), options);
    return brought.state === 'whole' ? lookInto(folder, node) : brought;
  }

  /** Send a sealed folder of `root` to the other machines, unless they have it. */
  async share(name: string, signal?: AbortSignal): Promise<void> {
    if (this.remote && !(await this.remote.has(name, signal)))
      await this.remote.send(name, join(this.root, name), signal);
  }

  /** Bring a folder of another machine into `root`. */
  async bring(name: string, { signal, dispatcher }: Omit<LookOptions, 'wanted'> = {}): Promise<Brought> {
    if (this.remote === undefined) return { state: 'absent' };
    const folder = join(this.root, name);
    await using _lock = await acquireLock(`${folder}.lock`, { wait: true, what: name, signal, dispatcher });
    if ((await brokenSeal(folder, [META])) === undefined) return { state: 'whole' };
    return this.remote.bring(name, folder, signal);
  }

  async #lookAtSome(
    remote: RemoteEntries,
    node: EntryName,
    { wanted, signal }: LookOptions & { readonly wanted: readonly string[] },
  ): Promise<Lookup> {
    const name = basename(this.folder(node));
    const folder = join(this.root, SOME, name);
    const isWanted = (path: string) =>
      [OUTPUT, META, ...wanted].some((one) => one === '.' || path === one || path.startsWith(`${one}/`));
    const brought = await remote.bringSome(name, folder, { isWanted, signal });
    return brought.state === 'whole' ? readEntry(folder, node) : brought;
  }

  /**
   * The node's entry, made by `fill(folder)` unless it is there. Two processes of one machine that want the same entry make it once: the second
   * waits. `onDamage` hears of a damaged entry before it is replaced; `dispatcher` is that of the lock. `cached` tells which of the two it
   * was.
   */
  async obtain(
    node: StageNode,
    fill: (folder: string) => Promise<object>,
    options: ObtainOptions = {},
  ): Promise<StoreEntry & { cached: boolean }> {
    const before = await this.look(node, options);
    if (before.state === 'whole') return { ...before.entry, cached: true };
    const folder = this.folder(node);
    await using _lock = await acquireLock(`${folder}.lock`, { ...options, wait: true, what: node.id });
    const here = await lookInto(folder, node);
    if (here.state === 'whole') {
      await this.share(basename(folder), options.signal);
      return { ...here.entry, cached: true };
    }
    const damage = [here, before].find(({ state }) => state === 'damaged');
    if (damage?.state === 'damaged') options.onDamage?.(damage.reason);
    const started = performance.now();
    const fillAndDescribe = async (aside: string) => {
      const output = await describe(aside, node, await fill(aside));
      const meta = {
        seconds: (performance.now() - started) / 1000,
        finished_at: new Date().toISOString(),
        work: options.work || undefined,
      };
      await writeJsonAtomic(join(aside, META), { ...meta, sha256: hashJson(meta) });
      return { output, meta };
    };
    const made = await withAtomicFolder(folder, fillAndDescribe, { cache: true, unsealed: [META] });
    await this.remote?.send(basename(folder), folder, options.signal);
    return { folder, ...made, cached: false };
  }

  /** A node's entry that another machine made: over a network a folder may be seen late. Throws {@link InputError} when it does not come. */
  async awaited(
    node: EntryName & Pick<StageNode, 'id'>,
    options: LookOptions & { readonly seconds?: number } = {},
  ): Promise<StoreEntry> {
    const { seconds = AWAITED_SECONDS[this.remote ? 'bucket' : 'folder'] } = options;
    for (const started = performance.now(); ; await sleep(AWAITED_STEP_MS)) {
      const found = await this.look(node, options);
      if (found.state === 'whole') return found.entry;
      if (performance.now() - started < 1000 * seconds) continue;
      const reason = found.state === 'damaged' ? `is damaged there (${found.reason})` : 'is not there';
      const next = this.remote
        ? 'run again to compute it again'
        : 'check that all machines share this folder, then run again';
      throw new InputError(`${this.shown}: ${node.id} was computed elsewhere and ${reason}; ${next}`, {
        id: this.remote ? 'store-damaged' : 'queue-mismatch',
      });
    }
  }

  /** Remove what killed runs left unfinished. Entries being written by living processes stay. */
  async sweep(): Promise<void> {
    const names = await readdir(this.root).catch(() => [] as string[]);
    for (const name of names) {
      const [, entry, part] = /^\.(.+)\.(\d+)\.[0-9a-f]{8}\.part$/.exec(name) ?? [];
      const waiting = /\.lock\.(\d+)\.[0-9a-f]{8}$/.exec(name)?.[1];
      const pid = part ?? waiting;
      if (pid === undefined || processExists(Number(pid))) continue;
      // The process may be one of another machine that shares the folder: then its lock stands.
      if (await isLocked(join(this.root, waiting === undefined ? `${entry}.lock` : name))) continue;
      await rm(join(this.root, name), { recursive: true, force: true });
    }
  }

  /** What each stage took, by stage name, over all entries: what `--dry-run` expects. */
  async history(): Promise<Map<string, MeasuredStage[]>> {
    const times = new Map<string, MeasuredStage[]>();
    for (const name of (await readdir(this.root).catch(() => [] as string[])).sort()) {
      const stage = /^([^.].*)-[0-9a-f]{20}$/.exec(name)?.[1];
      if (!stage) continue;
      const { seconds, work } = await readMeta(join(this.root, name));
      times.set(stage, [...(times.get(stage) ?? []), { seconds, work }]);
    }
    return times;
  }
}

/** The entry in `folder`, every byte checked. */
async function lookInto(folder: string, node: EntryName): Promise<Lookup> {
  if ((await stat(folder).catch(() => undefined)) === undefined) return { state: 'absent' };
  const reason = await brokenSeal(folder, [META]);
  return reason === undefined ? readEntry(folder, node) : { state: 'damaged', reason };
}

/** What an entry says of itself. */
async function readEntry(folder: string, node: EntryName): Promise<Lookup> {
  try {
    const { key, output } = outputSchema.parse(JSON.parse(await readFile(join(folder, OUTPUT), 'utf8')));
    if (key !== node.key) return { state: 'damaged', reason: `${OUTPUT} belongs to another key` };
    return { state: 'whole', entry: { folder, output, meta: await readMeta(folder) } };
  } catch (error) {
    return { state: 'damaged', reason: `${OUTPUT}: ${errorLine(error)}` };
  }
}

/** Write what the entry was made from and what the stage returned. Returns that as a later reader will get it. */
async function describe(folder: string, node: StageNode, output: object): Promise<object> {
  if ((await listFiles(folder)).some((name) => STORE_FILES.includes(name)))
    throw new CrosspatchError(`${node.id}: a stage must not write ${STORE_FILES.join(', ')} itself`, {
      id: 'internal',
    });
  const { name, version } = node.stage;
  const content = { stage: name, version, key: node.key, params: node.params, seed: node.seed, output };
  try {
    canonicalJson(content);
  } catch (cause) {
    throw new CrosspatchError(`${node.id}: its output has no JSON form`, { id: 'internal', cause });
  }
  const text = JSON.stringify(content, null, 2);
  await writeFileAtomic(join(folder, OUTPUT), `${text}\n`);
  return outputSchema.parse(JSON.parse(text)).output;
}

/** An invalid file counts as absent: then nothing is known of the time. */
async function readMeta(folder: string): Promise<StoreMeta> {
  try {
    const { sha256, ...meta } = metaSchema.parse(JSON.parse(await readFile(join(folder, META), 'utf8')));
    if (hashJson(meta) === sha256) return meta;
  } catch {}
  return { seconds: 0, finished_at: '' };
}
