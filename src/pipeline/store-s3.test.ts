/** A store in a bucket: a real S3 server, and machines that are folders of their own. */
import { randomBytes } from 'node:crypto';
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openLine } from '../../scripts/faults/line.ts';
import { BUCKET, SECRET, startS3, type TestS3 } from '../../test/suites/s3.ts';
import { drawStage } from '../../test/suites/toy-stages.ts';
import { errorLine, hashBytes, hashFile, listFiles, SEAL } from '../base/index.ts';
import { Plan, type StageNode } from './plan.ts';
import type { Store } from './store.ts';
import { bucketAddress } from './store-address.ts';
import { openStore } from './store-open.ts';

let root: string;
let s3: TestS3;
const before = { ...process.env };
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'store-s3-'));
  s3 = await startS3(join(root, 'objects'));
});
beforeEach(() => {
  Object.assign(process.env, s3.env);
});
afterEach(() => {
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
});
afterAll(async () => {
  await s3[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

/** The store as the machine called `machine` has it. */
async function storeOf(machine: string, prefix: string): Promise<Store> {
  process.env.CROSSPATCH_CACHE = join(root, machine);
  return openStore(`s3://${BUCKET}/${prefix}`);
}

function nodeOf(seed: number): StageNode {
  const plan = new Plan(seed);
  return plan.get(plan.add(drawStage, { id: 'draw', params: { n: 4 } }).id) as StageNode;
}

const name = ({ stage, key }: StageNode): string => `${stage.name}-${key.slice(0, 20)}`;
/** Keys of the objects below a prefix, hashes left out. */
const objects = async (prefix: string): Promise<string[]> =>
  (await listFiles(s3.file(prefix).replace('._S3rver_object', '')))
    .filter((file) => file.endsWith('._S3rver_object'))
    .map((file) => file.replace('._S3rver_object', '').replace(/\/[0-9a-f]{16}\//, '/'));
const fill =
  (...files: readonly [string, Uint8Array | string][]) =>
  async (folder: string): Promise<object> => {
    for (const [file, bytes] of files) await writeFile(join(folder, file), bytes);
    return { files: files.length };
  };
/** Where the bytes of a file of an entry lie. */
const objectOf = async (prefix: string, node: StageNode, file: string): Promise<string> => {
  const folder = s3.file(`${prefix}/${name(node)}`).replace('._S3rver_object', '');
  const found = (await listFiles(folder)).find((path) => path.endsWith(`/${file}._S3rver_object`));
  return join(folder, found ?? '');
};

it('an entry that one machine made is whole on another, byte for byte, files of several parts among them', async () => {
  const node = nodeOf(1);
  const large = randomBytes(37 * 2 ** 20);
  const here = await storeOf('a', 'plain');
  const made = await here.obtain(node, fill(['large.bin', large], ['empty', ''], ['täg |x|.txt', 'one']));
  expect(made.cached).toBe(false);
  const there = await storeOf('b', 'plain');
  expect(there.root).not.toBe(here.root);
  expect(there.remote?.id).toBe(here.remote?.id);
  const found = await there.obtain(node, () => Promise.reject(new Error('is computed again')));
  expect(found).toMatchObject({ cached: true, output: { files: 3 }, meta: { seconds: made.meta.seconds } });
  const bytes = async (store: Store) =>
    Promise.all(
      (await listFiles(store.folder(node))).map((file) => hashFile(join(store.folder(node), file))),
    );
  expect(await bytes(there)).toEqual(await bytes(here));
  expect(await there.has(node)).toBe(true);
  expect((await there.look(nodeOf(2))).state).toBe('absent');
  expect(await objects('plain')).toEqual(
    expect.arrayContaining([
      '.store-id',
      ...[SEAL, 'meta.json', 'large.bin'].map((file) => `${name(node)}/${file}`),
    ]),
  );
});

it('what was sent without its seal does not exist, and is sent again', async () => {
  const node = nodeOf(3);
  const here = await storeOf('a', 'cut');
  const stop = new AbortController();
  const half = here.obtain(
    node,
    async (folder) => {
      setTimeout(() => stop.abort(), 150);
      return fill(['large.bin', randomBytes(64 * 2 ** 20)])(folder);
    },
    { signal: stop.signal },
  );
  await expect(half).rejects.toMatchObject({ id: 'aborted' });
  expect((await objects('cut')).filter((file) => file.endsWith(SEAL))).toEqual([]);
  const there = await storeOf('b', 'cut');
  expect((await there.look(node)).state).toBe('absent');
  expect(await readdir(there.root).catch(() => [])).toEqual([]);
  // The first machine has it whole, so it only sends it.
  expect((await here.look(node)).state).toBe('whole');
  expect((await there.look(node)).state).toBe('whole');
});

describe('a damaged object', () => {
  it.each(['changed', 'missing'])('%s: is noticed, said, and made again for all', async (how) => {
    const node = nodeOf(4);
    const prefix = `damage-${how}`;
    await (await storeOf('a', prefix)).obtain(node, fill(['data.bin', 'as written']));
    const object = await objectOf(prefix, node, 'data.bin');
    if (how === 'missing') await rm(object);
    else await appendFile(object, '!');
    const there = await storeOf('b', prefix);
    const said: string[] = [];
    const again = await there.obtain(node, fill(['data.bin', 'as written']), {
      onDamage: (reason) => said.push(reason),
    });
    expect([again.cached, said]).toEqual([
      false,
      [`data.bin ${how === 'missing' ? 'is missing' : 'was changed'}`],
    ]);
    const third = await storeOf('c', prefix);
    expect((await third.look(node)).state).toBe('whole');
    expect(await readFile(join(third.folder(node), 'data.bin'), 'utf8')).toBe('as written');
  });

  it('ends the run of whoever only reads it, and not the next', async () => {
    const node = nodeOf(5);
    const here = await storeOf('a', 'read');
    await here.obtain(node, fill(['data.bin', 'as written']));
    await appendFile(await objectOf('read', node, 'data.bin'), '!');
    const there = await storeOf('b', 'read');
    const refused = there.awaited(node, { seconds: 0 });
    await expect(refused).rejects.toMatchObject({ id: 'store-damaged', exitCode: 2 });
    await expect(refused).rejects.toThrow(
      /draw was computed elsewhere and is damaged there \(data.bin was changed\); run again/,
    );
    expect(await there.has(node)).toBe(false);
    expect((await here.look(node)).state).toBe('whole');
    expect((await there.look(node)).state).toBe('whole');
  });
});

it('brings no more than what is wanted to who wants no more', async () => {
  const node = nodeOf(6);
  await (await storeOf('a', 'some')).obtain(
    node,
    fill(['figure.svg', '<svg/>'], ['activations.bin', randomBytes(99)]),
  );
  const there = await storeOf('b', 'some');
  const { folder, output } = await there.awaited(node, { wanted: ['figure.svg'] });
  expect(output).toEqual({ files: 2 });
  expect(await listFiles(folder)).toEqual(['figure.svg', 'meta.json', 'output.json']);
  await writeFile(join(folder, 'figure.svg'), 'other');
  await there.awaited(node, { wanted: ['figure.svg'] });
  expect(await readFile(join(folder, 'figure.svg'), 'utf8')).toBe('<svg/>');
});

it('has one name, whoever asks', async () => {
  const stores = await Promise.all(Array.from({ length: 8 }, () => storeOf('a', 'name')));
  const ids = new Set(stores.map(({ remote }) => remote?.id));
  // s3rver does not know If-None-Match, so the first few may read one that is then replaced; who comes later reads the last.
  const last = (await storeOf('b', 'name')).remote?.id;
  expect(last).toMatch(/^[0-9a-f]{16}$/);
  expect(ids).toContain(last);
});

it('outlasts a connection that breaks while it reads, and a server that is away while it writes', async () => {
  const node = nodeOf(7);
  const bytes = randomBytes(48 * 2 ** 20);
  const line = await openLine(s3.port);
  process.env.AWS_ENDPOINT_URL = `http://127.0.0.1:${line.port}`;
  const here = await storeOf('a', 'breaks');
  const sending = here.obtain(node, async (folder) => {
    await s3.stop();
    setTimeout(() => void s3.start(), 1500);
    return fill(['large.bin', bytes])(folder);
  });
  expect((await sending).cached).toBe(false);
  const there = await storeOf('b', 'breaks');
  const reading = there.look(node);
  let isRead = false;
  void reading.finally(() => {
    isRead = true;
  });
  for (let n = 0; n < 3 && !isRead; n++) {
    await new Promise((resolve) => setTimeout(resolve, 60));
    line.mend();
  }
  expect((await reading).state).toBe('whole');
  expect(await hashFile(join(there.folder(node), 'large.bin'))).toBe(hashBytes(bytes));
  line.close();
});

describe('an address', () => {
  it.each([
    ['s3://bucket', 'bucket', ''],
    ['s3://my.bucket-1/a/b c/', 'my.bucket-1', 'a/b c/'],
  ])('%s', (text, bucket, prefix) => {
    expect(bucketAddress(text)).toMatchObject({ bucket, prefix });
  });
  it.each(['runs/store', '/s3/x', 'C:\\store', '../s3:x'])('%s is a folder', (text) => {
    expect(bucketAddress(text)).toBeUndefined();
  });
  it.each([
    's3://',
    's3://B',
    's3://key:secret@bucket',
    's3://bucket//x',
    's3://bucket?x',
    'gs://bucket',
    'http://u:secret@h/b',
  ])('%s is refused', (text) => {
    expect(() => bucketAddress(text)).toThrow(
      /^--store: wanted a folder, s3:\/\/bucket or s3:\/\/bucket\/prefix, got /,
    );
    expect(() => bucketAddress(text)).not.toThrow(/secret/);
  });
});

it.each([
  ['no bucket', {}, 's3://absent/x', 'store-not-found', /there is no bucket absent at 127\.0\.0\.1:\d+/],
  [
    'another secret',
    { AWS_SECRET_ACCESS_KEY: `not-${SECRET}` },
    '',
    'store-refused',
    /refuses the credentials \(SignatureDoesNotMatch\)/,
  ],
  [
    'an unknown key',
    { AWS_ACCESS_KEY_ID: 'nobody' },
    '',
    'store-refused',
    /refuses the credentials \(InvalidAccessKeyId\)/,
  ],
  [
    'no credentials',
    { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' },
    '',
    'store-refused',
    /there are no credentials; set AWS_ACCESS_KEY_ID/,
  ],
  [
    'nobody there',
    { AWS_ENDPOINT_URL: 'http://u:pw@127.0.0.1:1' },
    '',
    'store-unreachable',
    /the server at 127\.0\.0\.1:1 cannot be reached \(ECONNREFUSED\)/,
  ],
  [
    'no such host',
    { AWS_ENDPOINT_URL: 'http://nowhere.invalid' },
    '',
    'store-unreachable',
    /the server at nowhere\.invalid cannot be reached \((ENOTFOUND|EAI_AGAIN)\)/,
  ],
  ['no region', { AWS_ENDPOINT_URL: '' }, '', 'store-not-found', /no region is set; set AWS_REGION/],
] as const)('%s: one line', async (_, env, place, id, line) => {
  Object.assign(process.env, env);
  for (const [key, value] of Object.entries(env)) if (value === '') delete process.env[key];
  delete process.env.AWS_REGION;
  delete process.env.AWS_DEFAULT_REGION;
  const refused = await openStore(place || `s3://${BUCKET}/x`).catch((error: unknown) => error);
  expect(refused).toMatchObject({ id, exitCode: 2 });
  expect(errorLine(refused)).toMatch(line);
  expect(errorLine(refused)).not.toMatch(new RegExp(`${SECRET}|u:pw|\n`));
});
