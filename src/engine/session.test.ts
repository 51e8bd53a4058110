/** @file Sessions: in-place outputs, errors that name the input and the shapes, providers, sharing, disposal. */
import { describe, expect, test } from 'vitest';
import { InputError } from '../base/index.ts';
import { add, concat, type Graph, gatherRows, input, linear, neg, scale, weight } from './graph.ts';
import { interpret } from './interpret.ts';
import { tryProvider } from './providers.ts';
import { compile, handle, type Provider } from './session.ts';
import { f32, f64, i64, type Tensor, zeros } from './tensor.ts';

const x = input('x', 'f32', ['B', 3]);
const y = input('y', 'f32', ['B', 3]);
const sum: Graph = { name: 'sum', outputs: { z: add(x, y) } };

const rows = (n: number): Tensor<'f32'> =>
  f32(
    [n, 3],
    Array.from({ length: 3 * n }, (_, i) => i),
  );

describe('running', () => {
  test('an output is written into the tensor given', async () => {
    await using session = await compile(sum);
    const z = zeros('f32', [2, 3]);
    await session.runHandles({ x: rows(2), y: rows(2) }, { z: handle(z) });
    expect(Array.from(z.data)).toEqual([0, 2, 4, 6, 8, 10]);
  });

  test('fill computes only the outputs it is given targets for', async () => {
    const two: Graph = { name: 'two', outputs: { z: add(x, y), minus: neg(x) } };
    await using session = await compile(two);
    const minus = zeros('f32', [1, 3]);
    await session.fill({ x: rows(1), y: rows(1) }, { minus });
    expect(Array.from(minus.data)).toEqual([-0, -1, -2]);
    await expect(session.fill({ x: rows(1), y: rows(1) }, { other: minus })).rejects.toThrow(
      'no output other',
    );
  });

  test('handles given again are read again; others are checked anew', async () => {
    await using session = await compile(sum);
    const [a, z] = [rows(1), zeros('f32', [1, 3])];
    const feeds = { x: handle(a), y: handle(rows(1)) };
    const into = { z: handle(z) };
    await session.fill(feeds, into);
    a.data.fill(10);
    await session.fill(feeds, into);
    expect(Array.from(z.data)).toEqual([10, 11, 12]);
    await expect(session.fill({ ...feeds, y: handle(rows(2)) }, into)).rejects.toThrow('session sum');
    await expect(session.fill(feeds, { z: handle(zeros('f32', [2, 3])) })).rejects.toThrow(
      'output z is f32[1,3]',
    );
    const other = zeros('f32', [2, 3]);
    await session.fill({ x: rows(2), y: rows(2) }, { z: other });
    expect(Array.from(other.data)).toEqual([0, 2, 4, 6, 8, 10]);
    // as many targets as before, but for nothing that was asked for
    expect(Object.keys(await session.runHandles(feeds))).toEqual(['z']);
  });

  test('sizes that are names join under a name, also with nothing on one side', async () => {
    const past = input('past', 'f32', ['P', 3]);
    const whole = input('whole', 'f32', ['S', 3]);
    const graph: Graph = { name: 'join', outputs: { z: add(concat([past, x], 0, 'S'), whole) } };
    await using session = await compile(graph);
    for (const n of [0, 1, 5]) {
      const feeds = { past: rows(n), x: rows(2), whole: rows(n + 2) };
      const z = (await session.run(feeds)).z;
      expect(z.shape).toEqual([n + 2, 3]);
      expect(Array.from(z.data, Number)).toEqual(Array.from(interpret(graph, feeds).z?.data ?? [], Number));
    }
    expect(() => concat([past, x], 0)).toThrow('does not join');
  });

  test('allocate gives tensors of the shapes that come out', async () => {
    await using session = await compile(sum);
    expect(session.allocate({ x: rows(4), y: rows(4) })).toEqual({ z: zeros('f32', [4, 3]) });
  });

  test('weights are copied from tensors', async () => {
    const graph = { name: 'w', outputs: { z: linear(x, weight('w', 'f32', [1, 3])) } };
    await using session = await compile(graph, { weights: { w: f32([1, 3], [1, 10, 100]) } });
    expect(Array.from((await session.run({ x: rows(1) })).z?.data as Float32Array)).toEqual([210]);
  });
});

describe('errors say which session, which input, wanted and got', () => {
  const wrong: readonly (readonly [string, Record<string, Tensor>, Record<string, Tensor>, string])[] = [
    ['missing', { x: rows(1) }, {}, 'session sum: input y f32[B,3] was not fed'],
    ['dtype', { x: rows(1), y: f64([1, 3], [0, 0, 0]) }, {}, 'session sum: input y wants f32, got f64'],
    [
      'shape',
      { x: rows(1), y: f32([3], [1, 2, 3]) },
      {},
      'session sum: input y: wanted shape [B,3], got [3]',
    ],
    [
      'named size (the runtime would have broadcast it)',
      { x: rows(1), y: rows(2) },
      {},
      'session sum: input y: B is 1 elsewhere, but shape [2,3] makes it 2',
    ],
    ['unknown target', { x: rows(1), y: rows(1) }, { zz: rows(1) }, 'session sum: no output zz; it has z'],
    [
      'target of another shape',
      { x: rows(1), y: rows(1) },
      { z: rows(2) },
      'session sum: output z is f32[1,3], its target f32[2,3]',
    ],
  ];
  test.each(wrong)('%s', async (_, feeds, into, message) => {
    await using session = await compile(sum);
    await expect(session.run(feeds, into)).rejects.toThrow(message);
  });

  test('what the runtime finds is repeated with the shapes fed', async () => {
    const graph = {
      name: 'rows',
      outputs: { z: gatherRows(input('t', 'f32', [2, 3]), input('i', 'i64', ['N'])) },
    };
    await using session = await compile(graph);
    await expect(session.run({ t: rows(2), i: i64([1], [7]) })).rejects.toThrow(
      /^session rows: failed on cpu with t f32\[2,3\], i i64\[1\]: .*indices element out of data bounds/,
    );
  });

  test('a weight file that is not there', async () => {
    const graph = { name: 'w', outputs: { z: linear(x, weight('w', 'f32', [1, 3])) } };
    const w = { file: 'none.safetensors', offset: 0, byteLength: 12 };
    await expect(compile(graph, { weights: { w }, weightsFolder: import.meta.dirname })).rejects.toThrow(
      /^session w: the model could not be loaded on cpu: .*none\.safetensors/,
    );
    await expect(compile(graph, { weights: { w }, weightsFolder: '/nowhere' })).rejects.toThrow(InputError);
  });
});

describe('providers', () => {
  const absent = (['coreml', 'dml'] as const).filter(
    (p) => process.platform !== { coreml: 'darwin', dml: 'win32' }[p],
  );
  test.each(absent)('%s, where it cannot be, is one clear line of input error', async (provider) => {
    const failure = compile(sum, { provider });
    await expect(failure).rejects.toThrow(InputError);
    await expect(failure).rejects.toThrow(
      new RegExp(`^provider ${provider} cannot be had on this machine; it needs \\w+; take cpu`),
    );
  });

  test('tried with a product, as near to float64 as float32 is', async () => {
    const error = await tryProvider('cpu');
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(1e-5);
    for (const provider of absent) await expect(tryProvider(provider)).rejects.toThrow('cannot be had');
  });

  test('a provider nobody knows', async () => {
    await expect(compile(sum, { provider: 'tpu' as Provider })).rejects.toThrow(
      'provider: wanted one of cpu, webgpu, cuda, coreml, dml, got "tpu"',
    );
  });
});

describe('ownership', () => {
  test('a disposed session refuses to run; disposing twice is harmless', async () => {
    const session = await compile(sum);
    await session[Symbol.asyncDispose]();
    await session[Symbol.asyncDispose]();
    await expect(session.run({ x: rows(1), y: rows(1) })).rejects.toThrow('session sum: already disposed');
  });

  test('equal graphs share a native session until the last owner goes', async () => {
    const build = (): Graph => ({
      name: 'shared',
      outputs: { z: scale(neg(input('x', 'f32', ['B', 3])), 2) },
    });
    const [first, second] = await Promise.all([compile(build()), compile(build())]);
    await first[Symbol.asyncDispose]();
    expect(Array.from((await second.run({ x: rows(1) })).z?.data as Float32Array)).toEqual([-0, -2, -4]);
    await second[Symbol.asyncDispose]();
    await using third = await compile(build());
    expect((await third.run({ x: rows(2) })).z?.shape).toEqual([2, 3]);
  });
});
