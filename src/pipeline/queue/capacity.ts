/** @file What a worker can hold and what a stage asks for. */
import { z } from 'zod';

/** Reads what a worker says of itself; what later versions say more is passed over. */
export const capacitySchema = z.object({
  host: z.string(),
  pid: z.int(),
  /** Of crosspatch: stages of another version may give other bytes. */
  version: z.string(),
  /** What models compute on there: figures of another differ within rounding. */
  provider: z.string().default('cpu'),
  memory_bytes: z.number(),
  cores: z.int(),
  /** Stages side by side. */
  jobs: z.int(),
  /** Seconds after which what it holds is given to others when it is gone. */
  lock_seconds: z.number(),
});
/** What a worker says of itself. */
export type Capacity = z.infer<typeof capacitySchema>;

/** What a stage asks for. */
export interface Asked {
  readonly version: string;
  /** What models are to compute on. */
  readonly provider: string;
  /** Threads that it computes with. */
  readonly cores: number;
  /** 0 where it is not known. */
  readonly memory_bytes: number;
}

/** How people read a worker's name. */
export function workerName({ host, pid }: Pick<Capacity, 'host' | 'pid'>): string {
  return `${host}.${pid}`;
}

/** Whether a worker can hold a stage when it holds nothing else. */
export function canHold(worker: Asked, asked: Asked): boolean {
  return (
    worker.version === asked.version &&
    worker.provider === asked.provider &&
    asked.memory_bytes <= worker.memory_bytes &&
    asked.cores <= worker.cores
  );
}

/** Why no worker of `workers`, one at least, can hold a stage; undefined when one can. */
export function whyNone(workers: readonly Capacity[], asked: Asked): string | undefined {
  if (workers.some((worker) => canHold(worker, asked))) return undefined;
  const same = workers.filter(({ version }) => version === asked.version);
  if (same.length === 0) {
    const others = [...new Set(workers.map(({ version }) => version))].sort().join(' and ');
    return `it comes from crosspatch ${asked.version}, and the workers are crosspatch ${others}; install the same version on all`;
  }
  const able = same.filter(({ provider }) => provider === asked.provider);
  if (able.length === 0) {
    const others = [...new Set(same.map(({ provider }) => provider))].sort().join(' and ');
    return `it is to compute on ${asked.provider}, and the workers do on ${others}; start one with --provider ${asked.provider}`;
  }
  const wanted = `it asks for ${room(asked)}`;
  const largest = able.reduce((a, b) => (b.memory_bytes > a.memory_bytes ? b : a));
  const there = `of ${able.length === 1 ? 'one worker' : `${able.length} workers`} the one with most memory, ${workerName(largest)}, has ${room(largest)}`;
  return `${wanted}, and ${there}; start a larger worker, give one a larger --memory, or run with fewer --threads`;
}

function room({ memory_bytes, cores }: Pick<Asked, 'memory_bytes' | 'cores'>): string {
  return `${gigabytes(memory_bytes)} and ${cores} ${cores === 1 ? 'core' : 'cores'}`;
}

/** `7.3 GB`; small amounts keep their first digit. */
export function gigabytes(bytes: number): string {
  const giga = bytes / 1e9;
  return `${giga >= 0.1 ? giga.toFixed(1) : Number(giga.toPrecision(1))} GB`;
}
