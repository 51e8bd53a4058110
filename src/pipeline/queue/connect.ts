/** @file Connections to the queue, on whichever server it is. */
import type { QueueAddress } from './address.ts';
import { connectPostgres } from './connect-postgres.ts';
import { connectRedis } from './connect-redis.ts';
import type { QueueServer } from './server.ts';

/** Throws {@link InputError} when the server cannot be reached, or the packages that talk to it are not installed. */
export async function connectQueue(address: QueueAddress): Promise<QueueServer> {
  return address.server === 'Redis' ? connectRedis(address) : connectPostgres(address);
}

/** Something that holds connections. */
export interface Connected {
  close(): Promise<unknown>;
  disconnect(): Promise<unknown>;
}

/** Close connections in order, and cut those that a server which is away would keep open. */
export async function closeAll(connected: readonly Connected[], milliseconds = 2000): Promise<void> {
  for (const one of connected)
    if (!(await isDone(one.close(), milliseconds))) await isDone(one.disconnect(), milliseconds);
}

/** Whether `act` ended, well or not, in so long. */
export async function isDone(act: Promise<unknown>, milliseconds: number): Promise<boolean> {
  const late = new Promise<boolean>((resolve) => setTimeout(resolve, milliseconds, false).unref());
  return Promise.race([
    act.then(
      () => true,
      () => true,
    ),
    late,
  ]);
}
