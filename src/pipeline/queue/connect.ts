/** @file Connections to the queue, on whichever server it is. */
import type { QueueAddress } from './address.ts';
import { connectRedis } from './connect-redis.ts';
import type { QueueServer } from './server.ts';

/** Throws {@link InputError} when the server cannot be reached, or the packages that talk to it are not installed. */
export async function connectQueue(address: QueueAddress): Promise<QueueServer> {
  return connectRedis(address);
}

/** Something that holds connections. */
export interface Connected {
  close(): Promise<unknown>;
  disconnect(): Promise<unknown>;
}

/** Close connections in order, and cut those that a server which is away would keep open. */
export async function closeAll(connected: readonly Connected[], milliseconds = 2000): Promise<void> {
  for (const one of connected) {
    const closing = one.close().catch(() => {});
    const late = new Promise<'late'>((resolve) => setTimeout(resolve, milliseconds, 'late').unref());
    if ((await Promise.race([closing, late])) === 'late') await one.disconnect().catch(() => {});
  }
}
