/** @file A queue on Redis. */
import { InputError } from '../../base/index.ts';
import type { QueueAddress } from './address.ts';
import { optionalPackages, type QueueServer } from './server.ts';

/** The versions of package.json's `peerDependencies`. */
const INSTALL = 'npm install --ignore-scripts bullmq@6.7.0 ioredis@5.11.1';
/** How long the first connection may take, and how long a client that was cut off waits before it tries again. */
const CONNECT_MS = 5000;
const RETRY_MS = 1000;

/** Throws {@link InputError} when Redis cannot be reached. */
export async function connectRedis(address: QueueAddress): Promise<QueueServer> {
  const [bullmq, { Redis }] = await optionalPackages(
    () => Promise.all([import('bullmq'), import('ioredis')]),
    INSTALL,
  );
  await reach(Redis, address);
  const connection = { ...address.options, maxRetriesPerRequest: null, retryStrategy: () => RETRY_MS };
  const own = new Redis({ ...connection, lazyConnect: true });
  own.on('error', () => {});
  return {
    bullmq,
    backend: (name, options, kind) => bullmq.createRedisBackend(name, { ...options, connection }, kind),
    register: (namespace) => quiet(bullmq.createRedisRelayBackend({ connection: own, namespace })),
    [Symbol.asyncDispose]: async () => own.disconnect(),
  };
}

/** One try, which tells what is wrong; later connections try for ever. */
async function reach(Redis: typeof import('ioredis').Redis, { options, shown }: QueueAddress): Promise<void> {
  const client = new Redis({
    ...options,
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
    throw new InputError(`${shown}: Redis cannot be reached; start it, or check --queue and its password`, {
      id: 'queue-unreachable',
      cause: last ?? error,
    });
  } finally {
    client.disconnect();
  }
}

/** What a register reports of its connection, its callers learn from their own calls. */
function quiet<T extends { on(event: 'error', listener: () => void): unknown }>(register: T): T {
  register.on('error', () => {});
  return register;
}
