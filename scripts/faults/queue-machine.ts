/** @file A machine of a queue, for `queue.ts`: a worker with a cache, a host name and lines of its own, which can be cut off. */
import type { ChildProcess } from 'node:child_process';
import { openLine } from './line.ts';
import { makeNamespace } from './network.ts';
import { startWorker } from './queue-worker.ts';

export interface QueueMachine {
  readonly process: ChildProcess;
  cut(): void;
  mend(): void;
  close(): void;
}

interface MachineSettings {
  /** The queue's server on this machine, with its password. */
  readonly url: string;
  /** Port of the bucket's server on this machine, where there is one. */
  readonly s3: number | undefined;
  readonly store: string;
  /** Its folder for all that it keeps. */
  readonly cache: string;
  readonly lockSeconds: number;
  /** What its stages may hold, in GB. */
  readonly memory?: number;
  /** The program that it runs; from source where nothing is said. */
  readonly program?: readonly string[];
  /** Whether it has a network of its own. */
  readonly isApart: boolean;
}

let count = 0;

/** Start one. */
export async function openMachine(settings: MachineSettings): Promise<QueueMachine> {
  const { url, store, cache, lockSeconds, memory, program, isApart } = settings;
  const network = isApart ? makeNamespace(++count) : undefined;
  const here = network?.here ?? '127.0.0.1';
  const queue = await openLine(Number(new URL(url).port), here);
  const s3 = settings.s3 === undefined ? undefined : await openLine(settings.s3, here);
  const ownName = ['unshare', '-u', 'sh', '-c', 'hostname "$0"; exec "$@"', `worker-${queue.port}`];
  const worker = startWorker({
    ...{ store, lockSeconds, memory, program },
    url: url.replace(/@[^/]*/, `@${here}:${queue.port}`),
    env: s3
      ? { CROSSPATCH_CACHE: cache, AWS_ENDPOINT_URL: `http://${here}:${s3.port}` }
      : { CROSSPATCH_CACHE: cache },
    through: [...(network?.through ?? []), ...(process.getuid?.() === 0 ? ownName : [])],
  });
  worker.stderr?.resume();
  const lines = [queue, ...(s3 ? [s3] : [])];
  return {
    process: worker,
    cut: () => {
      if (network) network.pull();
      else for (const line of lines) line.cut();
    },
    mend: () => {
      if (network) network.plug();
      else for (const line of lines) line.mend();
    },
    close: () => {
      worker.kill('SIGKILL');
      for (const line of lines) line.close();
      network?.remove();
    },
  };
}
