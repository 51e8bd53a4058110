/**
 * @file One owner at a time, across processes. A lock is a file that appears whole (hard link of a finished one) and names its
 * owner; the lock of a process that is gone is taken over, so `kill -9` leaves nothing to clean up.
 */
import { randomBytes } from 'node:crypto';
import { link, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Owned } from './dispose.ts';
import { InputError, throwIfAborted } from './errors.ts';
import { makeFolder } from './writable.ts';

const ownerSchema = z.strictObject({
  pid: z.int().min(1),
  host: z.string(),
  /** Start time of the process where the system tells it, against reused pids. */
  started: z.string().nullable(),
  /** {@link LockOptions.dispatcher}. */
  dispatcher: z.string().optional(),
});
type Owner = z.infer<typeof ownerSchema>;

interface LockOptions {
  /** Wait until the owner is done instead of failing. Defaults to false. */
  readonly wait?: boolean;
  readonly signal?: AbortSignal;
  /** What is locked, for the message. */
  readonly what?: string;
  /**
   * Who hands out the work, and gives a piece to one process at a time: whoever asks on its behalf was told that the former owner is gone, so
   * that a lock of the same dispatcher is void. It is for processes of other machines, which nobody here can see die.
   */
  readonly dispatcher?: string;
}

/** Take the lock at `path`. Without `wait`, a living owner is an {@link InputError} that names it. */
export async function acquireLock(path: string, options: LockOptions = {}): Promise<Owned> {
  await makeFolder(dirname(path));
  const own = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  await writeFile(own, JSON.stringify({ ...(await thisProcess()), dispatcher: options.dispatcher }));
  try {
    for (;;) {
      throwIfAborted(options.signal, options.what ?? 'lock');
      if (await tryLink(own, path)) return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
      const owner = await readOwner(path);
      if (owner === 'absent') continue;
      if (owner === 'invalid' || !(await isAlive(owner, options.dispatcher)))
        await removeStale(path, own, options.dispatcher);
      else if (options.wait) await sleep(50);
      else throw new InputError(inUse(path, owner, options.what), { id: 'in-use' });
    }
  } finally {
    await rm(own, { force: true });
  }
}

function inUse(path: string, owner: Owner, what = path): string {
  const where = owner.host === hostname() ? '' : ` on ${owner.host} (if it is gone, delete ${path})`;
  return `${what}: in use by process ${owner.pid}${where}; wait for it or choose another folder`;
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** A lock appears whole, so one whose content is invalid was damaged: it counts as absent and is removed. */
async function readOwner(path: string): Promise<Owner | 'absent' | 'invalid'> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => error);
  if (typeof text !== 'string') {
    if (text.code === 'ENOENT') return 'absent';
    throw new InputError(`${path}: the lock cannot be read (${text.code}); remove it`, {
      id: 'in-use',
      cause: text,
    });
  }
  try {
    return ownerSchema.safeParse(JSON.parse(text)).data ?? 'invalid';
  } catch {
    return 'invalid';
  }
}

/** Whether a living process holds the lock at `path`. */
export async function isLocked(path: string): Promise<boolean> {
  const owner = await readOwner(path).catch(() => 'invalid' as const);
  return typeof owner !== 'string' && (await isAlive(owner));
}

/** Only one process may remove a stale lock at a time, and it looks again first: else two could remove a fresh one. */
async function removeStale(path: string, own: string, dispatcher: string | undefined): Promise<void> {
  const guard = `${path}.breaking`;
  if (!(await tryLink(own, guard))) {
    const age = await stat(guard).then(
      (s) => Date.now() - s.ctimeMs,
      () => 0,
    );
    if (age > 10_000) await rm(guard, { force: true });
    else await sleep(20);
    return;
  }
  try {
    const owner = await readOwner(path);
    if (owner === 'invalid' || (owner !== 'absent' && !(await isAlive(owner, dispatcher))))
      await rm(path, { force: true, recursive: true });
  } finally {
    await rm(guard, { force: true });
  }
}

async function isAlive(owner: Owner, dispatcher?: string): Promise<boolean> {
  if (owner.host !== hostname()) return dispatcher === undefined || owner.dispatcher !== dispatcher;
  if (!processExists(owner.pid)) return false;
  const started = await startTime(owner.pid);
  return owner.started === null || started === null || started === owner.started;
}

/** Whether a process of this number runs on this machine. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Field 22 of Linux's /proc/<pid>/stat: start time in ticks since boot. Null where there is none. */
async function startTime(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}

async function thisProcess(): Promise<Owner> {
  return { pid: process.pid, host: hostname(), started: await startTime(process.pid) };
}
