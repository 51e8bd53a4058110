/** @file Where things made from checkpoints are kept. */
import { readdir, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** The cache folder: `given`, else `$CROSSPATCH_CACHE`, else `~/.cache/crosspatch`. Not made here. */
export function cacheRoot(
  given?: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string {
  return resolve(given || env.CROSSPATCH_CACHE || join(homedir(), '.cache', 'crosspatch'));
}

/** Remove what killed processes left aside in `folder` (`.name.PID.random.part`); those of live processes stay. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = /^\..+\.(\d+)\.[0-9a-f]{8}\.part$/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid)))
      await rm(join(folder, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0); // signal 0 only asks
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
