/** @file What a queue needs of the server it is on, whichever that is: BullMQ's backend for jobs and its register of nodes. */
import type * as Bullmq from 'bullmq';
import { InputError, type Owned } from '../../base/index.ts';

/** A queue's server. What was opened with it is closed first. */
export interface QueueServer extends Owned {
  readonly bullmq: typeof Bullmq;
  /** What BullMQ's classes are opened with, beside {@link NO_CONNECTION}: connections that come back by themselves. */
  readonly backend: Bullmq.BackendFactory<Bullmq.IQueueBackend, object>;
  /** Seconds that this machine's clock is ahead of the one that locks hang on; 0 where they hang on the server's own. */
  readonly clockAhead: number;
  /** The register of nodes of one queue. */
  register(queue: string): Bullmq.IRelayBackend;
}

/** BullMQ wants to be given a connection; {@link QueueServer.backend} has its own. */
export const NO_CONNECTION = { connection: {} };

/** Jobs of a queue, on whichever server. */
export type JobQueue = Bullmq.Queue<
  unknown,
  unknown,
  string,
  unknown,
  unknown,
  string,
  Bullmq.IQueueBackend,
  object
>;
/** Its events. */
export type JobEvents = Bullmq.QueueEvents<unknown, Bullmq.IQueueBackend, object>;

/** Load optional packages. Throws {@link InputError} with the line that installs them. */
export async function optionalPackages<T>(load: () => Promise<T>, install: string): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    throw new InputError(`--queue: the packages it needs are not installed; ${install}`, {
      id: 'package-missing',
      cause,
    });
  }
}
