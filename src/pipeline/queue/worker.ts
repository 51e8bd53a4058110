/**
 * @file A worker: takes stages of the queue that it can hold and computes them into the shared store. All of them run in child processes: this
 * process only talks to the queue's server, so a job's lock is renewed while ONNX Runtime computes. A job whose lock could not be renewed in time is let go
 * of: another worker may have it by then.
 */
import type { DelayedError, Job, WaitingError } from 'bullmq';
import { AbortedError, errorLine, InputError, type Owned, steadyProgress } from '../../base/index.ts';
import { packageVersions } from '../machine.ts';
import type { StageNode } from '../plan.ts';
import { ProcessPool } from '../process-pool.ts';
import { plain } from '../remote-error.ts';
import type { RunSink } from '../run-event.ts';
import { runStageInChild } from '../runner.ts';
import type { Store } from '../store.ts';
import type { QueueAddress } from './address.ts';
import { type Asked, type Capacity, canHold, whyNone, workerName } from './capacity.ts';
import { closeAll, connectQueue } from './connect.ts';
import { JobInputs } from './inputs.ts';
import { askedBy, openJob, type StageJob } from './job.ts';
import { PROGRESS_MS, type WorkerProgress } from './progress.ts';
import { NO_CONNECTION } from './server.ts';
import { queueName } from './store-id.ts';
import { announce } from './workers.ts';

export interface WorkerSettings {
  readonly address: QueueAddress;
  readonly store: Store;
  readonly capacity: Omit<Capacity, 'version' | 'lock_seconds'>;
  /** Seconds after which the jobs of a worker that is gone are given to others. */
  readonly lockSeconds: number;
  /** Seconds that stages under way may take to end once `signal` has fired; then they are handed back. */
  readonly drainSeconds: number;
  readonly signal: AbortSignal;
  readonly onEvent: RunSink;
  /** What concerns the worker and no stage. */
  readonly onMessage: (line: string) => void;
  /** Called when it takes jobs, with the worker's name. */
  readonly onReady: (name: string) => void;
}

/** What is left to others is not taken again for so long, in milliseconds. */
const LEFT_MS = 1000;
/** The {@link Store}'s locks of all workers: the queue gives a stage to one of them at a time. */
const DISPATCHER = 'queue';

/** Work until `signal` fires. Throws {@link InputError} when the queue's server cannot be reached at the start. */
export async function runWorker(settings: WorkerSettings): Promise<void> {
  const { address, store, lockSeconds, drainSeconds, signal, onMessage } = settings;
  await using server = await connectQueue(address);
  const { bullmq, backend } = server;
  refuseClock(server.clockAhead, lockSeconds, address.shown);
  const { crosspatch: version = '' } = await packageVersions();
  const capacity = { ...settings.capacity, version, lock_seconds: lockSeconds };
  await store.sweep();
  await using stages = new StageWorker(settings, capacity, bullmq);
  const queue = await queueName(store);
  const worker = new bullmq.Worker(
    queue,
    (job: Job, token) => stages.take(job, token ?? ''),
    {
      ...NO_CONNECTION,
      name: workerName(capacity),
      concurrency: capacity.jobs,
      lockDuration: 1000 * lockSeconds,
      stalledInterval: 500 * lockSeconds,
      maxStalledCount: 1,
    },
    backend,
  );
  let said = '';
  worker.on('error', (error) => {
    const line = errorLine(error);
    if (line !== said) onMessage(line);
    said = line;
  });
  worker.on('active', () => {
    said = '';
  });
  noteRenewals(worker, (id, asked) => stages.renewed(id, asked));
  worker.on('lockRenewalFailed', (ids) => {
    for (const id of ids) stages.lost(id);
  });
  // Whatever ends this function, no job is taken after it.
  await using _closed: Owned = { [Symbol.asyncDispose]: () => closeAll([worker]) };
  await worker.waitUntilReady();
  const announcement = await announce(server.register(queue), capacity);
  settings.onReady(workerName(capacity));
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const withdrawn = closeAll([announcement]);
  const patience = setTimeout(() => stages.handBack(), 1000 * drainSeconds);
  await closeAll([worker], 1000 * drainSeconds + CLOSE_MS);
  clearTimeout(patience);
  await withdrawn;
}

/**
 * PostgreSQL's locks end by the clocks of those who take and look at them. Throws {@link InputError} when this one is off by more than an eighth of a
 * lock: of two workers one may be early and one late, and locks are renewed when half of them is left.
 */
export function refuseClock(ahead: number, lockSeconds: number, shown: string): void {
  if (Math.abs(ahead) <= lockSeconds / 8) return;
  throw new InputError(
    `${shown}: this machine's clock is ${Math.abs(ahead).toFixed(1)} s ${ahead > 0 ? 'ahead of' : 'behind'} the server's, and a lock of ${lockSeconds} s allows ${lockSeconds / 8} s; set the clock (NTP), or give --lock more`,
    { id: 'queue-mismatch' },
  );
}

/** What a worker of BullMQ renews locks by: it gives back those that it could not renew. */
interface Renewing {
  extendJobLocks(ids: string[], tokens: string[], duration: number): Promise<string[]>;
}

/**
 * Tell of every lock that was renewed when that was asked for, and not when the answer came: an answer may come late, and a lock counts from the question (in
 * PostgreSQL, by the time that is in it).
 */
export function noteRenewals(worker: Renewing, renewed: (id: string, asked: number) => void): void {
  const extend = worker.extendJobLocks.bind(worker);
  worker.extendJobLocks = async (ids, tokens, duration) => {
    const asked = performance.now();
    const failed = await extend(ids, tokens, duration);
    for (const id of ids) if (!failed.includes(id)) renewed(id, asked);
    return failed;
  };
}

/** Children have 3 s to stop before they are killed; then their jobs are handed back. */
const CLOSE_MS = 6000;

/** The errors by which a processor tells BullMQ that it put the job back itself. */
interface Errors {
  readonly DelayedError: typeof DelayedError;
  readonly WaitingError: typeof WaitingError;
}

/** A job under way. */
interface Held {
  readonly memory: number;
  renewedAt: number;
  readonly lost: AbortController;
}

class StageWorker implements Owned {
  readonly #settings: WorkerSettings;
  readonly #capacity: Capacity;
  readonly #errors: Errors;
  readonly #pool: ProcessPool;
  readonly #inputs: JobInputs;
  readonly #held = new Map<string, Held>();
  readonly #left = new Set<string>();
  readonly #stop = new AbortController();
  readonly #watch: NodeJS.Timeout;

  constructor(settings: WorkerSettings, capacity: Capacity, errors: Errors) {
    this.#settings = settings;
    this.#capacity = capacity;
    this.#errors = errors;
    this.#pool = new ProcessPool(capacity.jobs);
    this.#inputs = new JobInputs(settings.store);
    const lockMs = 1000 * settings.lockSeconds;
    this.#watch = setInterval(() => {
      for (const { renewedAt, lost } of this.#held.values())
        if (performance.now() - renewedAt > lockMs) lost.abort();
    }, lockMs / 10);
  }

  /** BullMQ's processor: what it returns is the job's result, what it throws its failure. */
  async take(job: Job, token: string): Promise<unknown> {
    const id = job.id ?? '';
    const asked = askedBy(job.data);
    if (!this.#hasRoom(asked)) await this.#leave(job, token, asked);
    const held: Held = {
      memory: asked.memory_bytes,
      // The lock is as old as the question for a job, which may have waited for the server.
      renewedAt: performance.now() - (job.processedOn === undefined ? 0 : Date.now() - job.processedOn),
      lost: new AbortController(),
    };
    this.#held.set(id, held);
    try {
      const { job: data, node } = await openJob(job.data);
      await this.#obtain(job, data, node, AbortSignal.any([this.#stop.signal, held.lost.signal]));
      return { worker: workerName(this.#capacity), peak_memory_bytes: this.#pool.peakMemoryBytes };
    } catch (error) {
      if (held.lost.signal.aborted) {
        this.#settings.onMessage(
          `${job.name}: lost to the queue (its lock ran out); another worker takes it`,
        );
        throw new this.#errors.WaitingError();
      }
      if (this.#stop.signal.aborted && error instanceof AbortedError) {
        await job.moveToWait(token);
        this.#settings.onMessage(`${job.name}: handed back`);
        throw new this.#errors.WaitingError();
      }
      throw new Error(JSON.stringify(plain(error)));
    } finally {
      this.#held.delete(id);
    }
  }

  renewed(id: string, asked: number): void {
    const held = this.#held.get(id);
    if (held) held.renewedAt = asked;
  }

  lost(id: string): void {
    this.#held.get(id)?.lost.abort();
  }

  /** Stop what is under way and give it to others. */
  handBack(): void {
    this.#stop.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#watch);
    await this.#pool[Symbol.asyncDispose]();
  }

  #hasRoom(asked: Asked): boolean {
    const used = [...this.#held.values()].reduce((sum, { memory }) => sum + memory, 0);
    return canHold(this.#capacity, asked) && used + asked.memory_bytes <= this.#capacity.memory_bytes;
  }

  /** Put a job back for others. Of one that this worker can never hold it is said so, once. */
  async #leave(job: Job, token: string, asked: Asked): Promise<never> {
    const why = whyNone([this.#capacity], asked);
    const id = job.id ?? '';
    if (why !== undefined && !this.#left.has(id))
      this.#settings.onMessage(`${job.name}: left to another worker: ${why}`);
    this.#left.add(id);
    await job.moveToDelayed(Date.now() + LEFT_MS, token);
    throw new this.#errors.DelayedError();
  }

  async #obtain(job: Job, data: StageJob, node: StageNode, signal: AbortSignal): Promise<void> {
    const { store, onEvent } = this.#settings;
    const { id, params, seed } = node;
    const inputs = await this.#inputs.of(data, { signal, dispatcher: DISPATCHER });
    const report = reporter(job);
    const fill = (folder: string) => {
      onEvent({ state: 'started', stage: id, done: 0 });
      report({ state: 'started', done: 0, message: `at ${workerName(this.#capacity)}` });
      const onProgress = steadyProgress((event) => {
        const { stage: _, ...rest } = event;
        onEvent({ ...event, state: 'running', stage: id });
        report({ ...rest, state: 'running' });
      });
      return runStageInChild(
        this.#pool,
        node.stage,
        { params, inputs, folder, seed, threads: data.threads },
        { signal, onProgress },
      );
    };
    const onDamage = (reason: string) =>
      report({
        state: 'running',
        done: 0,
        message: `stored result is damaged (${reason}); computing it again`,
      });
    try {
      const options = { signal, onDamage, work: data.work, dispatcher: DISPATCHER };
      const { cached, meta } = await store.obtain(node, fill, options);
      onEvent({ state: cached ? 'cached' : 'done', stage: id, done: 1, total: 1, seconds: meta.seconds });
    } catch (error) {
      onEvent({ state: 'failed', stage: id, done: 0, message: errorLine(error) });
      throw error;
    }
  }
}

/** Sends a job's progress, not too often; what the server does not take is not sent again. */
function reporter(job: Job): (event: WorkerProgress) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (event) => {
    const now = performance.now();
    const isPlain = event.state === 'running' && event.message === undefined;
    if (isPlain && now - last < PROGRESS_MS) return;
    if (isPlain) last = now;
    job.updateProgress(event).catch(() => {});
  };
}
