/** @file A worker of a queue as a process, for the scripts that break it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export const PASSWORD = 'secret';
const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

interface WorkerSettings {
  readonly url: string;
  readonly store: string;
  readonly lockSeconds: number;
  readonly env?: Readonly<Record<string, string>>;
  /** A program and arguments that start it: `ip netns exec NAME`. */
  readonly through?: readonly string[];
}

/** Start one. It says on stderr when it takes jobs. */
export function startWorker({ url, store, lockSeconds, env, through = [] }: WorkerSettings): ChildProcess {
  const [command = '', ...args] = [
    ...through,
    ...[process.execPath, '--import', import.meta.resolve('tsx'), main, 'worker', '--queue', url],
    ...['--store', store, '--lock', `${lockSeconds}`, '--drain', '0', '--memory', '1'],
  ];
  return spawn(command, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  });
}

/** Resolves when it takes jobs; what it says after that is not read. */
export async function workerReady(worker: ChildProcess): Promise<void> {
  let said = '';
  while (!said.includes('takes stages from')) {
    const [text] = (await once(worker.stderr!, 'data')) as [Buffer];
    said += text;
  }
  worker.stderr!.resume();
}
