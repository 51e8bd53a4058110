/** @file Every rule against central differences in float64; what has no gradient; the walker's own promises. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Rng } from '../base/index.ts';
import { gradGraph, vjp } from './grad.ts';
import { gradients } from './gradients.ts';
import * as g from './graph.ts';
import { interpret } from './interpret.ts';
import { graphHash } from './print.ts';
import { f32, f64, i64, type Tensor, tensor } from './tensor.ts';
import { directionalDerivative, dot, randomTensor, type Sample, sampleOp } from './testing.ts';

const x = (shape: readonly (number | string)[], name = 'x'): g.Node => g.input(name, 'f64', shape);
const one = g.scalar(1, 'f64');

const stepOps: readonly g.Op[] = ['constant', 'less', 'equal', 'cast'];
const smoothOps = (Object.keys(gradients) as g.Op[]).filter((op) => !stepOps.includes(op));

/**
 * The gradient of Σ seed·y (random seed) towards each float leaf against the difference along a random line. The largest
 * error, relative where the slope exceeds 1; infinite when a gradient has another shape than its leaf.
 */
function worstError({ graph, feeds }: Sample, rng: Rng): number {
  const y = graph.outputs.y;
  const values = interpret(graph, feeds).y as Tensor<'f64'>;
  const weights = values.data.map(() => rng.normal());
  const leaves = Object.fromEntries([...g.leavesOf(graph, 'input'), ...g.leavesOf(graph, 'weight')]);
  const slopes = gradGraph({
    name: 'slopes',
    forward: { name: graph.name, outputs: { ...leaves, y } },
    seeds: { y: g.input('seed.y', y.dtype, y.shape) },
    wrt: Object.keys(leaves).filter((name) => leaves[name]?.dtype === 'f64'),
    keep: Object.keys(leaves), // binds the named sizes whatever the gradient needs
  });
  const results = interpret(slopes, { ...feeds, 'seed.y': tensor('f64', values.shape, weights) });
  let worst = 0;
  for (const [name, leaf] of Object.entries(leaves)) {
    if (leaf.dtype !== 'f64') continue;
    const slope = results[`grad.${name}`] as Tensor<'f64'>;
    const at = feeds[name] as Tensor<'f64'>;
    if (slope.shape.join() !== at.shape.join()) return Number.POSITIVE_INFINITY;
    const direction = at.data.map(() => rng.normal() / Math.sqrt(at.data.length));
    const numeric = directionalDerivative(graph, feeds, { y: weights }, name, direction);
    const error = Math.abs(dot(slope.data, direction) - numeric) / Math.max(1, Math.abs(numeric));
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

describe('each rule equals central differences', () => {
  test.each(smoothOps)('%s', (op) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e9 }), (seed) => {
        const rng = new Rng(seed);
        expect(worstError(sampleOp(op, rng), rng)).toBeLessThan(1e-8);
      }),
      { seed: 11, numRuns: 30 },
    );
  });
});

describe('matmul in every orientation, batch on either side', () => {
  const batches: [number[], number[]][] = [
    [[], []],
    [[2], []],
    [[], [2]],
    [[2], [2]],
    [[3, 1], [2]],
  ];
  const flags = [false, true];
  const cases = batches.flatMap(([p, q]) =>
    flags.flatMap((transA) => flags.map((transB) => ({ p, q, transA, transB }))),
  );
  test.each(cases)('$p×$q transA=$transA transB=$transB', ({ p, q, transA, transB }) => {
    const rng = new Rng(1);
    const [m, k, n] = [2, 3, 4];
    const feeds = {
      a: randomTensor(rng, 'f64', [...p, ...(transA ? [k, m] : [m, k])]),
      b: randomTensor(rng, 'f64', [...q, ...(transB ? [n, k] : [k, n])]),
    };
    const y = g.matmul(x(feeds.a.shape, 'a'), x(feeds.b.shape, 'b'), { transA, transB });
    expect(worstError({ graph: { name: 'matmul', outputs: { y } }, feeds }, rng)).toBeLessThan(1e-8);
  });
});

/** Gradient of Σy towards `wrt`, as numbers. */
function slope(y: g.Node, wrt: g.Node, feeds: Record<string, Tensor>): number[] {
  const [dx] = vjp({ y }, { of: { y: g.expand(one, y.shape) }, wrt: [wrt] });
  return Array.from(interpret({ name: 't', outputs: { dx: dx } }, feeds).dx?.data ?? [], Number);
}

describe('ties and steps, as documented', () => {
  test('relu at 0 has gradient 0', () => {
    const a = x([3]);
    expect(slope(g.relu(a), a, { x: f64([3], [-1, 0, 1]) })).toEqual([0, 0, 1]);
  });

  test('maximum sends a tie to its first argument', () => {
    const [a, b] = [x([3], 'a'), x([3], 'b')];
    const feeds = { a: f64([3], [1, 2, 3]), b: f64([3], [3, 2, 1]) };
    expect(slope(g.maximum(a, b), a, feeds)).toEqual([0, 1, 1]);
    expect(slope(g.maximum(a, b), b, feeds)).toEqual([1, 0, 0]);
  });

  test('reduceMax shares the gradient among ties', () => {
    const a = x([2, 3]);
    expect(slope(g.reduceMax(a, [1]), a, { x: f64([2, 3], [5, 5, 1, 0, 2, 1]) })).toEqual([
      0.5, 0.5, 0, 0, 1, 0,
    ]);
  });

  test('a cast between f32 and f64 passes the gradient in the dtype of its input', () => {
    const a = g.input('a', 'f32', [2]);
    const y = g.cast(a, 'f64');
    const [da] = vjp({ y }, { of: { y: g.constant(f64([2], [3, 4])) }, wrt: [a] });
    expect(da?.dtype).toBe('f32');
    const out = interpret({ name: 't', outputs: { da: da } }, { a: f32([2], [1, 2]) });
    expect(out.da?.data).toEqual(Float64Array.of(3, 4));
  });

  const ids = g.input('ids', 'i64', [2]);
  const table = x([3, 2], 'table');
  const a = x([2]);
  const asFloat = (condition: g.Node): g.Node => g.cast(condition, 'f64');
  test.each<[string, g.Node, g.Node]>([
    ['less', asFloat(g.less(a, one)), a],
    ['equal', asFloat(g.equal(a, one)), a],
    ['cast to i64 and back', asFloat(g.cast(a, 'i64')), a],
    ['the condition of where', g.where(g.less(a, one), x([2], 'b'), one), a],
    ['the ids of gatherRows', g.gatherRows(table, ids), ids],
    ['the ids of scatterRows', g.scatterRows(ids, x([2, 2], 'u'), 3), ids],
    ['an f16 weight', g.cast(g.weight('a', 'f16', [2]), 'f64'), g.weight('a', 'f16', [2])],
  ])('no gradient flows through %s', (_, y, wrt) => {
    expect(() => slope(y, wrt, {})).toThrow(/^vjp: no gradient flows from y to (input|weight) /);
  });
});

describe('vjp', () => {
  test('several uses add up, on every path', () => {
    // d(x² + x³) = (2x + 3x²)·dx
    const a = x([2]);
    const square = g.mul(a, a);
    expect(slope(g.add(square, g.mul(square, a)), a, { x: f64([2], [2, -1]) })).toEqual([16, 1]);
  });

  test('gradients of several outputs add up, each with its seed', () => {
    const a = x([]);
    const outputs = { double: g.scale(a, 2), square: g.mul(a, a), unused: g.exp(a) };
    const [da] = vjp(outputs, { of: { double: g.scalar(10, 'f64'), square: one }, wrt: [a] });
    expect(interpret({ name: 't', outputs: { da: da } }, { x: f64([], [3]) }).da?.data[0]).toBe(26);
  });

  test('differentiates towards nodes in between, and their own inputs at once', () => {
    const a = x([]);
    const h = g.mul(a, a);
    const [dh, da] = vjp({ y: g.exp(h) }, { of: { y: one }, wrt: [h, a] }) as [g.Node, g.Node];
    const out = interpret({ name: 't', outputs: { dh, da } }, { x: f64([], [0.5]) });
    expect(out.dh?.data[0]).toBeCloseTo(Math.exp(0.25), 14);
    expect(out.da?.data[0]).toBeCloseTo(Math.exp(0.25), 14); // 2x = 1
  });

  test('shares the forward pass: d(eˣ) holds the very node eˣ', () => {
    const a = x([]);
    const y = g.exp(a);
    const [da] = vjp({ y }, { of: { y: one }, wrt: [a] }) as [g.Node];
    expect(g.topological({ name: 't', outputs: { da } })).toContain(y);
  });

  test('sums over broadcast axes: a name against 1 and against no axis', () => {
    const [column, bias] = [x([1, 2], 'column'), x([2], 'bias')];
    const y = g.add(g.add(x(['B', 2]), column), bias);
    const feeds = { x: f64([3, 2], [1, 2, 3, 4, 5, 6]), column: f64([1, 2], [0, 0]), bias: f64([2], [0, 0]) };
    for (const wrt of [column, bias]) {
      const [d] = vjp({ y }, { of: { y: x(['B', 2]) }, wrt: [wrt] }) as [g.Node];
      const out = interpret({ name: 't', outputs: { d } }, feeds).d;
      expect([out?.shape, out?.data]).toEqual([wrt.shape, Float64Array.of(9, 12)]);
    }
  });

  test('repeated ids add up in the gradient of a table', () => {
    const table = x([3, 1], 'table');
    const y = g.gatherRows(table, g.input('ids', 'i64', ['T']));
    expect(slope(y, table, { table: f64([3, 1], [0, 0, 0]), ids: i64([3], [2, 0, 2]) })).toEqual([1, 0, 2]);
  });

  test('refuses a seed that does not fit and an output that does not exist', () => {
    const a = x(['B', 2]);
    expect(() => vjp({ y: a }, { of: { y: one }, wrt: [a] })).toThrow(
      'vjp: seed of y: wanted f64[B,2], got f64[]',
    );
    expect(() => vjp({ y: a }, { of: { z: one }, wrt: [a] })).toThrow(
      'vjp: there is no output z; there are y',
    );
  });
});

describe('gradGraph', () => {
  const a = x(['B', 2], 'a');
  const w = g.weight('w', 'f64', [2]);
  const forward: g.Graph = { name: 'f', outputs: { y: g.mul(a, w) } };
  const seeds = { y: x(['B', 2], 'seed.y') };

  test('names gradients after their leaves, keeps outputs on request, and builds the same graph again', () => {
    const build = (): g.Graph => gradGraph({ name: 'd', forward, seeds, wrt: ['w', 'a'], keep: ['y'] });
    expect(Object.keys(build().outputs)).toEqual(['y', 'grad.w', 'grad.a']);
    expect(graphHash(build())).toBe(graphHash(build()));
  });

  test('refuses unknown leaves and sizes nothing binds', () => {
    expect(() => gradGraph({ name: 'd', forward, seeds, wrt: ['v'] })).toThrow(
      'f has no input or weight v; it has a, w',
    );
    const sum = { name: 's', outputs: { y: g.reduceSum(a, [0, 1]) } };
    expect(() => gradGraph({ name: 'd', forward: sum, seeds: { y: one }, wrt: ['a'] })).toThrow(
      'gradGraph d: expand to [B,2] uses B, which no input of the gradient binds; keep an input that has it, or seed with one',
    );
  });
});
