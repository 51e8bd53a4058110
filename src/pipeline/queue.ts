/**
 * @file Many independent pieces of work, anywhere: here, in child processes, on other machines. Jobs and results are JSON, so a
 * piece gives the same answer wherever it runs; results come back in the order of the jobs. Every implementation passes
 * `test/suites/queue.ts`.
 */
import { CrosspatchError, canonicalJson, type Owned, throwIfAborted } from '../base/index.ts';
import type { ProcessPool } from './process-pool.ts';

/** A kind of job. Must be exported from `module` under any name. */
export interface Task<J, R> {
  readonly name: string;
  /** `import.meta.url` of the exporting module. */
  readonly module: string;
  run(job: J, context: { readonly signal: AbortSignal }): Promise<R>;
}

export interface QueueOptions<R> {
  readonly signal?: AbortSignal;
  /** Called once a job, in order of finishing; `index` counts jobs. */
  readonly onDone?: (index: number, result: R) => void;
  /** How often a job is tried when its worker dies (an error of the job itself is final). Defaults to 2. */
  readonly attempts?: number;
}

export interface Queue extends Owned {
  /** Run `task` on every job; results in the order of `jobs`. The first error stops the rest and is thrown. */
  map<J, R>(task: Task<J, R>, jobs: readonly J[], options?: QueueOptions<R>): Promise<R[]>;
}

/** A worker ended in the middle of a job: killed, or out of memory. Another try may work. */
export class WorkerDiedError extends CrosspatchError {
  constructor(message: string, options: ErrorOptions = {}) {
    super(message, { ...options, id: 'worker-died' });
  }
}

/** One job after the other, in this process. */
export class InlineQueue implements Queue {
  async map<J, R>(task: Task<J, R>, jobs: readonly J[], options: QueueOptions<R> = {}): Promise<R[]> {
    const results: R[] = [];
    const signal = options.signal ?? new AbortController().signal;
    for (const [index, job] of jobs.entries()) {
      throwIfAborted(signal, task.name);
      const result = overWire(await task.run(overWire(job), { signal }));
      results.push(result);
      options.onDone?.(index, result);
    }
    return results;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Jobs spread over the child processes of a pool, which stays its owner's. */
export class ProcessQueue implements Queue {
  readonly #pool: ProcessPool;

  constructor(pool: ProcessPool) {
    this.#pool = pool;
  }

  async map<J, R>(task: Task<J, R>, jobs: readonly J[], options: QueueOptions<R> = {}): Promise<R[]> {
    const stop = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
    const one = async (job: J, index: number): Promise<R> => {
      for (let attempt = 1; ; attempt++) {
        try {
          const call = {
            kind: 'task' as const,
            module: task.module,
            name: task.name,
            payload: overWire(job),
          };
          const result = (await this.#pool.run(call, { signal })) as R;
          options.onDone?.(index, result);
          return result;
        } catch (error) {
          if (!(error instanceof WorkerDiedError) || attempt >= (options.attempts ?? 2)) throw error;
        }
      }
    };
    throwIfAborted(options.signal, task.name);
    let failed = false;
    let first: unknown;
    const results = await Promise.all(
      jobs.map((job, index) =>
        one(job, index).catch((error: unknown) => {
          if (!failed) first = error;
          failed = true;
          stop.abort();
          return undefined;
        }),
      ),
    );
    if (failed) throw first;
    return results as R[];
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** The value as another machine would see it. Throws `TypeError` for what JSON cannot say. */
export function overWire<T>(value: T): T {
  return JSON.parse(canonicalJson(value)) as T;
}
