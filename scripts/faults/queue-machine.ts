/** @file A machine of a queue, for `queue.ts`: a worker with a cache, a host name and lines of its own, which can be cut off. */
import type { ChildProcess } from 'node:child_process';
import { openLine } from './line.ts';
import { makeNamespace } from './network.ts';
import { PASSWORD, startWorker } from './queue-worker.ts';

export interface QueueMachine {
  readonly process: ChildProcess;
  cut(): void;
  mend(): void;
  close(): void;
}

interface MachineSettings {
  /** Of the servers on this machine. */
  readonly ports: { readonly redis: number; readonly s3: number | undefined };
  readonly store: string;
  /** Its folder for all that it keeps. */
  readonly cache: string;
  readonly lockSeconds: number;
  /** Whether it has a network of its own. */
  readonly isApart: boolean;
}

let count = 0;

/** Start one. */
export async function openMachine(settings: MachineSettings): Promise<QueueMachine> {
  const { ports, store, cache, lockSeconds, isApart } = settings;
  const network = isApart ? makeNamespace(++count) : undefined;
  const here = network?.here ?? '127.0.0.1';
  const redis = await openLine(ports.redis, here);
  const s3 = ports.s3 === undefined ? undefined : await openLine(ports.s3, here);
  const ownName = ['unshare', '-u', 'sh', '-c', 'hostname "$0"; exec "$@"', `worker-${redis.port}`];
  const worker = startWorker({
    url: `redis://:${PASSWORD}@${here}:${redis.port}`,
    store,
    lockSeconds,
    env: s3
      ? { CROSSPATCH_CACHE: cache, AWS_ENDPOINT_URL: `http://${here}:${s3.port}` }
      : { CROSSPATCH_CACHE: cache },
    through: [...(network?.through ?? []), ...(process.getuid?.() === 0 ? ownName : [])],
  });
  worker.stderr?.resume();
  const lines = [redis, ...(s3 ? [s3] : [])];
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
