/**
 * @file Connections to the queue. The packages that talk to Redis are optional: they are loaded here, when a queue is asked for, and nowhere
 * else.
 */
import type * as Bullmq from 'bullmq';
import { InputError } from '../../base/index.ts';
import type { QueueAddress } from './address.ts';

/** The versions of package.json's `peerDependencies`. */
const INSTALL = 'npm install --ignore-scripts bullmq@6.7.0 ioredis@5.11.1';
/** How long the first connection may take, and how long a client that was cut off waits before it tries again. */
const CONNECT_MS = 5000;
const RETRY_MS = 1000;

/** What a queue, its events and its workers are opened with. */
interface QueueConnection {
  readonly bullmq: typeof Bullmq;
  readonly connection: Bullmq.RedisOptions;
}

/** The queue's packages, and options of a connection that comes back by itself. Throws {@link InputError} when Redis cannot be reached. */
export async function connectQueue(address: QueueAddress): Promise<QueueConnection> {
  const { bullmq, Redis } = await packages();
  const client = new Redis({
    ...address.options,
    lazyConnect: true,
    connectTimeout: CONNECT_MS,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let last: unknown;
  client.on('error', (error: unknown) => {
    last = error;
  });
  try {
    await client.connect();
    await client.ping();
  } catch (error) {
    throw new InputError(
      `${address.shown}: Redis cannot be reached; start it, or check --queue and its password`,
      { id: 'queue-unreachable', cause: last ?? error },
    );
  } finally {
    client.disconnect();
  }
  const connection = { ...address.options, maxRetriesPerRequest: null, retryStrategy: () => RETRY_MS };
  return { bullmq, connection };
}

async function packages() {
  try {
    const [bullmq, { Redis }] = await Promise.all([import('bullmq'), import('ioredis')]);
    return { bullmq, Redis };
  } catch (cause) {
    throw new InputError(`--queue: the packages it needs are not installed; ${INSTALL}`, {
      id: 'package-missing',
      cause,
    });
  }
}

/** Something that holds connections. */
interface Connected {
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
