/** @file `doctor`: what the machine has, and what computes on it. */
import { availableParallelism } from 'node:os';
import { expect, it } from 'vitest';
import { crosspatch, crosspatchJson } from './crosspatch.helper.ts';

it('names the machine and what computes on it, or why not', async () => {
  const { machine, providers, packages, cache } = await crosspatchJson(['doctor']);
  expect(machine.cores).toBe(availableParallelism());
  expect(machine.available_memory_bytes).toBeLessThanOrEqual(machine.memory_bytes);
  expect(cache.bytes).toBeGreaterThanOrEqual(0);
  expect(packages.map(({ name }: { name: string }) => name)).toEqual([
    'bullmq',
    'ioredis',
    'pg',
    '@aws-sdk/client-s3',
    '@aws-sdk/lib-storage',
  ]);
  const found = new Map(providers.map((state: { provider: string }) => [state.provider, state]));
  expect([...found.keys()]).toEqual(['cpu', 'webgpu', 'cuda', 'coreml', 'dml']);
  expect(found.get('cpu')).toMatchObject({ works: true, error: expect.closeTo(0, 5) });
  if (process.platform !== 'win32')
    expect(found.get('dml')).toMatchObject({
      works: false,
      reason: expect.stringContaining('it needs Windows'),
    });
});

it('tries one alone', async () => {
  const { code, out } = await crosspatch(['doctor', '--only', 'cpu']);
  expect(code).toBe(0);
  expect(out).toMatch(/^provider +here +how.*\ncpu +computes +within \d\.\de-\d of float64\n$/);
  expect((await crosspatch(['doctor', '--only', 'abacus'])).code).toBe(2);
});
