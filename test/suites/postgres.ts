/** @file A real PostgreSQL for tests: a cluster of its own in a temporary folder, on a free port. It refuses to run as root, so root starts it as another user. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { freePort } from './ports.ts';
import type { QueueTestServer } from './queue-server.ts';

const USER = 'crosspatch';
const DATABASE = 'experiments';

/** Whether its programs are not here: Debian has them in `postgresql`. */
export const isMissing = binaries() === undefined;

export interface TestPostgres extends QueueTestServer {
  /** Run one statement as the administrator, in the queue's database or another. */
  sql(statement: string, database?: string): Promise<unknown[]>;
  /** Copy all that it holds while it is down for a moment. What comes back puts it there again, in the same way. */
  backUp(): Promise<() => Promise<void>>;
}

/** Start one that asks for `password`. */
export async function startPostgres(password: string): Promise<TestPostgres> {
  const bin = binaries();
  if (bin === undefined) throw new Error('initdb and postgres are not here: apt-get install postgresql');
  const port = await freePort();
  const identity = servant();
  const root = await mkdtemp(join(tmpdir(), 'crosspatch-postgres-'));
  const [data, secret] = [join(root, 'data'), join(root, 'password')];
  await writeFile(secret, `${password}\n`);
  if (identity.uid !== undefined)
    for (const path of [root, secret]) await chown(path, identity.uid, identity.gid ?? identity.uid);
  const how = ['--auth=scram-sha-256', `--pwfile=${secret}`, `--username=${USER}`, '--no-sync'];
  execFileSync(join(bin, 'initdb'), ['-D', data, ...how, '--locale=C', '--encoding=UTF8'], {
    ...identity,
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const args = ['-D', data, '-p', `${port}`, '-c', 'listen_addresses=127.0.0.1'];
  args.push('-c', 'unix_socket_directories=', '-c', 'timezone=UTC');
  const launch = () => serve(join(bin, 'postgres'), args, { ...identity, cwd: root });
  let server = await launch();
  const sql = async (statement: string, database = DATABASE) => {
    const client = new pg.Client({ host: '127.0.0.1', port, user: USER, password, database });
    await client.connect();
    try {
      return (await client.query(statement)).rows as unknown[];
    } finally {
      await client.end();
    }
  };
  await sql(`CREATE DATABASE ${DATABASE}`, 'postgres');
  return {
    url: `postgres://${USER}@127.0.0.1:${port}/${DATABASE}`,
    urlWithPassword: `postgres://${USER}:${password}@127.0.0.1:${port}/${DATABASE}`,
    port,
    sql,
    backUp: async () => {
      const copy = join(root, 'backup');
      await end(server);
      execFileSync('cp', ['-a', data, copy]);
      server = await launch();
      return async () => {
        await end(server);
        await rm(data, { recursive: true });
        execFileSync('cp', ['-a', copy, data]);
        server = await launch();
      };
    },
    restart: async (what) => {
      await end(server);
      server = await launch();
      if (what === 'forgets')
        await sql('TRUNCATE bullmq.job, bullmq.event, bullmq.meta, bullmq.relay_node CASCADE');
    },
    [Symbol.asyncDispose]: async () => {
      await end(server);
      await rm(root, { recursive: true, force: true });
    },
  };
}

/** The folder of the programs: on the path, or where Debian has the newest. */
function binaries(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ];
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => existsSync(join(folder, name))));
}

/** Who it runs as: `postgres` or `nobody` when this is root. */
function servant(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const id = (flag: string, user: string) =>
    Number(execFileSync('id', [flag, user], { stdio: ['ignore', 'pipe', 'ignore'] }));
  for (const user of ['postgres', 'nobody'])
    try {
      return { uid: id('-u', user), gid: id('-g', user) };
    } catch {}
  throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody');
}

async function serve(
  program: string,
  args: readonly string[],
  options: { readonly uid?: number; readonly gid?: number; readonly cwd: string },
): Promise<ChildProcess> {
  const server = spawn(program, args, { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`postgres ended with ${code}`)));
    createInterface({ input: server.stderr! }).on('line', (line) => {
      if (line.includes('ready to accept connections')) resolve();
    });
  });
  return server;
}

/** At once, without writing anything out: what was committed comes back from the log. */
async function end(server: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGQUIT');
  await ended;
}
