/**
 * @file The content-addressed store: `<root>/<stage>-<key>/` holds what a stage wrote, `output.json` (what it was made from and what
 * it returned), a seal over these files, and `meta.json` (how long it took: not part of the content). A folder is there whole or not at all; one that was
 * damaged later is noticed by its seal and made again.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
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
/** How long an entry of another machine is waited for, and how often it is looked for. Network file systems remember for up to 60 s that a name was not there. */
const AWAITED_SECONDS = 90;
const AWAITED_STEP_MS = 500;
/** Names a stage may not use. */
export const STORE_FILES: readonly string[] = [OUTPUT, META, SEAL];

/** A store in folder `root`; many runs may share it at the same time. */
export class Store {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** Folder of a node's entry, whether or not it is there yet. */
  folder(node: EntryName): string {
    return join(this.root, `${node.stage.name}-${node.key.slice(0, 20)}`);
  }

  /** Find a node's entry and check every byte of it. */
  async look(node: EntryName): Promise<Lookup> {
    const folder = this.folder(node);
    if ((await stat(folder).catch(() => undefined)) === undefined) return { state: 'absent' };
    const reason = await brokenSeal(folder, [META]);
    if (reason !== undefined) return { state: 'damaged', reason };
    try {
      const { key, output } = outputSchema.parse(JSON.parse(await readFile(join(folder, OUTPUT), 'utf8')));
      if (key !== node.key) return { state: 'damaged', reason: `${OUTPUT} belongs to another key` };
      return { state: 'whole', entry: { folder, output, meta: await readMeta(folder) } };
    } catch (error) {
      return { state: 'damaged', reason: `${OUTPUT}: ${errorLine(error)}` };
    }
  }

  /**
   * The node's entry, made by `fill(folder)` unless it is there. Two processes that want the same entry make it once: the second
   * waits. `onDamage` hears of a damaged entry before it is replaced; `dispatcher` is that of the lock. `cached` tells which of the two it
   * was.
   */
  async obtain(
    node: StageNode,
    fill: (folder: string) => Promise<object>,
    options: ObtainOptions = {},
  ): Promise<StoreEntry & { cached: boolean }> {
    const before = await this.look(node);
    if (before.state === 'whole') return { ...before.entry, cached: true };
    const folder = this.folder(node);
    await using _lock = await acquireLock(`${folder}.lock`, {
      wait: true,
      what: node.id,
      signal: options.signal,
      dispatcher: options.dispatcher,
    });
    const now = await this.look(node);
    if (now.state === 'whole') return { ...now.entry, cached: true };
    if (now.state === 'damaged') options.onDamage?.(now.reason);
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
    return { folder, ...made, cached: false };
  }

  /** A node's entry that another machine made: over a network a folder may be seen late. Throws {@link InputError} when it does not come. */
  async awaited(node: EntryName & Pick<StageNode, 'id'>, seconds = AWAITED_SECONDS): Promise<StoreEntry> {
    for (const started = performance.now(); ; await sleep(AWAITED_STEP_MS)) {
      const found = await this.look(node);
      if (found.state === 'whole') return found.entry;
      if (performance.now() - started < 1000 * seconds) continue;
      const reason = found.state === 'damaged' ? `is damaged there (${found.reason})` : 'is not there';
      throw new InputError(
        `${this.root}: ${node.id} was computed elsewhere and ${reason}; check that all machines share this folder, then run again`,
        { id: 'queue-mismatch' },
      );
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
