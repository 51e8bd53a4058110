/** @file Folders that hold models of the hub: our own cache, and that of Hugging Face's libraries, which is only read. */
import { lstat, readFile, realpath, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { cacheRoot } from '../checkpoint/index.ts';
import { checksum } from './checksum.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where models are fetched to, and where else they may already be. */
export interface HubCaches {
  readonly own: string;
  /** Of other programs: looked into, never written. */
  readonly others: readonly string[];
}

/**
 * `given`, else `$HF_HUB_CACHE` (once `$HUGGINGFACE_HUB_CACHE`), else `hub` in crosspatch's cache. In the last case `$HF_HOME/hub` (without it
 * `~/.cache/huggingface/hub`) is looked into as well, where transformers and `hf download` keep what they fetched.
 */
export function hubCaches(given?: string, env: Environment = process.env): HubCaches {
  const chosen = given ?? hubCacheOf(env);
  if (chosen !== undefined) return { own: resolve(chosen), others: [] };
  return { own: join(cacheRoot(undefined, env), 'hub'), others: [resolve(hubHome(env), 'hub')] };
}

/** `$HF_TOKEN`, else what `hf auth login` left in `$HF_TOKEN_PATH`, by default `$HF_HOME/token`. */
export async function hubToken(env: Environment): Promise<string | undefined> {
  if (env.HF_TOKEN) return env.HF_TOKEN;
  const stored = await readFile(env.HF_TOKEN_PATH || join(hubHome(env), 'token'), 'utf8').catch(() => '');
  return stored.trim() || undefined;
}

/** The folder of Hugging Face's libraries. */
function hubHome(env: Environment): string {
  return env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
}

/** The folder that Hugging Face's own variables name. */
export function hubCacheOf(env: Environment): string | undefined {
  return env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || undefined;
}

/**
 * The first of `names` that holds the path of a blob as its text: so snapshots end up that were copied by something that knows no links.
 */
export async function linkAsText(snapshot: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const path = join(snapshot, name);
    const info = await lstat(path).catch(() => undefined);
    if (info?.isFile() !== true || info.size > 200) continue;
    if (/^(?:\.\.\/)+blobs\/[0-9a-f]{40,64}\s*$/.test(await readFile(path, 'latin1'))) return name;
  }
  return undefined;
}

/** Blobs whose bytes were compared with their names by this process, with the stamps they had then. */
const compared = new Map<string, string>();

/** A file of a snapshot: `unnamed` where its name is no checksum, so that nothing can be compared. */
export type BlobState = 'missing' | 'intact' | 'changed' | 'unnamed';

/** Whether a file of a snapshot is there and, where it is a blob named by its checksum, holds those bytes. */
export async function blobState(path: string): Promise<BlobState> {
  const real = await realpath(path).catch(() => undefined);
  if (real === undefined) return 'missing';
  const etag = basename(real);
  if (basename(dirname(real)) !== 'blobs' || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) return 'unnamed';
  const { size, mtimeMs, ino } = await stat(real);
  const stamp = `${size} ${mtimeMs} ${ino}`;
  if (compared.get(real) === stamp) return 'intact';
  if ((await checksum(real, { etag, size })) !== etag) return 'changed';
  compared.set(real, stamp);
  return 'intact';
}

/** Whether nothing speaks against a file of our own cache. */
export async function isIntact(path: string): Promise<boolean> {
  return /^(intact|unnamed)$/.test(await blobState(path));
}

/**
 * The first of `names` that is missing from a snapshot or was changed. In the cache of another program whose blobs all differ from their
 * names, names are no checksums, and what is there counts.
 */
export async function unusableIn(
  snapshot: string,
  names: readonly string[],
  { own }: { readonly own: boolean },
): Promise<string | undefined> {
  const states: BlobState[] = [];
  for (const name of names) states.push(await blobState(join(snapshot, name)));
  const isNamedByChecksums = own || states.includes('intact');
  return names.find((_, i) => states[i] === 'missing' || (states[i] === 'changed' && isNamedByChecksums));
}
