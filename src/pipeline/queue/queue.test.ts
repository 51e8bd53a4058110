import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { drawStage, scaleStage } from '../../../test/suites/toy-stages.ts';
import { CrosspatchError, hashBytes, InputError } from '../../base/index.ts';
import { Plan, type SourceNode, type StageNode } from '../plan.ts';
import { defineStage, sourceFile } from '../stage.ts';
import { Store } from '../store.ts';
import { parseQueueAddress } from './address.ts';
import { type Capacity, canHold, whyNone } from './capacity.ts';
import { refuseOld } from './connect-postgres.ts';
import { refuseOldRedis } from './connect-redis.ts';
import { failureOf, jobId, jobOf, openJob, packJob, type StageJob } from './job.ts';
import { SourceFinder, shareSource } from './sources.ts';
import { queueName } from './store-id.ts';
import { noteRenewals, refuseClock } from './worker.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'queue-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('the address of a queue', () => {
  it('is shown without user and password, whichever way these are given', () => {
    const given = parseQueueAddress('rediss://me:s%40cret@queue.example:7000/2');
    expect(given.shown).toBe('rediss://queue.example:7000/2');
    expect(given.options).toEqual({
      host: 'queue.example',
      port: 7000,
      username: 'me',
      password: 's@cret',
      db: 2,
      tls: {},
    });
    const local = parseQueueAddress('redis://', 'from the environment');
    expect(local.shown).toBe('redis://127.0.0.1:6379');
    expect(local.options.password).toBe('from the environment');
    expect(parseQueueAddress('redis://[::1]:1').options.host).toBe('::1');
  });

  it('may be that of a PostgreSQL, with TLS by the words of its own programs', () => {
    const given = parseQueueAddress('postgresql://me:s%40cret@db.example/my%20queue?sslmode=verify-full');
    expect(given).toEqual({
      server: 'PostgreSQL',
      shown: 'postgres://db.example:5432/my queue',
      options: {
        ...{ host: 'db.example', port: 5432, user: 'me', password: 's@cret', database: 'my queue' },
        ssl: { rejectUnauthorized: true },
      },
    });
    const local = parseQueueAddress('postgres://me@[::1]:1/q', 'from the environment');
    expect(local.options).toMatchObject({ host: '::1', port: 1, password: 'from the environment' });
    expect(local.options).not.toMatchObject({ ssl: expect.anything() });
  });

  it.each([
    ...[
      'http://:secret@host',
      'redis://:secret@host/x',
      'secret',
      'redis://:secret@ho st',
      'redis://:secret%@h',
    ],
    ...['postgres://host/secret', 'postgres://me:secret@host', 'postgres://me:secret@host/a/b'],
    ...['postgres://me:secret@host/q?sslmode=perhaps', 'postgres://me@host/q?password=secret'],
  ])('refuses %s and does not repeat it', (text) => {
    const refused = (() => {
      try {
        return parseQueueAddress(text);
      } catch (error) {
        return error;
      }
    })();
    expect(refused).toBeInstanceOf(InputError);
    expect((refused as Error).message).toMatch(/^--queue: wanted redis:/);
    expect((refused as Error).message).not.toContain('secret');
  });
});

describe('a server', () => {
  it('of PostgreSQL that is too old is refused', () => {
    expect(() => refuseOld({ number: '120022', version: '12.22' })).toThrow(
      'PostgreSQL 12.22 is too old; wanted 13 or newer',
    );
    expect(refuseOld({ number: '130000', version: '13.0' })).toBeUndefined();
  });

  it('of Redis that is too old is refused', () => {
    const info = (version: string) => `# Server\r\nredis_version:${version}\r\nredis_mode:standalone\r\n`;
    expect(() => refuseOldRedis(info('6.0.16'), 'redis://x')).toThrow(
      'redis://x: Redis 6.0.16 is too old; wanted 6.2 or newer',
    );
    expect(() => refuseOldRedis(info('5.0.3'), 'redis://x')).toThrow('too old');
    for (const text of [info('6.2.0'), info('7.0.15'), info('10.0.0'), 'nothing'])
      expect(refuseOldRedis(text, 'redis://x')).toBeUndefined();
  });

  it('whose clock is another by more than an eighth of a lock is refused, whichever is ahead', () => {
    expect(refuseClock(3.75, 30, 'here')).toBeUndefined();
    expect(refuseClock(-3.75, 30, 'here')).toBeUndefined();
    expect(() => refuseClock(4, 30, 'here')).toThrow(
      "here: this machine's clock is 4.0 s ahead of the server's",
    );
    expect(() => refuseClock(-0.5, 2, 'here')).toThrow('0.5 s behind');
  });
});

describe('a lock', () => {
  it('counts from when its renewal was asked for, however late the answer comes; one that is lost does not count', async () => {
    const worker = { extendJobLocks: (ids: string[]) => sleep(300, ids.slice(1)) };
    const told: [string, number][] = [];
    noteRenewals(worker, (id, asked) => told.push([id, asked]));
    const before = performance.now();
    expect(await worker.extendJobLocks(['kept', 'lost'])).toEqual(['lost']);
    expect(told.map(([id]) => id)).toEqual(['kept']);
    expect((told[0]?.[1] ?? Number.NaN) - before).toBeLessThan(100);
  });
});

describe('who can hold a stage', () => {
  const worker = (host: string, giga: number, version = '1.0.0'): Capacity => ({
    host,
    pid: 7,
    version,
    provider: 'cpu',
    memory_bytes: giga * 1e9,
    cores: 2,
    jobs: 1,
    lock_seconds: 30,
  });
  const workers = [worker('small', 4), worker('large', 16), worker('new', 64, '2.0.0')];
  const asked = (giga: number, cores = 1, version = '1.0.0') => ({
    version,
    provider: 'cpu',
    cores,
    memory_bytes: giga * 1e9,
  });

  it.each([
    [0, 1, ['small', 'large']],
    [4, 2, ['small', 'large']],
    [7, 2, ['large']],
    [1, 3, []],
    [16.1, 1, []],
  ])('%s GB and %s cores: %s', (giga, cores, hosts) => {
    expect(workers.filter((one) => canHold(one, asked(giga, cores))).map(({ host }) => host)).toEqual(hosts);
    expect(whyNone(workers, asked(giga, cores)) === undefined).toBe(hosts.length > 0);
  });

  it('is said in one line when nobody can', () => {
    expect(whyNone(workers, asked(20))).toBe(
      'it asks for 20.0 GB and 1 core, and of 2 workers the one with most memory, large.7, has 16.0 GB and 2 cores; start a larger worker, give one a larger --memory, or run with fewer --threads',
    );
    expect(whyNone(workers, { ...asked(1), provider: 'cuda' })).toBe(
      'it is to compute on cuda, and the workers do on cpu; start one with --provider cuda',
    );
    expect(whyNone(workers, asked(1, 1, '3.0.0'))).toBe(
      'it comes from crosspatch 3.0.0, and the workers are crosspatch 1.0.0 and 2.0.0; install the same version on all',
    );
  });
});

const countStage = defineStage({
  name: 'count-bytes',
  version: '1',
  module: import.meta.url,
  params: drawStage.params,
  inputs: { text: sourceFile },
  run: async () => ({}),
});

describe('a job', () => {
  const plan = new Plan(3);
  const numbers = plan.add(drawStage, { id: 'draw', params: { n: 4 } });
  const { id } = plan.add(scaleStage, { id: 'scale', params: { factor: 2 }, inputs: { numbers } });
  const node = plan.get(id) as StageNode;
  const noSource = () => {
    throw new Error('there is no source');
  };
  const sent = (): StageJob =>
    JSON.parse(JSON.stringify(jobOf(plan, node, { version: '1.0.0', threads: 2, place: noSource })));

  it('is the same stage on the other side, under the address of its result', async () => {
    const there = await openJob(packJob(sent()));
    const { stage, key, params, seed } = there.node;
    expect({ stage, key, params, seed }).toEqual({
      stage: scaleStage,
      key: node.key,
      params: node.params,
      seed: 3,
    });
    expect(there.job.inputs).toEqual({
      numbers: { kind: 'stage', id: 'draw', stage: 'draw', key: numbers.key },
    });
    const store = new Store(root);
    expect(join(root, jobId(node))).toBe(store.folder(node));
  });

  it.each([
    ['params', { params: { factor: 3, milliseconds: 0 } }],
    ['seed', { seed: 4 }],
    ['key', { key: 'a'.repeat(64) }],
    ['inputs', { inputs: {} }],
  ])('whose %s were changed is refused', async (_, change) => {
    await expect(openJob(packJob({ ...sent(), ...change }))).rejects.toMatchObject({
      id: 'queue-mismatch',
      exitCode: 2,
    });
  });

  it('names no module from outside crosspatch', async () => {
    await expect(openJob(packJob({ ...sent(), module: '../../../../etc/x' }))).rejects.toThrow(
      'no module of crosspatch',
    );
  });

  it('that failed says its own error, with id and exit code', () => {
    const error = { name: 'InputError', message: 'data.jsonl: empty', id: 'data-missing', exitCode: 2 };
    expect(failureOf(JSON.stringify(error), 'scale')).toBeInstanceOf(InputError);
    expect(failureOf(JSON.stringify(error), 'scale')).toMatchObject(error);
    const lost = failureOf('job stalled more than allowable limit', 'scale');
    expect(lost).toBeInstanceOf(CrosspatchError);
    expect(lost).toMatchObject({ id: 'worker-died', exitCode: 1 });
    expect(lost.message).toContain('two workers in a row');
    expect(failureOf('Missing lock for job 3', 'scale').message).toMatch(
      /^scale: the queue lost it; run again/,
    );
  });
});

describe('a source on another machine', () => {
  it('is found as a copy in the store, though the path is not there; other content is refused', async () => {
    const [path, store] = [join(root, 'rows.jsonl'), new Store(join(root, 'store'))];
    await writeFile(path, 'one\n');
    const plan = new Plan(1);
    const text = await plan.source('data.rows', path);
    plan.add(countStage, { id: 'count', params: {}, inputs: { text } });
    const node = plan.get('data.rows') as SourceNode;
    const source = {
      kind: 'source' as const,
      id: 'data.rows',
      key: node.key,
      ...node.output,
      ...(await shareSource(store, node)),
    };
    await rm(path);
    const there = await new SourceFinder(store).find(source);
    expect(there).toBe(join(store.root, `source-${node.key.slice(0, 20)}`, 'rows.jsonl'));
    await writeFile(there, 'two\n');
    await expect(new SourceFinder(store).find(source)).rejects.toMatchObject({ id: 'file-unreadable' });
    await writeFile(path, 'one\n');
    expect(await new SourceFinder(store).find(source)).toBe(path);
    expect(node.key).toBe(hashBytes(Buffer.from('one\n')));
  });
});

describe('a store', () => {
  it('names its queue once, whoever asks', async () => {
    const names = await Promise.all(Array.from({ length: 8 }, () => queueName(new Store(root))));
    expect(new Set(names).size).toBe(1);
    expect(names[0]).toMatch(/^crosspatch-[0-9a-f]{16}$/);
    expect(await readdir(root)).toEqual(['.store-id']);
    await mkdir(join(root, 'other'));
    expect(await queueName(new Store(join(root, 'other')))).not.toBe(names[0]);
  });

  it('leaves alone what another machine writes, and takes over its lock when the queue says so', async () => {
    const plan = new Plan(1);
    const node = plan.get(plan.add(drawStage, { id: 'draw', params: {} }).id) as StageNode;
    const store = new Store(root);
    const name = jobId(node);
    const owner = { pid: 2 ** 22 + 1, host: 'elsewhere', started: null };
    const part = `.${name}.${owner.pid}.0123abcd.part`;
    const waiting = `${name}.lock.${owner.pid}.0123abcd`;
    await mkdir(join(root, part));
    const lock = (dispatcher?: string) =>
      writeFile(join(root, `${name}.lock`), JSON.stringify({ ...owner, dispatcher }));
    await lock('queue');
    await writeFile(join(root, waiting), JSON.stringify(owner));
    await store.sweep();
    expect((await readdir(root)).sort()).toEqual([part, `${name}.lock`, waiting].sort());
    const fill = async () => ({ sum: 1 });
    const signal = () => AbortSignal.timeout(300);
    await expect(store.obtain(node, fill, { signal: signal() })).rejects.toMatchObject({ id: 'aborted' });
    await lock();
    await expect(store.obtain(node, fill, { signal: signal(), dispatcher: 'queue' })).rejects.toMatchObject({
      id: 'aborted',
    });
    await lock('queue');
    expect(await store.obtain(node, fill, { dispatcher: 'queue' })).toMatchObject({ cached: false });
    await store.sweep();
    expect(await readdir(root)).not.toContain(part);
  });

  it('says so when a result of another machine does not come', async () => {
    const plan = new Plan(1);
    const node = plan.get(plan.add(drawStage, { id: 'draw', params: {} }).id) as StageNode;
    await expect(new Store(root).awaited(node, { seconds: 0 })).rejects.toMatchObject({
      id: 'queue-mismatch',
      exitCode: 2,
    });
  });
});
