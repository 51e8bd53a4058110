/**
 * @file `bench --against llama.cpp`: without node-llama-cpp, one line that names it; with it, the same file by both. The package is installed by
 * hand (bench/README.md): it and its binaries take hundreds of megabytes. No test judges a time.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { quantisedVariant } from '../models/quantised.helper.ts';
import type { AgainstFigures, Beside } from './bench/against.ts';
import { crosspatch } from './crosspatch.helper.ts';

const PACKAGE = 'node-llama-cpp';
const installed = await import(PACKAGE as string).then(
  () => true,
  () => false,
);
if (!installed) console.warn(`SKIPPED: bench beside llama.cpp; install ${PACKAGE} to run it`);

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-against-'));
  vi.stubEnv('CROSSPATCH_CACHE', join(root, 'cache'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

it.skipIf(installed)('names the package where it is not installed', async () => {
  const { code, out, err } = await crosspatch(['bench', '--against', 'llama.cpp', '--quiet']);
  expect([code, out]).toEqual([2, '']);
  expect(err).toMatch(
    /--against llama\.cpp: the package node-llama-cpp is not installed; npm install --ignore-scripts node-llama-cpp@3\.22\.1/,
  );
});

it('goes with no part of its own', async () => {
  const { code, err } = await crosspatch(['bench', '--against', 'llama.cpp', '--only', 'maps']);
  expect([code, err]).toEqual([2, expect.stringContaining('--against and --only: wanted one of them')]);
});

it.skipIf(!installed)(
  'times a quantised file in both arithmetics and in float32',
  async () => {
    await using model = await quantisedVariant();
    const bench = ['bench', '--against', 'llama.cpp', '--model', model.file, '--rounds', '1', '--quiet'];
    const { code, out, err } = await crosspatch([...bench, '--json']);
    expect([code, err]).toEqual([0, '']);
    const { exact, fast, f32, against } = JSON.parse(out) as AgainstFigures & { against: string };
    expect(against).toBe('llama.cpp');
    for (const way of [exact, fast, f32]) {
      if ('skipped' in way) throw new Error(way.skipped);
      for (const { ours, theirs, ratio } of [way.decode_1, way.decode_16, way.prefill] as Beside[]) {
        expect(Math.min(ours, theirs)).toBeGreaterThan(1);
        expect(ratio).toBeCloseTo(ours / theirs, 6); // of one turn
      }
    }
    expect(fast).toMatchObject({ guarded: { prompts: 16 } });
  },
  300_000,
);
