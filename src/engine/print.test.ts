/** @file The text of a graph is stable, and its hash sees every bit of it. */
import { expect, test } from 'vitest';
import * as g from './graph.ts';
import { graphHash, printGraph } from './print.ts';
import { f32, f64, i64 } from './tensor.ts';

test('prints one line a node, scalars inline, transposes and attributes by notation', () => {
  const x = g.input('x', 'f32', ['B', 'T', 8]);
  const w = g.weight('w', 'f32', [4, 8]);
  const h = g.linear(x, w);
  const y = g.reduceSum(g.scale(g.transpose(h, [1, 0, 2]), 0.1), [-1], { keepDims: true });
  const z = g.add(g.slice(h, 2, 1, 3), g.constant(f32([2], [0.1, -2])));
  const big = g.constant(i64([9], [1, 2, 3, 4, 5, 6, 7, 8, 9]));
  expect(printGraph({ name: 'demo', outputs: { y, z, big } })).toMatchInlineSnapshot(`
    "graph demo
      %0 = input(x) : f32[B,T,8]
      %1 = reshape(%0) : f32[B*T,8]
      %2 = weight(w) : f32[4,8]
      %3 = matmul(%1, %2ᵀ) : f32[B*T,4]
      %4 = reshape(%3) : f32[B,T,4]
      %5 = transpose(%4, [1,0,2]) : f32[T,B,4]
      %6 = mul(%5, 0.1) : f32[T,B,4]
      %7 = reduceSum(%6, axes=[2], keepDims) : f32[T,B,1]
      %8 = slice(%4, axis=2, 1…3) : f32[B,T,2]
      %9 = constant([0.1, -2]) : f32[2]
      %10 = add(%8, %9) : f32[B,T,2]
      %11 = constant(#ceb56e57) : i64[9]
      return y = %7, z = %10, big = %11"
  `);
});

test('prints the attributes of fused ops', () => {
  const q = g.input('q', 'f32', ['B', 'T', 8]);
  const angles = g.input('angles', 'f32', [1, 'T', 2]);
  const turned = g.rotary(q, angles, angles, { heads: 2, inverse: true });
  const mask = g.input('mask', 'f32', [1, 1, 'T', 'T']);
  const y = g.attention(turned, q, q, mask, { heads: 2, kvHeads: 2, scale: 0.5, softcap: 30 });
  const normed = g.rmsNorm(y, g.weight('w', 'f32', [8]), 1e-5);
  expect(printGraph({ name: 'fused', outputs: { y: normed } })).toMatchInlineSnapshot(`
    "graph fused
      %0 = input(q) : f32[B,T,8]
      %1 = input(angles) : f32[1,T,2]
      %2 = rotary(%0, %1, %1, heads=2, inverse) : f32[B,T,8]
      %3 = input(mask) : f32[1,1,T,T]
      %4 = attention(%2, %0, %0, %3, heads=2, kvHeads=2, scale=0.5, softcap=30) : f32[B,T,8]
      %5 = weight(w) : f32[8]
      %6 = rmsNorm(%4, %5, eps=0.00001) : f32[B,T,8]
      return y = %6"
  `);
});

test('the hash ignores node identity and sees attributes, dtypes and the last bit of a constant', () => {
  const build = (value: number, axis = 0, dtype: 'f32' | 'f64' = 'f64'): g.Graph => {
    const x = g.input('x', dtype, [2, 2]);
    const c = dtype === 'f64' ? g.constant(f64([], [value])) : g.scalar(value, dtype);
    return { name: 'h', outputs: { y: g.reduceSum(g.mul(x, c), [axis]) } };
  };
  const hash = graphHash(build(0.1));
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
  expect(graphHash(build(0.1))).toBe(hash);
  const others = [
    build(0.1 + 2 ** -56),
    build(0.1, 1),
    build(0.1, 0, 'f32'),
    { ...build(0.1), name: 'other' },
  ];
  const hashes = others.map(graphHash);
  expect(new Set([hash, ...hashes]).size).toBe(5);
});
