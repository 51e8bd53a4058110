/** @file A queue on Redis. */
import { InputError } from '../../base/index.ts';
import type { RedisAddress } from './address.ts';
import { optionalPackages, type QueueServer } from './server.ts';

/** The versions of package.json's `peerDependencies`. */
const INSTALL = 'npm install --ignore-scripts bullmq@6.7.0 ioredis@5.11.1';
/** What BullMQ's register of nodes needs. */
const OLDEST_VERSION = [6, 2] as const;
/** How long the first connection may take, and how long a client that was cut off waits before it tries again. */
const CONNECT_MS = 5000;
const RETRY_MS = 1000;

/** Throws {@link InputError} when Redis cannot be reached. */
export async function connectRedis(address: RedisAddress): Promise<QueueServer> {
  const [bullmq, { Redis }] = await optionalPackages(
    () => Promise.all([import('bullmq'), import('ioredis')]),
    INSTALL,
  );
  await reach(Redis, address);
  const connection = { ...address.options, maxRetriesPerRequest: null, retryStrategy: () => RETRY_MS };
  const own = new Redis(connection);
  own.on('error', () => {});
  return {
    bullmq,
    clockAhead: 0,
    backend: (name, options, kind) => bullmq.createRedisBackend(name, { ...options, connection }, kind),
    register: (namespace) => quiet(bullmq.createRedisRelayBackend({ connection: own, namespace })),
    [Symbol.asyncDispose]: async () => own.disconnect(),
  };
}

/** One try, which tells what is wrong; later connections try for ever. */
async function reach(Redis: typeof import('ioredis').Redis, { options, shown }: RedisAddress): Promise<void> {
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
    refuseOldRedis(await client.info('server'), shown);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${shown}: Redis cannot be reached; start it, or check --queue and its password`, {
      id: 'queue-unreachable',
      cause: last ?? error,
    });
  } finally {
    client.disconnect();
  }
}

/** Throws {@link InputError} for a server too old; `info` is what it says of itself. One that names no version is tried. */
export function refuseOldRedis(info: string, shown: string): void {
  const [, version = '', major, minor] = /^redis_version:((\d+)\.(\d+)\S*)/m.exec(info) ?? [];
  const [oldest, oldestMinor] = OLDEST_VERSION;
  if (Number(major) < oldest || (Number(major) === oldest && Number(minor) < oldestMinor))
    throw new InputError(`${shown}: Redis ${version} is too old; wanted ${oldest}.${oldestMinor} or newer`, {
      id: 'queue-unreachable',
    });
}

/** What a register reports of its connection, its callers learn from their own calls. */
function quiet<T extends { on(event: 'error', listener: () => void): unknown }>(register: T): T {
  register.on('error', () => {});
  return register;
}
