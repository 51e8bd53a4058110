/** @file A run folder removed with everything in it, while nothing runs there. */
import { randomBytes } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { acquireLock, InputError } from '../base/index.ts';
import { RUN_LOCK, readManifest } from './runs.ts';

/**
 * Remove the run folder at `folder` (a real path). It is moved aside in one step first, so that no half of it is ever seen. Stages in the
 * store stay.
 *
 * @throws InputError for a folder that is not a run folder, or whose run goes on
 */
export async function deleteRun(folder: string): Promise<void> {
  const { status } = await readManifest(folder);
  if (status === 'running')
    throw new InputError(`run ${basename(folder)}: goes on; stop it first`, { id: 'in-use' });
  // Whoever starts it again meanwhile finds it in use.
  await using _lock = await acquireLock(join(folder, RUN_LOCK), { what: `run ${basename(folder)}` });
  const aside = join(dirname(folder), `.deleted-${basename(folder)}-${randomBytes(4).toString('hex')}`);
  await rename(folder, aside);
  await rm(aside, { recursive: true, force: true });
}
