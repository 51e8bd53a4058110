/**
 * @file Every op through ONNX Runtime against the float64 interpreter, over random shapes (named sizes and broadcasting
 * included): fused f32 kernels, their decomposed form, f64; then the gradient of every op, and of a whole decoder block.
 * The two sides share no arithmetic. Tolerances, of the largest value: f32 3e-6 (24-bit sums of at most a hundred terms),
 * f64 1e-13.
 */
import { describe, expect, test } from 'vitest';
import { Rng } from '../../base/index.ts';
import { gradGraph } from '../grad.ts';
import { gradients } from '../gradients.ts';
import * as g from '../graph.ts';
import { interpret } from '../interpret.ts';
import { kernels } from '../kernels.ts';
import { type CompileOptions, compile } from '../session.ts';
import type { Tensor } from '../tensor.ts';
import { randomTensor, type Sample, sampleOp } from '../testing.ts';
import { emitOnnx } from './emit.ts';

const ROUNDS = 12;
const tolerance = { f32: 3e-6, f64: 1e-13 } as const;

/** Run a sample both ways; the worst difference of any output, relative to its largest value (at least 1). */
async function worstDifference({ graph, feeds }: Sample, options: CompileOptions): Promise<number> {
  const names = [...g.leavesOf(graph, 'weight').keys()];
  const weights = Object.fromEntries(names.map((name) => [name, feeds[name]]));
  await using session = await compile(graph, { ...options, threads: 1, weights });
  const got = await session.run(feeds);
  let worst = 0;
  for (const [name, wanted] of Object.entries(interpret(graph, feeds))) {
    const found = got[name];
    expect(found.shape, name).toEqual(wanted.shape);
    const want = Array.from(wanted.data, Number);
    const largest = want.reduce((m, v) => Math.max(m, Math.abs(v)), 1);
    want.forEach((w, i) => {
      const difference = Math.abs(Number(found.data[i]) - w) / largest;
      worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
    });
  }
  return worst;
}

/** A sample's gradients towards all its float leaves, with random seeds; the leaves are outputs too, which binds every named size. */
function backwards({ graph, feeds }: Sample, rng: Rng): Sample {
  const leaves = Object.fromEntries([...g.leavesOf(graph, 'input'), ...g.leavesOf(graph, 'weight')]);
  const kept = Object.fromEntries(Object.entries(leaves).map(([name, n]) => [`kept.${name}`, n]));
  const [output, y] = Object.entries(graph.outputs)[0];
  const dtype = y.dtype as 'f32' | 'f64';
  const { shape } = interpret(graph, feeds)[output] as Tensor;
  return {
    graph: gradGraph({
      name: `${graph.name} backwards`,
      forward: { name: graph.name, outputs: { ...graph.outputs, ...kept } },
      seeds: { [output]: g.input('seed', dtype, y.shape) },
      wrt: Object.keys(leaves).filter((name) => leaves[name]?.dtype === dtype),
      keep: Object.keys(kept),
    }),
    feeds: { ...feeds, seed: randomTensor(rng, dtype, shape) },
  };
}

const kinds = [
  { name: 'f32', dtype: 'f32', options: {} },
  { name: 'f32 decomposed', dtype: 'f32', options: { fused: false } },
  { name: 'f64', dtype: 'f64', options: {} },
] as const;

/** Ops that send no gradient back. */
const stepOps: readonly string[] = ['constant', 'less', 'equal', 'cast'];

describe.each(Object.keys(kernels) as g.Op[])('%s equals the interpreter', (op) => {
  test.each(kinds)('$name', async ({ name, dtype, options }) => {
    const rng = new Rng(11).fork(`${op} ${name}`);
    for (let i = 0; i < ROUNDS; i++)
      expect(await worstDifference(sampleOp(op, rng, dtype), options), `round ${i}`).toBeLessThan(
        tolerance[dtype],
      );
  });
});

describe.each((Object.keys(gradients) as g.Op[]).filter((op) => !stepOps.includes(op)))(
  'the gradient of %s equals the interpreter',
  (op) => {
    test.each(kinds)('$name', async ({ name, dtype, options }) => {
      const rng = new Rng(12).fork(`${op} ${name}`);
      for (let i = 0; i < ROUNDS / 2; i++) {
        const sample = backwards(sampleOp(op, rng, dtype), rng);
        expect(await worstDifference(sample, options), `round ${i}`).toBeLessThan(3 * tolerance[dtype]);
      }
    });
  },
);

/** A Llama block (arXiv 2307.09288 §2.2) with grouped heads and a soft-cap: x [B,T,D], 3 rows, 5 positions. */
function block(dtype: 'f32' | 'f64', rng: Rng): Sample {
  const [B, T, D, H, K, E, F] = [3, 5, 16, 4, 2, 4, 24];
  const feeds: Record<string, Tensor> = {};
  const leaf = (name: string, shape: readonly (string | number)[], sizes: number[]): g.Node => {
    feeds[name] = randomTensor(rng, dtype, sizes, 0.5);
    return g.input(name, dtype, shape);
  };
  const w = (name: string, ...shape: number[]): g.Node => leaf(name, shape, shape);
  const x = leaf('x', ['B', 'T', D], [B, T, D]);
  const cos = leaf('cos', [1, 'T', E / 2], [1, T, E / 2]);
  const sin = leaf('sin', [1, 'T', E / 2], [1, T, E / 2]);
  const mask = leaf('mask', ['B', 1, 'T', 'T'], [B, 1, T, T]);
  (feeds.mask as Tensor<'f32'>).data.forEach((_, i, data) => {
    data[i] = i % T > Math.floor(i / T) % T ? -1e9 : 0;
  });
  const normed = g.rmsNorm(x, w('norm1', D), 1e-5);
  const q = g.rotary(g.linear(normed, w('q', H * E, D)), cos, sin, { heads: H });
  const k = g.rotary(g.linear(normed, w('k', K * E, D)), cos, sin, { heads: K });
  const attrs = { heads: H, kvHeads: K, scale: E ** -0.5, softcap: 4 };
  const mixed = g.attention(q, k, g.linear(normed, w('v', K * E, D)), mask, attrs);
  const mid = g.add(x, g.linear(mixed, w('o', D, H * E)));
  const inner = g.rmsNorm(mid, w('norm2', D), 1e-5);
  const gated = g.mul(g.silu(g.linear(inner, w('gate', F, D))), g.linear(inner, w('up', F, D)));
  return { graph: { name: 'block', outputs: { y: g.add(mid, g.linear(gated, w('down', D, F))) } }, feeds };
}

describe('a whole block', () => {
  test.each(kinds)('$name, forwards and backwards', async ({ dtype, options }) => {
    const rng = new Rng(13);
    const sample = block(dtype, rng);
    expect(await worstDifference(sample, options)).toBeLessThan(tolerance[dtype]);
    expect(await worstDifference(backwards(sample, rng), options)).toBeLessThan(3 * tolerance[dtype]);
  });
});

describe('emission', () => {
  const x = g.input('x', 'f32', ['B', 4]);

  test('an input and an output of one name are refused', () => {
    expect(() => emitOnnx({ name: 'same', outputs: { x: g.neg(x) } })).toThrow(
      'emit same: an input and an output are both called x',
    );
  });

  test('a weight without bytes and a size that no input carries are named', () => {
    expect(() => emitOnnx({ name: 'bare', outputs: { y: g.weight('w', 'f32', [2]) } })).toThrow(
      'emit: no bytes were given for weight w',
    );
    expect(() =>
      emitOnnx({ name: 'free', outputs: { y: g.expand(g.scalar(1, 'f32'), ['N', 'B']) } }),
    ).toThrow('emit: size N is carried by no input');
  });

  test('an output that is used inside is not copied; a second name for it, or a leaf, is', async () => {
    const sum = g.add(x, x);
    const copies = (outputs: Record<string, g.Node>): number =>
      Buffer.from(emitOnnx({ name: 'named', outputs }))
        .toString('latin1')
        .split('Identity').length - 1;
    expect(copies({ sum, minus: g.neg(sum) })).toBe(0);
    const twice = { sum, again: sum, minus: g.neg(sum) };
    expect(copies(twice)).toBe(1);
    await using session = await compile({ name: 'named', outputs: { ...twice, one: g.scalar(1, 'f32') } });
    const row = Float32Array.of(1, 2, 3, 4);
    const got = await session.run({ x: { dtype: 'f32', shape: [1, 4], data: row } });
    for (const name of ['sum', 'again']) expect(got[name]?.data).toEqual(row.map((v) => 2 * v));
    expect(got.minus?.data).toEqual(row.map((v) => -2 * v));
    expect(got.one?.data).toEqual(Float32Array.of(1));
  });

  test('inputs whose names look like inner values do not collide with them', async () => {
    const odd = g.input('add_0', 'f32', [2]);
    await using session = await compile({ name: 'odd', outputs: { neg_1: g.neg(g.add(odd, odd)) } });
    const y = (await session.run({ add_0: { dtype: 'f32', shape: [2], data: Float32Array.of(1, 2) } })).neg_1;
    expect(Array.from(y?.data as Float32Array)).toEqual([-2, -4]);
  });
});
