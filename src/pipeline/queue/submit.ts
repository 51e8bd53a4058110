/**
 * @file The submitter's side of the queue: a stage whose needs are finished becomes a job; BullMQ gives it to a worker, renews its lock, and
 * gives it to another when that one is lost. The store is the truth: an event that got lost, or a server that forgot its jobs, only costs a look.
 */
import type { IRelayBackend } from 'bullmq';
import { AbortedError, errorLine, InputError, type Owned } from '../../base/index.ts';
import type { AskedStage, Elsewhere } from '../elsewhere.ts';
import { packageVersions } from '../machine.ts';
import type { Store } from '../store.ts';
import type { QueueAddress } from './address.ts';
import { type Capacity, whyNone } from './capacity.ts';
import { closeAll, connectQueue } from './connect.ts';
import { askedBy, failureOf, isOfStage, jobId, packJob, type StageJob } from './job.ts';
import { doneSchema, progressSchema } from './progress.ts';
import { Refusal } from './refusal.ts';
import { type JobEvents, type JobQueue, NO_CONNECTION, type QueueServer } from './server.ts';
import { describeStage } from './sources.ts';
import { queueName } from './store-id.ts';
import { LEASE_MS, workersThere } from './workers.ts';

/** How long a finished job is kept for those who missed its event. */
const KEPT = { age: 3600 };
/** How often jobs are looked at, and how long a stage waits that no worker there can hold: one that is started again is back by then. */
const CHECK_MS = 2000;
const CHECKED_AT_ONCE = 100;
const PATIENCE_MS = 20_000;
/** How long a worker's child may take to stop. */
const STOP_MS = 3000;
/** The lock of workers of which none was seen yet, in seconds: what `worker --lock` defaults to. */
const UNSEEN_LOCK = 30;

/** A job that is waited for. */
interface Open {
  readonly asked: AskedStage;
  readonly data: StageJob;
  readonly settle: (error?: Error) => void;
  /** Since when no worker there could hold it. */
  unplacedSince?: number | undefined;
  /** Since when the server does not know it. */
  forgottenSince?: number | undefined;
}

/** What a submitter works with. */
interface Parts {
  readonly server: QueueServer;
  readonly queue: JobQueue;
  readonly events: JobEvents;
  readonly register: IRelayBackend;
  readonly address: QueueAddress;
  readonly store: Store;
  readonly version: string;
  readonly patienceMs: number;
  readonly refusal: Refusal;
}

export class Submitter implements Elsewhere, Owned {
  readonly #parts: Parts;
  /** By job: stages of one key are one job. */
  readonly #asked = new Map<string, Promise<void>>();
  readonly #open = new Map<string, Open>();
  readonly #peaks = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #checking = false;
  #away = false;
  #alone = false;
  /** When a worker was last seen. */
  #lastThere = Number.NEGATIVE_INFINITY;
  /** Of the workers that were seen, in seconds. */
  #longestLock = 0;

  /** Connect to the queue of `store`. Throws {@link InputError} when its server cannot be reached. */
  static async open(address: QueueAddress, store: Store, patienceMs = PATIENCE_MS): Promise<Submitter> {
    const server = await connectQueue(address);
    const { bullmq, backend } = server;
    const name = await queueName(store);
    const queue: JobQueue = new bullmq.Queue(name, NO_CONNECTION, backend);
    const events: JobEvents = new bullmq.QueueEvents(name, NO_CONNECTION, backend);
    const register = server.register(name);
    queue.on('error', () => {});
    events.on('error', () => {});
    // Each once, now: one that first asks while tables are gone would remember that for good.
    await Promise.all([queue, events, register].map((one) => one.waitUntilReady()));
    const { crosspatch = '' } = await packageVersions();
    return new Submitter({
      ...{ server, queue, events, register, address, store },
      ...{ version: crosspatch, patienceMs, refusal: new Refusal(address, patienceMs) },
    });
  }

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.#listen();
    this.#timer = setInterval(() => void this.#check(), CHECK_MS);
  }

  get peakMemoryBytes(): number {
    return [...this.#peaks.values()].reduce((a, b) => a + b, 0);
  }

  compute(asked: AskedStage): Promise<void> {
    const id = jobId(asked.node);
    const there = this.#asked.get(id) ?? this.#once(id, asked).finally(() => this.#asked.delete(id));
    this.#asked.set(id, there);
    return there;
  }

  async #once(id: string, asked: AskedStage): Promise<void> {
    const { store, version } = this.#parts;
    const data = await describeStage(store, version, asked);
    let settle: Open['settle'] = () => {};
    const done = new Promise<void>((resolve, reject) => {
      settle = (error) => (error ? reject(error) : resolve());
    });
    this.#open.set(id, { asked, data, settle });
    const onAbort = () => void this.#withdraw(id);
    asked.signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (asked.signal.aborted) throw new AbortedError(asked.node.id);
      await Promise.race([this.#put(id, data).catch((error: unknown) => this.#refused(error)), done]);
      await done;
    } finally {
      asked.signal.removeEventListener('abort', onAbort);
      this.#open.delete(id);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    const { events, queue, server } = this.#parts;
    await closeAll([events, queue]);
    await server[Symbol.asyncDispose]();
  }

  /** A job of this name that is under way, for whomever, is joined; one that has ended is of a former run. */
  async #put(id: string, data: StageJob): Promise<void> {
    const former = await this.#parts.queue.getJob(id);
    if (former && ['completed', 'failed'].includes(await former.getState()))
      await former.remove().catch(() => {});
    await this.#parts.queue.add(data.id, packJob(data), {
      jobId: id,
      removeOnComplete: KEPT,
      removeOnFail: KEPT,
    });
  }

  #listen(): void {
    this.#parts.queue.on('error', () => this.#say('away'));
    this.#parts.events.on('progress', ({ jobId, data }) => {
      const event = progressSchema.safeParse(data).data;
      const open = this.#open.get(jobId);
      if (event === undefined || open === undefined) return;
      open.asked.onEvent(event);
    });
    this.#parts.events.on('stalled', ({ jobId }) =>
      this.#open
        .get(jobId)
        ?.asked.onEvent({ state: 'running', done: 0, message: 'its worker is gone; it is given to another' }),
    );
    this.#parts.events.on('completed', ({ jobId, returnvalue }) => {
      const { worker, peak_memory_bytes } = doneSchema.safeParse(returnvalue).data ?? {};
      if (worker !== undefined)
        this.#peaks.set(worker, Math.max(this.#peaks.get(worker) ?? 0, peak_memory_bytes ?? 0));
      this.#open.get(jobId)?.settle();
    });
    this.#parts.events.on('failed', ({ jobId, failedReason }) => void this.#fail(jobId, failedReason));
  }

  /** The queue may count a stage as failed whose worker could not say that it was done: the store is the truth. */
  async #fail(id: string, reason = ''): Promise<void> {
    const open = this.#open.get(id);
    if (open === undefined) return;
    const isStored = !isOfStage(reason) && (await this.#parts.store.has(open.asked.node).catch(() => false));
    open.settle(isStored ? undefined : failureOf(reason, open.data.id));
  }

  /** Look at every open job: what no event told, what the server forgot, what nobody can take. */
  async #check(): Promise<void> {
    if (this.#checking || this.#open.size === 0) return;
    this.#checking = true;
    try {
      const workers = await workersThere(this.#parts.register);
      this.#say('here');
      this.#sayAlone(workers.length === 0);
      this.#longestLock = Math.max(this.#longestLock, ...workers.map((one) => one.lock_seconds));
      const all = [...this.#open];
      for (let from = 0; from < all.length; from += CHECKED_AT_ONCE)
        await Promise.all(
          all.slice(from, from + CHECKED_AT_ONCE).map(([id, open]) => this.#checkOne(id, open, workers)),
        );
      this.#parts.refusal.clear();
    } catch (error) {
      this.#refused(error);
    } finally {
      this.#checking = false;
    }
  }

  /** What the server refuses is asked for again at the next look, until that has gone on for too long. */
  #refused(error: unknown): void {
    const over = this.#parts.refusal.heard(error);
    for (const open of [...this.#open.values()]) {
      open.asked.onEvent({ state: 'running', done: 0, message: `queue: ${errorLine(error)}` });
      if (over) open.settle(over);
    }
  }

  async #checkOne(id: string, open: Open, workers: readonly Capacity[]): Promise<void> {
    const state = await this.#parts.queue.getJobState(id);
    const waits = state !== 'active' && state !== 'completed' && state !== 'failed';
    if (state === 'completed') open.settle();
    else if (state === 'failed') await this.#fail(id, (await this.#parts.queue.getJob(id))?.failedReason);
    else if (state === 'unknown') await this.#again(id, open);
    if (state !== 'unknown') open.forgottenSince = undefined;
    const why = waits && workers.length > 0 ? whyNone(workers, askedBy(open.data)) : undefined;
    if (state !== 'active') await this.#unplaced(id, open, why);
  }

  /**
   * The server does not know the job: it ended long ago, was taken back by another submitter, or the server lost its data. In the last case a
   * worker may still be at it, until it notices that it has no lock; it is given that long.
   */
  async #again(id: string, open: Open): Promise<void> {
    if (await this.#parts.store.has(open.asked.node)) {
      open.settle();
      return;
    }
    open.forgottenSince ??= performance.now();
    const letGo = 1000 * (this.#longestLock || UNSEEN_LOCK) + STOP_MS;
    if (performance.now() - open.forgottenSince >= letGo && this.#open.has(id))
      await this.#put(id, open.data);
  }

  async #unplaced(id: string, open: Open, why: string | undefined): Promise<void> {
    open.unplacedSince = why === undefined ? undefined : (open.unplacedSince ?? performance.now());
    if (why === undefined || performance.now() - (open.unplacedSince ?? 0) < this.#parts.patienceMs) return;
    await this.#remove(id);
    open.settle(new InputError(`${open.data.id}: no worker can hold it: ${why}`, { id: 'no-worker' }));
  }

  /** Removed, unless a worker has it: then that worker's name. */
  async #remove(id: string): Promise<string | undefined> {
    const job = await this.#parts.queue.getJob(id);
    const isRemoved = await job?.remove().then(
      () => true,
      () => false,
    );
    if (job === undefined || isRemoved) return undefined;
    return (await this.#parts.queue.getJob(id))?.processedBy ?? 'a worker';
  }

  /** Take a job back. What a worker has begun goes on: its result is of use to the next run. */
  async #withdraw(id: string): Promise<void> {
    const open = this.#open.get(id);
    if (open === undefined) return;
    const late = new Promise<undefined>((resolve) => setTimeout(resolve, CHECK_MS, undefined).unref());
    const worker = await Promise.race([this.#remove(id).catch(() => undefined), late]);
    if (worker !== undefined)
      open.asked.onEvent({
        state: 'running',
        done: 0,
        message: `goes on at ${worker}; the store will hold its result`,
      });
    open.settle(new AbortedError(open.data.id));
  }

  #say(now: 'away' | 'here'): void {
    const away = now === 'away';
    if (away === this.#away) return;
    this.#away = away;
    const { server, shown } = this.#parts.address;
    this.#tell(`${server} at ${shown} is ${away ? 'away; waiting for it' : 'back'}`);
  }

  /** Workers that were there may have been forgotten with the rest; they say again that they are there before their lease is over. */
  #sayAlone(none: boolean): void {
    if (!none) this.#lastThere = performance.now();
    const { shown } = this.#parts.address;
    const alone = none && performance.now() - this.#lastThere >= LEASE_MS;
    if (alone && !this.#alone)
      this.#tell(
        `waits for a worker; start one where this store is: crosspatch worker --queue ${shown.replace(/^postgres:\/\//, '$&USER@')} --store ${this.#parts.store.shown}`,
      );
    this.#alone = alone;
  }

  /** What concerns all jobs is said once, by the first of them. */
  #tell(message: string): void {
    const [first] = this.#open.values();
    first?.asked.onEvent({ state: 'running', done: 0, message });
  }
}
