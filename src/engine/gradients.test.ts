/** @file Whole pieces of a decoder, differentiated in float64: a Llama-like block, and a two-block model with its loss. */
import { expect, test } from 'vitest';
import { Rng } from '../base/index.ts';
import { gradGraph } from './grad.ts';
import * as g from './graph.ts';
import { interpret } from './interpret.ts';
import type { Shape } from './shape.ts';
import { f64, i64, sizeOf, type Tensor, tensor } from './tensor.ts';
import { directionalDerivative, dot, randomTensor } from './testing.ts';

// B batch, T token, D model, H query heads, K key heads, Dh head size, F hidden, V vocabulary
const [B, T, D, H, K, Dh, F, V] = [2, 4, 8, 4, 2, 4, 6, 7];

/** Inputs made once a name, with their values: weights are inputs, as in training. */
class Leaves {
  readonly feeds: Record<string, Tensor> = {};
  readonly #rng: Rng;
  readonly #nodes = new Map<string, g.Node>();

  constructor(rng: Rng) {
    this.#rng = rng;
  }

  /** Random weights: gains near 1, matrices near 0. */
  weight(name: string, ...shape: number[]): g.Node {
    const noise = randomTensor(this.#rng, 'f64', shape, 0.4) as Tensor<'f64'>;
    const values =
      shape.length === 1
        ? tensor(
            'f64',
            shape,
            noise.data.map((v) => 1 + v),
          )
        : noise;
    return this.input(name, shape, values);
  }

  input(name: string, shape: Shape, values: Tensor): g.Node {
    const known = this.#nodes.get(name);
    if (known !== undefined) return known;
    const made = g.input(name, values.dtype, shape);
    this.#nodes.set(name, made);
    this.feeds[name] = values;
    return made;
  }
}

/** Rotary angles θ = t·100^(−2i/Dh), cos or sin: [1,T,Dh/2]. */
function angles(of: (theta: number) => number): Tensor {
  const half = Dh / 2;
  const theta = (i: number): number => Math.floor(i / half) * 100 ** (-(i % half) / half);
  return f64(
    [1, T, half],
    Array.from({ length: T * half }, (_, i) => of(theta(i))),
  );
}

/** Causal, and the last token of the second row is padding: [B,1,T,T]. */
function causalMask(): Tensor {
  const hidden = (b: number, t: number, s: number): boolean => s > t || (b === 1 && s === T - 1);
  const at = (i: number): boolean => hidden(Math.floor(i / T / T), Math.floor(i / T) % T, i % T);
  return f64(
    [B, 1, T, T],
    Array.from({ length: B * T * T }, (_, i) => (at(i) ? -1e9 : 0)),
  );
}

/** h + attention(norm h), then + SwiGLU(norm h): [B,T,D] → [B,T,D], the layout of Llama 2 (arXiv 2307.09288 §2.2). */
function block(x: g.Node, at: string, leaves: Leaves, softcap?: number): g.Node {
  const w = (name: string, ...shape: number[]): g.Node => leaves.weight(`${at}.${name}`, ...shape);
  const cos = leaves.input('cos', [1, 'T', Dh / 2], angles(Math.cos));
  const sin = leaves.input('sin', [1, 'T', Dh / 2], angles(Math.sin));
  const mask = leaves.input('mask', ['B', 1, 'T', 'T'], causalMask());
  const normed = g.rmsNorm(x, w('norm1', D), 1e-5);
  const q = g.rotary(g.linear(normed, w('q', H * Dh, D)), cos, sin, { heads: H });
  const k = g.rotary(g.linear(normed, w('k', K * Dh, D)), cos, sin, { heads: K });
  const v = g.linear(normed, w('v', K * Dh, D));
  const attrs = { heads: H, kvHeads: K, scale: Dh ** -0.5, softcap };
  const mid = g.add(x, g.linear(g.attention(q, k, v, mask, attrs), w('o', D, H * Dh)));
  const normedMid = g.rmsNorm(mid, w('norm2', D), 1e-5);
  const hidden = g.mul(g.silu(g.linear(normedMid, w('gate', F, D))), g.linear(normedMid, w('up', F, D)));
  return g.add(mid, g.linear(hidden, w('down', D, F)));
}

/**
 * The leaves of `wrt` whose gradient errs by 1e-9 or more along one of three random lines, against central differences and
 * relative to the gradient's length. A gradient that vanishes counts as an error.
 */
function wrongGradients(
  forward: g.Graph,
  feeds: Record<string, Tensor>,
  wrt: readonly string[],
  rng: Rng,
): string[] {
  const [output, y] = Object.entries(forward.outputs)[0];
  const values = interpret(forward, feeds)[output] as Tensor<'f64'>;
  const seed = values.data.map(() => rng.normal());
  const slopes = interpret(
    gradGraph({ name: 'slopes', forward, seeds: { [output]: g.input('seed', 'f64', y.shape) }, wrt }),
    { ...feeds, seed: tensor('f64', values.shape, seed) },
  );
  const errorOf = (name: string): number => {
    const slope = (slopes[`grad.${name}`] as Tensor<'f64'>).data;
    const raw = slope.map(() => rng.normal());
    const line = raw.map((v) => v / Math.sqrt(dot(raw, raw)));
    const numeric = directionalDerivative(forward, feeds, { [output]: seed }, name, line);
    return Math.abs(dot(slope, line) - numeric) / Math.sqrt(dot(slope, slope));
  };
  return wrt.flatMap((name) => {
    const errors = [errorOf(name), errorOf(name), errorOf(name)];
    return errors.every((e) => e < 1e-9) ? [] : [`${name}: ${errors.join(' ')}`];
  });
}

test.each([undefined, 2])(
  'a block: rotary, causal grouped attention (soft-cap %s), SwiGLU, residuals',
  (cap) => {
    const rng = new Rng(3);
    const leaves = new Leaves(rng);
    const x = leaves.input('x', ['B', 'T', D], randomTensor(rng, 'f64', [B, T, D]));
    const forward = { name: 'block', outputs: { y: block(x, 'b', leaves, cap) } };
    const wrt = Object.keys(leaves.feeds).filter((name) => name !== 'mask');
    expect(wrongGradients(forward, leaves.feeds, wrt, rng)).toEqual([]);
  },
);

test('a two-block model: embedding, final norm, tied head and cross entropy of the next token', () => {
  const rng = new Rng(4);
  const leaves = new Leaves(rng);
  const drawn = Array.from({ length: B * T }, () => rng.int(V));
  const ids = leaves.input('ids', ['B', 'T'], i64([B, T], drawn));
  const table = leaves.weight('embed', V, D);
  const h = [0, 1].reduce((x, i) => block(x, `blocks.${i}`, leaves), g.gatherRows(table, ids));
  const logits = g.linear(g.rmsNorm(h, leaves.weight('norm', D), 1e-5), table); // [B,T,V]
  const largest = g.reduceMax(logits, [-1], { keepDims: true }); // [B,T,1]
  const total = g.reduceSum(g.exp(g.sub(logits, largest)), [-1], { keepDims: true });
  const logSum = g.add(g.log(total), largest);
  const targets = f64(
    [B, T, V],
    Array.from({ length: sizeOf([B, T, V]) }, () => 0),
  );
  for (let i = 0; i < B * T; i++) targets.data[i * V + drawn[(i + 1) % drawn.length]] = 1 / (B * T);
  const weights = leaves.input('targets', ['B', 'T', V], targets);
  const loss = g.reduceSum(g.mul(weights, g.sub(logSum, logits)), [0, 1, 2]);
  const trained = Object.keys(leaves.feeds).filter(
    (n) => !['ids', 'cos', 'sin', 'mask', 'targets'].includes(n),
  );
  expect(trained).toHaveLength(2 + 2 * 9);
  expect(wrongGradients({ name: 'model', outputs: { loss } }, leaves.feeds, trained, rng)).toEqual([]);
});
