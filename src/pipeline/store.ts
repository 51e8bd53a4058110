/**
 * @file The content-addressed store: `<root>/<stage>-<key>/` holds what a stage wrote, `output.json` (what it was made from, what
 * it returned, the hash of every file) and `meta.json` (how long it took: not part of the content). A folder is there whole or
 * not at all; one that was damaged later is noticed by its hashes and made anew.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CrosspatchError,
  canonicalJson,
  errorLine,
  hashFile,
  hashJson,
  withAtomicFolder,
  writeJsonAtomic,
} from '../base/index.ts';
import { acquireLock, processExists } from './lock.ts';
import { listFiles, type StageNode } from './plan.ts';

/** What a stage cost when it was computed. */
export interface StoreMeta {
  readonly seconds: number;
  readonly finished_at: string;
}

/** A finished stage. */
export interface StoreEntry {
  readonly folder: string;
  readonly output: object;
  readonly meta: StoreMeta;
}

/** How an entry stands. */
export type Lookup =
  | { readonly state: 'whole'; readonly entry: StoreEntry }
  | { readonly state: 'absent' }
  | { readonly state: 'damaged'; readonly reason: string };

/** The content of `output.json`; `sha256` covers the rest of it. */
interface StoredOutput {
  readonly stage: string;
  readonly key: string;
  readonly output: object;
  readonly files: Readonly<Record<string, string>>;
  readonly sha256: string;
}

const OUTPUT = 'output.json';
const META = 'meta.json';
/** Names a stage may not use. */
export const STORE_FILES: readonly string[] = [OUTPUT, META];

/** A store in folder `root`; many runs may share it at the same time. */
export class Store {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** Folder of a node's entry, whether or not it is there yet. */
  folder(node: Pick<StageNode, 'key'> & { stage: { name: string } }): string {
    return join(this.root, `${node.stage.name}-${node.key.slice(0, 20)}`);
  }

  /** Find a node's entry and check every byte of it. */
  async look(node: StageNode): Promise<Lookup> {
    const folder = this.folder(node);
    const text = await readFile(join(folder, OUTPUT), 'utf8').catch(() => undefined);
    if (text === undefined) {
      const there = await stat(folder).catch(() => undefined);
      return there ? { state: 'damaged', reason: `${OUTPUT} is missing` } : { state: 'absent' };
    }
    const reason = await damage(folder, text, node.key);
    if (reason) return { state: 'damaged', reason };
    const { output } = JSON.parse(text) as StoredOutput;
    return { state: 'whole', entry: { folder, output, meta: await readMeta(folder) } };
  }

  /**
   * The node's entry, made by `fill(folder)` unless it is there. Two processes that want the same entry make it once: the second
   * waits. `onDamage` hears of a damaged entry before it is replaced. `cached` tells which of the two it was.
   */
  async obtain(
    node: StageNode,
    fill: (folder: string) => Promise<object>,
    options: { signal?: AbortSignal; onDamage?: (reason: string) => void } = {},
  ): Promise<StoreEntry & { cached: boolean }> {
    const before = await this.look(node);
    if (before.state === 'whole') return { ...before.entry, cached: true };
    const folder = this.folder(node);
    await using _lock = await acquireLock(`${folder}.lock`, {
      wait: true,
      what: node.id,
      ...(options.signal ? { signal: options.signal } : {}),
    });
    const now = await this.look(node);
    if (now.state === 'whole') return { ...now.entry, cached: true };
    if (now.state === 'damaged') options.onDamage?.(now.reason);
    const started = performance.now();
    const made = await withAtomicFolder(folder, async (aside) => {
      const output = await fill(aside);
      const meta = { seconds: (performance.now() - started) / 1000, finished_at: new Date().toISOString() };
      await seal(aside, node, output);
      await writeJsonAtomic(join(aside, META), meta);
      return { output, meta };
    });
    return { folder, ...made, cached: false };
  }

  /** Remove what killed runs left unfinished. Entries being written by living processes stay. */
  async sweep(): Promise<void> {
    const names = await readdir(this.root).catch(() => [] as string[]);
    for (const name of names) {
      const pid =
        /\.(\d+)\.[0-9a-f]{8}\.part$/.exec(name)?.[1] ?? /\.lock\.(\d+)\.[0-9a-f]{8}$/.exec(name)?.[1];
      if (pid && !processExists(Number(pid)))
        await rm(join(this.root, name), { recursive: true, force: true });
    }
  }

  /** Seconds each stage took, by stage name, over all entries: what `--dry-run` expects. */
  async history(): Promise<Map<string, number[]>> {
    const times = new Map<string, number[]>();
    for (const name of (await readdir(this.root).catch(() => [] as string[])).sort()) {
      const stage = /^([^.].*)-[0-9a-f]{20}$/.exec(name)?.[1];
      if (!stage) continue;
      const { seconds } = await readMeta(join(this.root, name));
      times.set(stage, [...(times.get(stage) ?? []), seconds]);
    }
    return times;
  }
}

async function seal(folder: string, node: StageNode, output: object): Promise<void> {
  const names = await listFiles(folder);
  if (names.some((name) => STORE_FILES.includes(name)))
    throw new CrosspatchError(`${node.id}: a stage must not write ${OUTPUT} or ${META} itself`);
  const files: Record<string, string> = {};
  for (const name of names) files[name] = await hashFile(join(folder, name));
  const { name, version } = node.stage;
  const content = {
    stage: name,
    version,
    key: node.key,
    params: node.params,
    seed: node.seed,
    output,
    files,
  };
  try {
    const sha256 = hashJson(content);
    await writeJsonAtomic(join(folder, OUTPUT), { ...JSON.parse(canonicalJson(content)), sha256 });
  } catch (cause) {
    throw new CrosspatchError(`${node.id}: its output has no JSON form`, { cause });
  }
}

/** Why the entry cannot be used, if it cannot. */
async function damage(folder: string, text: string, key: string): Promise<string | undefined> {
  try {
    const { sha256, ...content } = JSON.parse(text) as StoredOutput;
    if (hashJson(content) !== sha256) return `${OUTPUT} was changed`;
    if (content.key !== key) return `${OUTPUT} belongs to another key`;
    const names = (await listFiles(folder)).filter((name) => !STORE_FILES.includes(name));
    const extra = names.find((name) => !(name in content.files));
    if (extra) return `${extra} was added`;
    for (const [name, hash] of Object.entries(content.files)) {
      if (!names.includes(name)) return `${name} is missing`;
      if ((await hashFile(join(folder, name))) !== hash) return `${name} was changed`;
    }
    return undefined;
  } catch (error) {
    return errorLine(error);
  }
}

async function readMeta(folder: string): Promise<StoreMeta> {
  const text = await readFile(join(folder, META), 'utf8').catch(() => undefined);
  try {
    return JSON.parse(text ?? '') as StoreMeta;
  } catch {
    return { seconds: 0, finished_at: '' };
  }
}
