/** @file A fleet over a queue: a real Redis, two workers, and the results of the same fleet in one process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { crosspatch } from '../../src/cli/crosspatch.helper.ts';
import { fleetSchema, stableResults } from '../../src/contracts/index.ts';
import { readResults } from '../../src/pipeline/index.ts';
import type { QueueTestServer } from '../suites/queue-server.ts';
import { RECIPE, writeRows } from '../suites/queue-suite.ts';
import { startRedis } from '../suites/redis.ts';
import { FROM_SOURCE } from './program.helper.ts';

/** What the suite runs, carried from one source to two targets. */
const FLEET = `name: two${RECIPE.replace('target: tiny-llama-s ', '').replace('tiny-llama-s,', 'tiny-llama-s')}
targets:
  same: tiny-llama-s
  longer:
    models: { target: tiny-llama-s }
    finetune: { target: { steps: 36 } }
`;

let root: string;
let redis: QueueTestServer;
const workers: ChildProcess[] = [];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-queue-fleet-'));
  redis = await startRedis(root, 'open-sesame');
  await writeFile(join(root, 'fleet.yaml'), FLEET);
  await writeRows(root);
  await Promise.all([startWorker(), startWorker()]);
});
afterAll(async () => {
  for (const worker of workers) worker.kill('SIGKILL');
  await redis[Symbol.asyncDispose]();
  await rm(root, { recursive: true, force: true });
});

/** Resolves when it takes jobs. */
async function startWorker(): Promise<void> {
  const args = [...FROM_SOURCE, 'worker', '--queue', redis.urlWithPassword, '--store', join(root, 'store')];
  const worker = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  workers.push(worker);
  let said = '';
  await new Promise<void>((resolve, reject) => {
    worker.once('exit', (code) => reject(new Error(`the worker ended with ${code}: ${said}`)));
    worker.stderr!.on('data', (text: Buffer) => {
      said += text;
      if (said.includes('takes stages from')) resolve();
    });
  });
}

it('computes what targets share once, at both workers, and gives every target the results of one process', async () => {
  const fleet = (...args: string[]) => crosspatch(['fleet', join(root, 'fleet.yaml'), ...args]);
  const far = await fleet(
    '--out',
    join(root, 'far'),
    '--store',
    join(root, 'store'),
    '--queue',
    redis.urlWithPassword,
  );
  expect([far.code, far.err]).toEqual([0, far.err]);
  const started = [...far.err.matchAll(/^ {2}(\S+): started$/gm)].map(([, id]) => id);
  expect(new Set(started).size).toBe(started.length);
  expect(started.filter((id) => id?.endsWith('finetune.source'))).toHaveLength(1);
  const near = await fleet('--out', join(root, 'near/fleet'), '--quiet');
  expect([near.code, near.err]).toEqual([0, near.err]);
  const logs: string[] = [];
  for (const target of ['same', 'longer']) {
    const text = async (folder: string) => JSON.stringify(stableResults(await readResults(folder)));
    expect(await text(join(root, 'far', target)), target).toBe(await text(join(root, 'near/fleet', target)));
    logs.push(await readFile(join(root, 'far', target, 'log.jsonl'), 'utf8'));
  }
  expect(new Set([...logs.join('\n').matchAll(/"message":"at (\S+?)"/g)].map(([, at]) => at)).size).toBe(2);
  const file = fleetSchema.parse(JSON.parse(await readFile(join(root, 'far/fleet.json'), 'utf8')));
  expect(file.status).toBe('done');
  expect(file.stages?.shared).toBeGreaterThan(0);
  expect(
    await fleet('--out', join(root, 'far'), '--store', join(root, 'store'), '--queue', redis.urlWithPassword),
  ).toMatchObject({
    code: 0,
    err: expect.not.stringContaining('started'),
  });
});
