/** @file The server of a queue, for the scripts that break it: `redis` or `postgres`, of their own. */
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../src/base/index.ts';
import { startPostgres } from '../../test/suites/postgres.ts';
import type { QueueTestServer } from '../../test/suites/queue-server.ts';
import { startRedis } from '../../test/suites/redis.ts';
import { PASSWORD } from './queue-worker.ts';

/** Start one; `root` holds its data where it does not choose a place itself. */
export async function startQueueServer(kind: string, root: string): Promise<QueueTestServer> {
  if (kind === 'postgres') return startPostgres(PASSWORD);
  if (kind === 'redis') return startRedis(await mkdtemp(join(root, 'redis-')), PASSWORD);
  throw new InputError(`--queue: wanted redis or postgres, got ${kind}`, { id: 'option-invalid' });
}
