/** @file A store's own name: a queue serves one store, so that workers and submitters that do not share a folder never meet. */
import { randomBytes } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../base/index.ts';
import type { Store } from '../store.ts';

const FILE = '.store-id';

/** The queue of a store, which is given a name when it has none. */
export async function queueName({ root, remote }: Store): Promise<string> {
  return `crosspatch-${remote?.id ?? (await storeId(root))}`;
}

async function storeId(root: string): Promise<string> {
  await makeFolder(root);
  const path = join(root, FILE);
  const there = await read(path);
  if (there !== undefined) return there;
  // Linked into place whole: of two that name it at the same time the first stays.
  const aside = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.part`;
  await writeFile(aside, randomBytes(8).toString('hex'));
  try {
    await link(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(aside, { force: true });
  }
  return (await read(path)) ?? storeId(root);
}

/** A file that does not hold a name is removed, and made again. */
async function read(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined || /^[0-9a-f]{16}$/.test(text)) return text;
  await rm(path, { force: true });
  return undefined;
}
