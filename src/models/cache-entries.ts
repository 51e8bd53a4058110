/** @file What crosspatch keeps in its cache: models of the hub, converted GGUF files, shards linked into one folder, answers of judges, completions of servers. */
import { lstat, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { readSeal } from '../base/index.ts';
import { cacheRoot } from './checkpoint/index.ts';
import { hubCacheOf } from './hub/index.ts';

/** Something that can be deleted and comes back when it is needed. */
export interface CacheEntry {
  readonly kind: 'hub' | 'gguf' | 'shards' | 'judge' | 'engine' | 'stage';
  /** `org/name` of a hub model; else the folder's name. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
  /** Latest time a file was read or written, as far as the disk keeps it; ISO 8601. */
  readonly last_used: string;
  /** Why it is never deleted from here; absent where it may be. */
  readonly kept?: string;
}

/** A part that grew within this time belongs to a download that goes on. */
const FETCHING_MS = 10 * 60_000;

/** Every entry of the cache, by kind and name. What crosspatch did not write is left out. */
export async function cacheEntries(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<CacheEntry[]> {
  const root = cacheRoot(undefined, env);
  const own = join(root, 'hub');
  const hub = resolve(hubCacheOf(env) ?? own);
  const entries = [
    ...(await hubEntries(hub, hub === own ? undefined : 'shared with other programs ($HF_HUB_CACHE)')),
    ...(await sealedEntries(join(root, 'gguf'), 'gguf')),
    ...(await sealedEntries(join(root, 'flat'), 'shards')),
    ...(await answerEntries(join(root, 'judge'), 'judge')),
    ...(await answerEntries(join(root, 'engine'), 'engine')),
  ];
  return entries;
}

/** Delete an entry; does nothing to one that is kept. */
export async function deleteCacheEntry(entry: CacheEntry): Promise<void> {
  if (entry.kept === undefined) await rm(entry.path, { recursive: true, force: true });
}

/** `models--org--name` with the listing that only crosspatch writes. */
async function hubEntries(hub: string, shared: string | undefined): Promise<CacheEntry[]> {
  const entries: CacheEntry[] = [];
  for (const folder of await folders(hub)) {
    const [, org, name] = /^models--(.+?)--(.+)$/.exec(folder) ?? [];
    const path = join(hub, folder);
    if (org === undefined || (await folders(path)).indexOf('listings') < 0) continue;
    const kept = shared ?? ((await isFetching(join(path, 'blobs'))) ? 'being fetched' : undefined);
    entries.push({ kind: 'hub', name: `${org}/${name}`, path, ...(await folderUse(path)), kept });
  }
  return entries;
}

/** Folders with crosspatch's seal. */
async function sealedEntries(parent: string, kind: CacheEntry['kind']): Promise<CacheEntry[]> {
  const entries: CacheEntry[] = [];
  for (const name of await folders(parent)) {
    const path = join(parent, name);
    if ((await readSeal(path).catch(() => undefined)) === undefined) continue;
    entries.push({ kind, name, path, ...(await folderUse(path)) });
  }
  return entries;
}

/** Folders of answers, of one server and model each: nothing but files named by a hash. */
async function answerEntries(parent: string, kind: 'judge' | 'engine'): Promise<CacheEntry[]> {
  const entries: CacheEntry[] = [];
  for (const name of await folders(parent)) {
    const path = join(parent, name);
    const files = await readdir(path);
    if (files.length === 0 || !files.every((file) => /^[0-9a-f]{64}\.json$/.test(file))) continue;
    entries.push({ kind, name, path, ...(await folderUse(path)) });
  }
  return entries;
}

/** Bytes of the files below `folder`, each once, links not followed; and when one was last read or written. */
export async function folderUse(folder: string): Promise<{ bytes: number; last_used: string }> {
  const seen = new Set<string>();
  let bytes = 0;
  let latest = 0;
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const { size, ino, dev, atimeMs, mtimeMs } = await lstat(join(file.parentPath, file.name));
    latest = Math.max(latest, atimeMs, mtimeMs);
    if (!seen.has(`${dev}:${ino}`)) bytes += size;
    seen.add(`${dev}:${ino}`);
  }
  return { bytes, last_used: new Date(latest).toISOString() };
}

/** Whether a download wrote here a moment ago. */
async function isFetching(blobs: string): Promise<boolean> {
  const parts = (await readdir(blobs).catch(() => [] as string[])).filter((name) => name.endsWith('.part'));
  const ages = await Promise.all(
    parts.map(async (name) => Date.now() - (await lstat(join(blobs, name))).mtimeMs),
  );
  return ages.some((age) => age < FETCHING_MS);
}

/** Names of the folders directly in `parent` (links are none), sorted; hidden ones are unfinished. */
async function folders(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort();
}
