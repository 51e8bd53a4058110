/** @file A queue on PostgreSQL: its tables in the schema `bullmq`, which whoever comes first makes. */
import type { Pool } from 'pg';
import { InputError } from '../../base/index.ts';
import type { PostgresAddress } from './address.ts';
import { PatientPool } from './patient-pool.ts';
import { optionalPackages, type QueueServer } from './server.ts';

/** The versions of package.json's `peerDependencies`. */
const INSTALL = 'npm install --ignore-scripts bullmq@6.7.0 pg@8.23.1';
const OLDEST_VERSION = 13;
/** How long a connection may take, and an answer. A connection that was cut off without a word is given up after the latter. */
const CONNECT_MS = 5000;
const ANSWER_MS = 30_000;
/** How long a connection may be silent before the system asks whether it is still there. */
const SILENT_MS = 10_000;
/** How often a worker looks for jobs itself, in seconds, should no word of a new one reach it: BullMQ would wait for that word for up to an hour. */
export const LOOK_SECONDS = 10;
/** Most connections of a process: one that listens, the others for commands. */
const CONNECTIONS = 4;
/** How often the clocks are compared; the quickest answer tells most. */
const CLOCK_LOOKS = 3;

/** Throws {@link InputError} when PostgreSQL cannot be reached, refuses the user, or is too old. */
export async function connectPostgres(address: PostgresAddress): Promise<QueueServer> {
  const [bullmq, { default: pg }] = await optionalPackages(
    () => Promise.all([import('bullmq'), import('pg')]),
    INSTALL,
  );
  const pool = new pg.Pool({
    ...address.options,
    options: `-c search_path=${bullmq.quoteSchemaName(bullmq.DEFAULT_SCHEMA)}`,
    max: CONNECTIONS,
    keepAlive: true,
    keepAliveInitialDelayMillis: SILENT_MS,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: ANSWER_MS,
  });
  pool.on('error', () => {});
  try {
    await prepare(bullmq, pool);
    const clockAhead = await compareClocks(pool);
    const connection = new PatientPool(pool, pg.DatabaseError);
    return {
      bullmq,
      clockAhead,
      backend: (name, options, kind) => {
        const backend = bullmq.createPostgresBackend(name, { ...options, connection }, kind);
        return Object.defineProperty(backend, 'maximumBlockTimeout', { value: LOOK_SECONDS });
      },
      register: (namespace) => bullmq.createPostgresRelayBackend({ connection, namespace }),
      [Symbol.asyncDispose]: () => connection.end(),
    };
  } catch (error) {
    await pool.end();
    throw refusal(address, error);
  }
}

/** Check the version, and make or renew BullMQ's tables. What is there already needs no right to make any. */
async function prepare(bullmq: typeof import('bullmq'), pool: Pool): Promise<void> {
  const client = await pool.connect();
  try {
    const { rows } = await client.query<{ number: string; version: string }>(
      `SELECT current_setting('server_version_num') AS number, current_setting('server_version') AS version`,
    );
    refuseOld(rows[0]!);
    const settings = { skipVersionCheck: true };
    const there = await bullmq
      .assertSchemaCompatibility(client, bullmq.DEFAULT_SCHEMA, settings)
      .catch((error: unknown) => {
        if (error instanceof bullmq.SchemaMigrationRequiredError) return 0;
        throw error;
      });
    if (there < bullmq.LATEST_SCHEMA_VERSION)
      await bullmq.runMigrations(client, bullmq.DEFAULT_SCHEMA, settings);
  } finally {
    client.release();
  }
}

/** Throws {@link InputError} for a server too old; `number` is its version as 150018 is 15.18. */
export function refuseOld({ number, version }: { readonly number: string; readonly version: string }): void {
  if (Number(number) < 10_000 * OLDEST_VERSION)
    throw new InputError(`PostgreSQL ${version} is too old; wanted ${OLDEST_VERSION} or newer`, {
      id: 'queue-unreachable',
    });
}

/** Seconds that this machine's clock is ahead of the server's. */
async function compareClocks(pool: Pool): Promise<number> {
  let best = { took: Number.POSITIVE_INFINITY, ahead: 0 };
  for (let look = 0; look < CLOCK_LOOKS; look++) {
    const from = Date.now();
    const { rows } = await pool.query<{ now: number }>(
      'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now',
    );
    const to = Date.now();
    const took = to - from;
    if (took < best.took) best = { took, ahead: ((from + to) / 2 - rows[0]!.now) / 1000 };
  }
  return best.ahead;
}

/** What an error of the first connection means, and what to do. */
function refusal({ shown, options }: PostgresAddress, error: unknown): InputError {
  const { code, message } = error as { code?: string; message: string };
  if (error instanceof InputError) return new InputError(`${shown}: ${message}`, { id: error.id });
  const { database } = options;
  const said = {
    '28P01': 'PostgreSQL refuses the user or the password; check --queue and its password',
    '28000': 'PostgreSQL refuses the user, or wants TLS; check --queue (?sslmode=require)',
    '3D000': `PostgreSQL has no database ${database}; create it (createdb ${database}), or check --queue`,
    '42501': `the user may not make the queue's tables; as an administrator: GRANT CREATE ON DATABASE ${database} TO the user`,
  }[code ?? (message.startsWith('SASL:') ? '28P01' : '')];
  return new InputError(`${shown}: ${said ?? 'PostgreSQL cannot be reached; start it, or check --queue'}`, {
    id: 'queue-unreachable',
    cause: error,
  });
}
