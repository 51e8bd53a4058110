/** @file What a stage store holds, for `cache`: finished stages, which are computed again when they are needed. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isLocked, readSeal } from '../base/index.ts';
import { type CacheEntry, folderUse } from '../models/index.ts';

/** The finished stages in the store at `root`, by name. Folders without crosspatch's seal are left out. */
export async function storeEntries(root: string): Promise<CacheEntry[]> {
  const names = await readdir(root).catch(() => [] as string[]);
  const entries: CacheEntry[] = [];
  for (const name of names.filter((n) => /^[^.].*-[0-9a-f]{20}$/.test(n)).sort()) {
    const path = join(root, name);
    if ((await readSeal(path).catch(() => undefined)) === undefined) continue;
    const kept = (await isLocked(`${path}.lock`)) ? 'being written' : undefined;
    entries.push({ kind: 'stage', name, path, ...(await folderUse(path)), kept });
  }
  return entries;
}
