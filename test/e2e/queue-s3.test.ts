/** @file An experiment whose machines share nothing but a Redis and a bucket: real servers, two worker processes with caches of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { listFiles } from '../../src/base/index.ts';
import { crosspatch } from '../../src/cli/crosspatch.helper.ts';
import { stableResults } from '../../src/contracts/index.ts';
import { readResults } from '../../src/pipeline/index.ts';
import type { QueueTestServer } from '../suites/queue-server.ts';
import { startRedis } from '../suites/redis.ts';
import { BUCKET, SECRET, startS3, type TestS3 } from '../suites/s3.ts';
import { FROM_SOURCE } from './program.helper.ts';

const STORE = `s3://${BUCKET}/team/experiments`;
/** Small enough to be computed twice here; the behaviour need not be learnt for the bytes to be compared. */
const RECIPE = ['scripts/faults/mini.yaml', '--set', 'finetune.steps=40'];
const before = { ...process.env };

let root: string;
let redis: QueueTestServer;
let s3: TestS3;
const workers: ChildProcess[] = [];
let said = '';

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-bucket-'));
  redis = await startRedis(root, 'open-sesame');
  s3 = await startS3(join(root, 'objects'));
  Object.assign(process.env, s3.env, { QUEUE_PASSWORD: 'open-sesame', CROSSPATCH_CACHE: join(root, 'mine') });
  await Promise.all([startWorker('a'), startWorker('b')]);
});
afterAll(async () => {
  for (const worker of workers) worker.kill('SIGKILL');
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
  Object.assign(process.env, before);
  await redis[Symbol.asyncDispose]();
  await s3[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

/** A worker on a machine of its own, as far as files go; resolves when it takes jobs. */
async function startWorker(machine: string): Promise<void> {
  const args = [...FROM_SOURCE, 'worker', '--queue', redis.url, '--store', STORE];
  const worker = spawn(process.execPath, [...args, '--queue-password-env', 'QUEUE_PASSWORD'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, CROSSPATCH_CACHE: join(root, machine) },
  });
  workers.push(worker);
  await new Promise<void>((resolve, reject) => {
    worker.once('exit', (code) => reject(new Error(`the worker ended with ${code}: ${said}`)));
    worker.stderr!.on('data', (text: Buffer) => {
      said += text;
      if (said.includes(`.${worker.pid}: `)) resolve();
    });
  });
}

it('gives the results of one process, and the secret key is written nowhere', async () => {
  const far = join(root, 'runs/far');
  const args = ['run', ...RECIPE, '--out', far, '--store', STORE, '--queue', redis.url];
  const queued = [...args, '--queue-password-env', 'QUEUE_PASSWORD'];
  const { code, out, err } = await crosspatch(queued);
  expect([code, err]).toEqual([0, err]);
  const near = join(root, 'near/run');
  expect((await crosspatch(['run', ...RECIPE, '--out', near, '--quiet'])).code).toBe(0);
  const text = async (folder: string) => JSON.stringify(stableResults(await readResults(folder)), null, 2);
  expect(await text(far)).toBe(await text(near));

  // Both took part, and whoever submits has what the run folder shows and no more.
  const log = await readFile(join(far, 'log.jsonl'), 'utf8');
  expect(new Set([...log.matchAll(/"message":"at (\S+?)"/g)].map(([, at]) => at)).size).toBe(2);
  const [id = '', ...others] = await readdir(join(root, 'mine/stores'));
  expect(others).toEqual([]);
  const has = async (machine: string, file: RegExp) =>
    (await listFiles(join(root, machine, 'stores', id))).some((path) => file.test(path));
  expect(await has('mine', /maps\/affine.*safetensors$/)).toBe(true);
  const inverse = /inverse\/.*safetensors$/;
  expect(await has('mine', inverse)).toBe(false);
  expect((await has('a', inverse)) || (await has('b', inverse))).toBe(true);

  expect(await crosspatch(queued)).toMatchObject({ code: 0, err: expect.not.stringContaining('started') });
  const planned = await crosspatch(['run', ...RECIPE, '--store', STORE, '--dry-run']);
  expect(planned.out).toMatch(/^0 of \d+ stages to do$/m);

  const written = [out, err, said];
  for (const folder of [far, join(root, 'objects'), join(root, 'mine'), join(root, 'a')])
    for (const file of await listFiles(folder)) written.push(await readFile(join(folder, file), 'latin1'));
  expect(written.filter((one) => one.includes(SECRET))).toEqual([]);
});
