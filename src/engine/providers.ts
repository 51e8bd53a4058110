/** @file Which provider models run on, which ones compute on this machine, and how exactly: a small product on each, beside the float64 interpreter. */
import { InputError } from '../base/index.ts';
import { input, linear, silu } from './graph.ts';
import { interpret } from './interpret.ts';
import { compile, type Provider } from './session.ts';
import { f32 } from './tensor.ts';

/** Every provider, the one that is always there first. */
export const PROVIDERS = ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'] as const satisfies readonly Provider[];

/** Names the provider of every model that is opened without one; processes that are started inherit it. */
export const PROVIDER_VARIABLE = 'CROSSPATCH_PROVIDER';

/**
 * The provider models run on where nothing else is said: that of `CROSSPATCH_PROVIDER`, else `cpu`. Fits of maps and statistics are float64 and
 * stay on the CPU.
 *
 * @throws InputError for a provider nobody knows
 */
export function modelProvider(): Provider {
  const name = process.env[PROVIDER_VARIABLE] || 'cpu';
  const known = PROVIDERS.find((provider) => provider === name);
  if (known === undefined)
    throw new InputError(
      `${PROVIDER_VARIABLE}: wanted one of ${PROVIDERS.join(', ')}, got ${JSON.stringify(name)}`,
      {
        id: 'provider-unavailable',
      },
    );
  return known;
}

const [ROWS, WIDTH] = [16, 64];

/**
 * Compute silu(x·Wᵀ) of [16, 64] and [64, 64] on a provider; gives the largest difference from float64, as a share of the largest result.
 *
 * @throws InputError where the provider cannot be had on this machine, with the runtime's reason
 */
export async function tryProvider(provider: Provider): Promise<number> {
  const [x, w] = [input('x', 'f32', [ROWS, WIDTH]), input('w', 'f32', [WIDTH, WIDTH])];
  const graph = { name: 'try', outputs: { y: silu(linear(x, w)) } };
  const wave = (rows: number, step: number) =>
    f32(
      [rows, WIDTH],
      Array.from({ length: rows * WIDTH }, (_, i) => Math.sin(1 + step * i)),
    );
  const feeds = { x: wave(ROWS, 0.7), w: wave(WIDTH, 1.3) };
  await using session = await compile(graph, { provider, fused: false });
  const found = (await session.run(feeds)).y;
  const wanted = interpret(graph, feeds).y;
  const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const right = Array.from(wanted?.data ?? [], Number);
  return most(right.map((value, i) => Number(found?.data[i]) - value)) / most(right);
}
