/** @file Folders that hold models of the hub: our own cache, and that of Hugging Face's libraries, which is only read. */
import { realpath, stat } from 'node:fs/promises';
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
 * `given`, else `$HF_HUB_CACHE`, else `hub` in crosspatch's cache. In the last case `$HF_HOME/hub` (without it
 * `~/.cache/huggingface/hub`) is looked into as well, where transformers and `hf download` keep what they fetched.
 */
export function hubCaches(given?: string, env: Environment = process.env): HubCaches {
  const chosen = given ?? (env.HF_HUB_CACHE || undefined);
  if (chosen !== undefined) return { own: resolve(chosen), others: [] };
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
  return { own: join(cacheRoot(undefined, env), 'hub'), others: [resolve(home, 'hub')] };
}

/** Blobs whose bytes were compared with their names by this process, with the stamps they had then. */
const compared = new Map<string, string>();

/** Whether a file of a snapshot is there and, where it is a blob named by its checksum, holds those bytes. */
export async function isIntact(path: string): Promise<boolean> {
  const real = await realpath(path).catch(() => undefined);
  if (real === undefined) return false;
  const etag = basename(real);
  if (basename(dirname(real)) !== 'blobs' || !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag)) return true;
  const { size, mtimeMs, ino } = await stat(real);
  const stamp = `${size} ${mtimeMs} ${ino}`;
  if (compared.get(real) === stamp) return true;
  if ((await checksum(real, { etag, size })) !== etag) return false;
  compared.set(real, stamp);
  return true;
}
