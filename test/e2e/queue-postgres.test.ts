/** @file Experiments over a queue on a real PostgreSQL, and what is said when it cannot be used. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crosspatch } from '../../src/cli/crosspatch.helper.ts';
import { parseQueueAddress } from '../../src/pipeline/index.ts';
import { connectQueue } from '../../src/pipeline/queue/connect.ts';
import { isMissing, startPostgres, type TestPostgres } from '../suites/postgres.ts';
import { PASSWORD, queueSuite } from '../suites/queue-suite.ts';
import { FROM_SOURCE } from './program.helper.ts';

describe.skipIf(isMissing)('a queue on PostgreSQL (needs initdb and postgres)', () => {
  queueSuite(() => startPostgres(PASSWORD));
});

describe.skipIf(isMissing)('a PostgreSQL that cannot be used (needs initdb and postgres)', () => {
  let root: string;
  let server: TestPostgres;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'crosspatch-refused-'));
    server = await startPostgres(PASSWORD);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true });
  });
  const refused = async (queue: string) => {
    const { code, err } = await crosspatch(['worker', '--queue', queue, '--store', join(root, 'store')]);
    expect(code).toBe(2);
    expect(err.trimEnd().split('\n')).toHaveLength(1);
    expect(err).not.toContain(PASSWORD);
    return err;
  };

  it('is named with what to do: not there, wrong password, no such database, no right to make tables', async () => {
    const away = `postgres://me:${PASSWORD}@127.0.0.1:1/experiments`;
    expect(await refused(away)).toMatch(
      /^error: postgres:\/\/127\.0\.0\.1:1\/experiments: PostgreSQL cannot be reached; start it, .*ECONNREFUSED.* \[queue-unreachable\]$/m,
    );
    expect(await refused(server.urlWithPassword.replace(PASSWORD, 'guess'))).toMatch(
      /: PostgreSQL refuses the user or the password; .*\[queue-unreachable\]$/m,
    );
    expect(await refused(server.urlWithPassword.replace('/experiments', '/other'))).toMatch(
      /: PostgreSQL has no database other; create it \(createdb other\).*\[queue-unreachable\]$/m,
    );
    await server.sql(`CREATE USER guest PASSWORD '${PASSWORD}'`);
    await server.sql('CREATE DATABASE bare');
    const guest = server.urlWithPassword.replace('crosspatch:', 'guest:').replace('/experiments', '/bare');
    expect(await refused(guest)).toMatch(
      /: the user may not make the queue's tables; .*GRANT CREATE ON DATABASE bare.*\[queue-unreachable\]$/m,
    );
    expect(await refused(`${server.urlWithPassword}?sslmode=require`)).toMatch(
      /: PostgreSQL cannot be reached; .*SSL.*\[queue-unreachable\]$/m,
    );
  });

  it('is not used by a machine whose clock is off by more than its locks bear', async () => {
    const late = 'data:text/javascript,const now=Date.now.bind(Date);Date.now=()=>now()-60000;';
    const args = ['worker', '--queue', server.urlWithPassword, '--store', join(root, 'store')];
    const worker = spawn(process.execPath, ['--import', late, ...FROM_SOURCE, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    worker.stderr.on('data', (text: Buffer) => {
      said += text;
    });
    expect(await once(worker, 'close')).toEqual([2, null]);
    expect(said).toMatch(
      /this machine's clock is \d+\.\d s behind the server's, and a lock of 30 s allows 3\.75 s; set the clock .*\[queue-mismatch\]$/m,
    );
  });
});

describe.skipIf(isMissing)('a PostgreSQL that is away for a while (needs initdb and postgres)', () => {
  it('is waited for by every command, until the connection is closed', async () => {
    await using server = await startPostgres(PASSWORD);
    const connected = await connectQueue(parseQueueAddress(server.urlWithPassword));
    const register = connected.register('queue');
    await register.registerNode('one', 60_000, { name: 'kept' });
    const names = async () => (await register.getNodes(0, -1)).map(({ info }) => info.name);

    const restarted = server.restart('keeps');
    await expect(server.sql('SELECT 1')).rejects.toThrow();
    expect(await names()).toEqual(['kept']);
    await restarted;

    const again = server.restart('keeps');
    await expect(server.sql('SELECT 1')).rejects.toThrow();
    const lost = names().catch((error: unknown) => error);
    await connected[Symbol.asyncDispose]();
    expect(await lost).toBeInstanceOf(Error);
    await again;
  });
});
