/** @file A worker of a queue as a process, for the scripts that break it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export const PASSWORD = 'secret';
const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const FROM_SOURCE = ['--import', import.meta.resolve('tsx'), main];

interface WorkerSettings {
  readonly url: string;
  readonly store: string;
  readonly lockSeconds: number;
  /** What its stages may hold, in GB. */
  readonly memory?: number | undefined;
  /** Arguments of `node` before the command's own. */
  readonly program?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>>;
  /** A program and arguments that start it: `ip netns exec NAME`. */
  readonly through?: readonly string[];
}

/** Start one. It says on stderr when it takes jobs. */
export function startWorker(settings: WorkerSettings): ChildProcess {
  const { url, store, lockSeconds, memory = 1, program = FROM_SOURCE, env, through = [] } = settings;
  const [command = '', ...args] = [
    ...through,
    ...[process.execPath, ...program, 'worker', '--queue', url],
    ...['--store', store, '--lock', `${lockSeconds}`, '--drain', '0', '--memory', `${memory}`],
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
