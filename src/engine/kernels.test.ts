/** @file Each kernel against a closed form or an independent loop over multi-indices; random samples of every op must agree with their own shape. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Rng } from '../base/index.ts';
import * as g from './graph.ts';
import { interpret } from './interpret.ts';
import { kernels } from './kernels.ts';
import type { Shape } from './shape.ts';
import { f32, f64, i64, type Tensor, tensor } from './tensor.ts';
import { maxDifference, sampleOp } from './testing.ts';

const x = (shape: Shape, name = 'x'): g.Node => g.input(name, 'f64', shape);

/** The elements of the only output. */
function run(y: g.Node, feeds: Record<string, Tensor> = {}): number[] {
  return Array.from(interpret({ name: 't', outputs: { y } }, feeds).y?.data ?? [], Number);
}

/** Value at a multi-index, computed from the definition of row-major order; axes of size 1 broadcast, missing ones too. */
function at(t: Tensor, index: readonly number[]): number {
  const own = index.slice(index.length - t.shape.length);
  return Number(t.data[own.reduce((flat, i, a) => flat * (t.shape[a] ?? 1) + (t.shape[a] === 1 ? 0 : i), 0)]);
}

/** All multi-indices of `shape`, in row-major order. */
function indices(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (all, n) => all.flatMap((i) => Array.from({ length: n }, (_, j) => [...i, j])),
    [[]],
  );
}

/** One random sample, run: its node, its output, and a reader of its fed operands. */
function trial<O extends g.Op>(op: O, seed: number) {
  const { graph, feeds } = sampleOp(op, new Rng(seed));
  const y = graph.outputs.y as g.Node<O>;
  const out = interpret(graph, feeds).y as Tensor<'f64'>;
  const operand = (i: number): Tensor => {
    const leaf = y.inputs[i];
    if (leaf === undefined || !g.isOp(leaf, 'input')) throw new Error(`operand ${i} is no input`);
    return feeds[leaf.attrs.name];
  };
  return { y, out, operand };
}

const seeds = fc.integer({ min: 0, max: 1e9 });
const repeat = (check: (seed: number) => void): void =>
  fc.assert(fc.property(seeds, check), { seed: 7, numRuns: 25 });

describe('elementwise kernels', () => {
  const values = f64([5], [-2, -0.5, 0, 0.5, 2]);
  const positive = f64([3], [0.25, 1, 4]);
  test('unary ops follow their closed forms', () => {
    const on = (make: (n: g.Node) => g.Node, t: Tensor): number[] => run(make(x(t.shape)), { x: t });
    expect(on(g.neg, values)).toEqual([2, 0.5, -0, -0.5, -2]);
    expect(on(g.exp, values)).toEqual(
      [Math.E ** -2, Math.E ** -0.5, 1, Math.E ** 0.5, Math.E ** 2].map((v) => expect.closeTo(v, 13)),
    );
    expect(on(g.log, positive)).toEqual([-2 * Math.LN2, 0, 2 * Math.LN2]);
    expect(on(g.sqrt, positive)).toEqual([0.5, 1, 2]);
    expect(on(g.reciprocal, positive)).toEqual([4, 1, 0.25]);
    expect(on(g.relu, values)).toEqual([0, 0, 0, 0.5, 2]);
    // tanh x = (e²ˣ − 1)/(e²ˣ + 1); σ(x) = (1 + tanh(x/2))/2
    const tanh = (v: number): number => (Math.exp(2 * v) - 1) / (Math.exp(2 * v) + 1);
    expect(maxDifference(on(g.tanh, values), Array.from(values.data, tanh))).toBeLessThan(1e-15);
    expect(
      maxDifference(
        on(g.sigmoid, values),
        Array.from(values.data, (v) => (1 + tanh(v / 2)) / 2),
      ),
    ).toBeLessThan(1e-15);
  });

  const pairs: Record<string, (a: number, b: number) => number> = {
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => a * b,
    div: (a, b) => a / b,
    maximum: (a, b) => (a + b + Math.abs(a - b)) / 2,
    less: (a, b) => (a < b ? 1 : 0),
    equal: (a, b) => (a === b ? 1 : 0),
  };
  test.each(Object.keys(pairs) as g.Op[])('%s broadcasts', (op) => {
    repeat((seed) => {
      const { out, operand } = trial(op, seed);
      const expected = indices(out.shape).map(
        (i) => pairs[op]?.(at(operand(0), i), at(operand(1), i)) ?? NaN,
      );
      expect(maxDifference(out.data, expected)).toBeLessThan(1e-15);
    });
  });

  test('where picks by a broadcast condition', () => {
    repeat((seed) => {
      const { out, operand } = trial('where', seed);
      const expected = indices(out.shape).map((i) => at(operand(at(operand(0), i) === 1 ? 1 : 2), i));
      expect(Array.from(out.data)).toEqual(expected);
    });
  });

  test('cast truncates to i64, tests for zero to bool, and rounds no float', () => {
    expect(run(g.cast(x([5]), 'i64'), { x: f64([5], [-1.9, -0.2, 0.2, 1, 7.99]) })).toEqual([-1, 0, 0, 1, 7]);
    expect(run(g.cast(x([3]), 'bool'), { x: f64([3], [0, 0.1, -3]) })).toEqual([0, 1, 1]);
    expect(run(g.cast(x([1]), 'f32'), { x: f64([1], [0.1]) })).toEqual([0.1]);
  });
});

describe('products, reductions and shapes', () => {
  test('matmul sums a[i,k] b[k,j] in every orientation and batch', () => {
    repeat((seed) => {
      const { y, out, operand } = trial('matmul', seed);
      const [a, b] = [operand(0), operand(1)];
      const { transA, transB } = y.attrs;
      const inner = a.shape.at(transA ? -2 : -1) ?? 0;
      const expected = indices(out.shape).map((index) => {
        const batch = index.slice(0, -2);
        const [i = 0, j = 0] = index.slice(-2);
        let sum = 0;
        for (let k = 0; k < inner; k++) {
          sum +=
            at(a, [...batch, ...(transA ? [k, i] : [i, k])]) *
            at(b, [...batch, ...(transB ? [j, k] : [k, j])]);
        }
        return sum;
      });
      expect(maxDifference(out.data, expected)).toBeLessThan(1e-14);
    });
  });

  test('linear is x Wᵀ on the last axis', () => {
    const y = g.linear(x(['B', 2, 2]), x([1, 2], 'w'));
    expect(run(y, { x: f64([1, 2, 2], [1, 2, 3, 4]), w: f64([1, 2], [10, 1]) })).toEqual([12, 34]);
  });

  test.each(['reduceSum', 'reduceMax'] as const)('%s folds the named axes', (op) => {
    repeat((seed) => {
      const { y, out, operand } = trial(op, seed);
      const of = operand(0);
      const groups = new Map<string, number[]>();
      for (const i of indices(of.shape)) {
        const key = i.map((v, a) => (y.attrs.axes.includes(a) ? '*' : v)).join();
        groups.set(key, [...(groups.get(key) ?? []), at(of, i)]);
      }
      const fold = (v: number[]): number =>
        op === 'reduceMax' ? Math.max(...v) : v.reduce((s, e) => s + e, 0);
      expect(maxDifference(out.data, [...groups.values()].map(fold))).toBeLessThan(1e-13);
      const kept = of.shape.flatMap((n, a) =>
        y.attrs.axes.includes(a) ? (y.attrs.keepDims ? [1] : []) : [n],
      );
      expect(out.shape).toEqual(kept);
    });
  });

  test('reshape keeps the order of elements', () => {
    repeat((seed) => {
      const { out, operand } = trial('reshape', seed);
      expect(out.data).toEqual(operand(0).data);
    });
  });

  test('expand repeats along named and numbered axes', () => {
    const y = g.expand(x([2, 1]), ['B', 2, 3]);
    const bound = g.add(y, g.scale(x(['B', 1, 1], 'b'), 0));
    expect(run(bound, { x: f64([2, 1], [5, 6]), b: f64([2, 1, 1], [1, 1]) })).toEqual([
      5, 5, 5, 6, 6, 6, 5, 5, 5, 6, 6, 6,
    ]);
  });

  test('transpose moves index perm[i] to axis i', () => {
    repeat((seed) => {
      const { y, out, operand } = trial('transpose', seed);
      const expected = indices(out.shape).map((index) => {
        const source: number[] = [];
        y.attrs.perm.forEach((p, i) => {
          source[p] = index[i];
        });
        return at(operand(0), source);
      });
      expect(Array.from(out.data)).toEqual(expected);
    });
    expect(run(g.transpose(x([2, 3]), [-1, 0]), { x: f64([2, 3], [1, 2, 3, 4, 5, 6]) })).toEqual([
      1, 4, 2, 5, 3, 6,
    ]);
  });

  test('slices of a concat give back its parts', () => {
    repeat((seed) => {
      const { y, out, operand } = trial('concat', seed);
      const { axis } = y.attrs;
      let start = 0;
      y.inputs.forEach((_, p) => {
        const part = operand(p);
        const end = start + part.shape[axis];
        const back = g.slice(x(out.shape), axis, start, end);
        expect(run(back, { x: out })).toEqual(Array.from(part.data, Number));
        start = end;
      });
    });
  });

  test('slice takes start…end−1', () => {
    repeat((seed) => {
      const { y, out, operand } = trial('slice', seed);
      const { axis, start } = y.attrs;
      const expected = indices(out.shape).map((i) => at(operand(0), i.with(axis, i[axis] + start)));
      expect(Array.from(out.data)).toEqual(expected);
    });
  });

  test('gatherRows takes rows, scatterRows adds them up', () => {
    const ids = g.input('ids', 'i64', ['T']);
    const table = f64([3, 2], [1, 2, 3, 4, 5, 6]);
    const feeds = { ids: i64([3], [2, 0, 2]), x: table, u: f64([3, 2], [1, 1, 10, 20, 100, 200]) };
    expect(run(g.gatherRows(x([3, 2]), ids), feeds)).toEqual([5, 6, 1, 2, 5, 6]);
    expect(run(g.scatterRows(ids, x(['T', 2], 'u'), 3), feeds)).toEqual([10, 20, 0, 0, 101, 201]);
    expect(() => run(g.gatherRows(x([3, 2]), ids), { ...feeds, ids: i64([1], [3]) })).toThrow(
      'wanted ids in 0…2, got 3',
    );
    expect(() => run(g.scatterRows(ids, x(['T', 2], 'u'), 2), feeds)).toThrow('wanted ids in 0…1, got 2');
  });
});

describe('choosing', () => {
  test('topTwo gives the two largest and the first place of the largest', () => {
    const rows = f64([3, 4], [1, 7, 3, 5, 2, 2, 2, 1, -4, -3, -9, -5]);
    expect(run(g.topTwo(x([3, 4])), { x: rows })).toEqual([7, 5, 1, 2, 2, 0, -3, -4, 1]);
    for (const shape of [[3, 1], [3, 'V'], []])
      expect(() => g.topTwo(x(shape))).toThrow(/^topTwo: wanted a last axis of 2 or more, got /);
  });
});

describe('fused kernels', () => {
  test('softmax rows sum to 1, keep ratios eᵃ⁻ᵇ and survive large numbers', () => {
    const [p, q, r] = run(g.softmax(x([3])), { x: f64([3], [1000, 999, 998]) }) as [number, number, number];
    expect(p + q + r).toBeCloseTo(1, 15);
    expect(p / q).toBeCloseTo(Math.E, 12);
    expect(q / r).toBeCloseTo(Math.E, 12);
  });

  test('rmsNorm of [3, 4] has root mean square √12.5', () => {
    const y = run(g.rmsNorm(x([1, 2]), x([2], 'w'), 0), { x: f64([1, 2], [3, 4]), w: f64([2], [1, 10]) });
    expect(maxDifference(y, [3 / Math.sqrt(12.5), 40 / Math.sqrt(12.5)])).toBeLessThan(1e-15);
    const eps = run(g.rmsNorm(x([1, 1]), x([1], 'w'), 1), { x: f64([1, 1], [0.5]), w: f64([1], [1]) });
    expect(maxDifference(eps, [0.5 / Math.sqrt(1.25)])).toBeLessThan(1e-15);
  });

  test('rotary multiplies the complex pairs (x[i], x[i+Dh/2]) by e^{iθ}, inverse undoes it', () => {
    const [theta, phi] = [0.3, -1.1];
    const feeds = {
      x: f64([1, 1, 8], [1, 0, 0, 1, 2, 3, 4, 5]),
      cos: f64([1, 1, 2], [Math.cos(theta), Math.cos(phi)]),
      sin: f64([1, 1, 2], [Math.sin(theta), Math.sin(phi)]),
    };
    const angles: [g.Node, g.Node] = [x([1, 'T', 2], 'cos'), x([1, 'T', 2], 'sin')];
    const y = g.rotary(x(['B', 'T', 8]), ...angles, { heads: 2 });
    const polar = (re: number, im: number, turn: number): [number, number] => {
      const [radius, angle] = [Math.hypot(re, im), Math.atan2(im, re) + turn];
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    };
    const [a, b] = [polar(1, 0, theta), polar(0, 1, phi)];
    const [c, d] = [polar(2, 4, theta), polar(3, 5, phi)];
    const expected = [a[0], b[0], a[1], b[1], c[0], d[0], c[1], d[1]];
    expect(maxDifference(run(y, feeds), expected)).toBeLessThan(1e-14);
    const back = g.rotary(y, ...angles, { heads: 2, inverse: true });
    expect(maxDifference(run(back, feeds), [1, 0, 0, 1, 2, 3, 4, 5])).toBeLessThan(1e-14);
  });

  test('attention: equal scores average the values, a mask hides keys, the soft-cap comes before the mask', () => {
    const attrs = { heads: 1, kvHeads: 1, scale: 1 };
    const build = (a: g.OpAttrs['attention']): g.Node =>
      g.attention(x([1, 1, 1], 'q'), x([1, 'S', 1], 'k'), x([1, 'S', 1], 'v'), x([1, 1, 1, 'S'], 'm'), a);
    const feeds = (q: number, m: number[]) => ({
      q: f64([1, 1, 1], [q]),
      k: f64([1, 3, 1], [0, 1, 2]),
      v: f64([1, 3, 1], [3, 6, 12]),
      m: f64([1, 1, 1, 3], m),
    });
    expect(run(build(attrs), feeds(0, [0, 0, 0]))).toEqual([7]);
    expect(run(build(attrs), feeds(0, [0, 0, -1e9]))).toEqual([4.5]);
    // weights e⁰ : e¹ : e² with q = 1
    const [w1, w2] = [Math.E, Math.E ** 2];
    expect(run(build(attrs), feeds(1, [0, 0, 0]))[0]).toBeCloseTo((3 + 6 * w1 + 12 * w2) / (1 + w1 + w2), 12);
    // a cap after the mask would let the hidden key back in
    const capped = run(build({ ...attrs, softcap: 2 }), feeds(1, [0, 0, -1e9]))[0];
    const c1 = Math.exp(2 * Math.tanh(0.5));
    expect(capped).toBeCloseTo((3 + 6 * c1) / (1 + c1), 12);
  });

  test('grouped heads: query head h reads key head ⌊h·Hkv/H⌋', () => {
    const q = x(['B', 'T', 4], 'q');
    const [k, v] = [x(['B', 'T', 2], 'k'), x(['B', 'T', 2], 'v')];
    const y = g.attention(q, k, v, x([1, 1, 'T', 'T'], 'm'), { heads: 4, kvHeads: 2, scale: 1 });
    const feeds = {
      q: f64([1, 1, 4], [1, 2, 3, 4]),
      k: f64([1, 1, 2], [1, 1]),
      v: f64([1, 1, 2], [5, 7]),
      m: f64([1, 1, 1, 1], [0]),
    };
    expect(run(y, feeds)).toEqual([5, 5, 7, 7]);
  });
});

describe('interpret', () => {
  test.each(Object.keys(kernels) as g.Op[])('a random %s runs and gives finite numbers', (op) => {
    repeat((seed) => {
      const { graph, feeds } = sampleOp(op, new Rng(seed));
      const y = interpret(graph, feeds).y as Tensor;
      expect(Array.from(y.data, Number).every(Number.isFinite)).toBe(true);
    });
  });

  test('widens f32, f16 and bf16 feeds', () => {
    const halves = tensor('f16', [6], Uint16Array.of(0x3c00, 0xc000, 0x3555, 0x0001, 0x7c00, 0x8000));
    expect(run(g.cast(g.weight('w', 'f16', [6]), 'f64'), { w: halves })).toEqual([
      1,
      -2,
      0x555 / 4096,
      2 ** -24,
      Number.POSITIVE_INFINITY,
      -0,
    ]);
    const brain = tensor('bf16', [3], Uint16Array.of(0x3f80, 0xc000, 0x3eab));
    expect(run(g.cast(g.weight('w', 'bf16', [3]), 'f64'), { w: brain })).toEqual([1, -2, 0.333984375]);
    expect(run(x([2]), { x: f32([2], [0.1, 2]) })).toEqual([Math.fround(0.1), 2]);
  });

  test('lists every feed that is missing or ill-shaped in one error', () => {
    const y = g.add(g.add(x(['B', 2]), x(['B', 2], 'a')), g.weight('w', 'f64', [2]));
    expect(() => run(y, { x: f64([1, 2], [1, 2]), a: f64([3, 2], [1, 2, 3, 4, 5, 6]) })).toThrow(
      'interpret t: a: B is 1 elsewhere, but shape [3,2] makes it 3; w f64[2] is not fed',
    );
    expect(() => run(x([1]), { x: i64([1], [1]) })).toThrow('x wants f64, got i64');
  });

  test('a reshape that names do not allow is caught when it runs', () => {
    const y = g.reshape(x(['B', 3]), ['B', 2]);
    expect(() => run(y, { x: f64([2, 3], [1, 2, 3, 4, 5, 6]) })).toThrow(
      'reshape of [2,3]: wanted [B,2] = [2,2], got 6 elements',
    );
  });

  test('outputs share no memory with feeds', () => {
    const feed = f64([1], [1]);
    const leaf = x([1]);
    const out = interpret({ name: 't', outputs: { a: leaf, b: leaf } }, { x: feed });
    (out.a as Tensor<'f64'>).data[0] = 5;
    expect([feed.data[0], out.b?.data[0]]).toEqual([1, 1]);
  });
});
