import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expandToy } from '../../test/suites/toy-stages.ts';
import { parseRecipe } from '../contracts/index.ts';
import { runExperiment } from '../pipeline/index.ts';
import { crosspatch } from './crosspatch.helper.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-queue-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

it('code of a queue is loaded when one is asked for, and not before', async () => {
  const loaded = () =>
    Object.keys(createRequire(import.meta.url).cache).filter((path) =>
      /[\\/](bullmq|ioredis|pg)[\\/]/.test(path),
    );
  const parsed = parseRecipe([{ file: 'toy.yaml', text: 'name: toy\nmodels: { source: a, target: b }\n' }]);
  await runExperiment({ parsed, expand: expandToy, out: join(root, 'run'), jobs: 1 });
  expect(loaded()).toEqual([]);
  // Nothing listens on port 1.
  const address = 'redis://:secret@127.0.0.1:1';
  const { code, err } = await crosspatch(['run', 'quick', '--out', join(root, 'far'), '--queue', address]);
  expect(code).toBe(2);
  expect(err).toMatch(
    /^error: redis:\/\/127\.0\.0\.1:1: Redis cannot be reached; .*ECONNREFUSED.* \[queue-unreachable\]\n$/,
  );
  expect(err).not.toContain('secret');
  expect(loaded()).not.toEqual([]);
});

it.each([
  [['run', 'quick', '--queue-password-env', 'X'], 'option-missing'],
  [['run', 'quick', '--queue', 'redis://x', '--queue-password-env', 'NO_SUCH_VARIABLE'], 'option-invalid'],
  [['run', 'quick', '--queue', 'postgres://x'], 'option-invalid'],
  [['run', 'quick', '--queue', 'amqp://x'], 'option-invalid'],
  [['worker', '--queue', 'redis://x', '--store', 'y', '--memory', 'lots'], 'option-invalid'],
  [['worker', '--store', 'y'], 'usage'],
])('%j: %s', async (argv, id) => {
  const { code, err } = await crosspatch([...argv]);
  expect([code, err]).toEqual([2, expect.stringContaining(id === 'usage' ? '--queue' : `[${id}]`)]);
});
