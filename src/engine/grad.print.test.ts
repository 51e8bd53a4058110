/** @file The gradients of the common pieces as text: a costlier gradient shows up in review. */
import { expect, test } from 'vitest';
import { gradGraph } from './grad.ts';
import * as g from './graph.ts';
import { printGraph } from './print.ts';

/** Text of the gradient of `y` towards `wrt`, seeded by an input. */
function printed(y: g.Node, wrt: readonly string[]): string {
  const seeds = { y: g.input('seed', y.dtype, y.shape) };
  return printGraph(gradGraph({ name: 'd', forward: { name: 'f', outputs: { y } }, seeds, wrt }));
}

test('SwiGLU MLP', () => {
  const x = g.input('x', 'f32', ['B', 'T', 8]);
  const [gate, up] = [g.input('gate', 'f32', [16, 8]), g.input('up', 'f32', [16, 8])];
  const hidden = g.mul(g.silu(g.linear(x, gate)), g.linear(x, up));
  const y = g.linear(hidden, g.input('down', 'f32', [8, 16]));
  expect(printed(y, ['x', 'gate', 'up', 'down'])).toMatchInlineSnapshot(`
    "graph d
      %0 = input(seed) : f32[B,T,8]
      %1 = reshape(%0) : f32[B*T,8]
      %2 = input(down) : f32[8,16]
      %3 = matmul(%1, %2) : f32[B*T,16]
      %4 = reshape(%3) : f32[B,T,16]
      %5 = input(x) : f32[B,T,8]
      %6 = reshape(%5) : f32[B*T,8]
      %7 = input(gate) : f32[16,8]
      %8 = matmul(%6, %7ᵀ) : f32[B*T,16]
      %9 = reshape(%8) : f32[B,T,16]
      %10 = sigmoid(%9) : f32[B,T,16]
      %11 = mul(%9, %10) : f32[B,T,16]
      %12 = mul(%4, %11) : f32[B,T,16]
      %13 = reshape(%12) : f32[B*T,16]
      %14 = input(up) : f32[16,8]
      %15 = matmul(%13, %14) : f32[B*T,8]
      %16 = reshape(%15) : f32[B,T,8]
      %17 = reshape(%5) : f32[B*T,8]
      %18 = matmul(%17, %14ᵀ) : f32[B*T,16]
      %19 = reshape(%18) : f32[B,T,16]
      %20 = mul(%4, %19) : f32[B,T,16]
      %21 = mul(%20, %10) : f32[B,T,16]
      %22 = mul(%20, %9) : f32[B,T,16]
      %23 = sub(1, %10) : f32[B,T,16]
      %24 = mul(%10, %23) : f32[B,T,16]
      %25 = mul(%22, %24) : f32[B,T,16]
      %26 = add(%21, %25) : f32[B,T,16]
      %27 = reshape(%26) : f32[B*T,16]
      %28 = matmul(%27, %7) : f32[B*T,8]
      %29 = reshape(%28) : f32[B,T,8]
      %30 = add(%16, %29) : f32[B,T,8]
      %31 = matmul(%27ᵀ, %6) : f32[16,8]
      %32 = matmul(%13ᵀ, %17) : f32[16,8]
      %33 = mul(%11, %19) : f32[B,T,16]
      %34 = reshape(%33) : f32[B*T,16]
      %35 = matmul(%1ᵀ, %34) : f32[8,16]
      return grad.x = %30, grad.gate = %31, grad.up = %32, grad.down = %35"
  `);
});

test('rmsNorm', () => {
  const y = g.rmsNorm(g.input('x', 'f32', ['B', 'T', 8]), g.input('w', 'f32', [8]), 1e-5);
  expect(printed(y, ['x', 'w'])).toMatchInlineSnapshot(`
    "graph d
      %0 = input(x) : f32[B,T,8]
      %1 = mul(%0, %0) : f32[B,T,8]
      %2 = reduceSum(%1, axes=[2], keepDims) : f32[B,T,1]
      %3 = mul(%2, 0.125) : f32[B,T,1]
      %4 = add(%3, 0.00001) : f32[B,T,1]
      %5 = sqrt(%4) : f32[B,T,1]
      %6 = reciprocal(%5) : f32[B,T,1]
      %7 = input(seed) : f32[B,T,8]
      %8 = input(w) : f32[8]
      %9 = mul(%7, %8) : f32[B,T,8]
      %10 = mul(%0, %6) : f32[B,T,8]
      %11 = mul(%9, %10) : f32[B,T,8]
      %12 = reduceSum(%11, axes=[2], keepDims) : f32[B,T,1]
      %13 = mul(%12, 0.125) : f32[B,T,1]
      %14 = mul(%10, %13) : f32[B,T,8]
      %15 = sub(%9, %14) : f32[B,T,8]
      %16 = mul(%6, %15) : f32[B,T,8]
      %17 = mul(%7, %10) : f32[B,T,8]
      %18 = reduceSum(%17, axes=[0,1]) : f32[8]
      return grad.x = %16, grad.w = %18"
  `);
});

test('attention: four queries heads on two key heads, soft-capped', () => {
  const q = g.input('q', 'f32', ['B', 'T', 16]);
  const [k, v] = [g.input('k', 'f32', ['B', 'S', 8]), g.input('v', 'f32', ['B', 'S', 8])];
  const mask = g.input('mask', 'f32', ['B', 1, 'T', 'S']);
  const y = g.attention(q, k, v, mask, { heads: 4, kvHeads: 2, scale: 0.5, softcap: 30 });
  expect(printed(y, ['q', 'k', 'v'])).toMatchInlineSnapshot(`
    "graph d
      %0 = input(q) : f32[B,T,16]
      %1 = reshape(%0) : f32[B,T,2,2,4]
      %2 = transpose(%1, [0,2,3,1,4]) : f32[B,2,2,T,4]
      %3 = reshape(%2) : f32[B,2,T*2,4]
      %4 = mul(%3, 0.5) : f32[B,2,T*2,4]
      %5 = input(k) : f32[B,S,8]
      %6 = reshape(%5) : f32[B,S,2,4]
      %7 = transpose(%6, [0,2,1,3]) : f32[B,2,S,4]
      %8 = matmul(%4, %7ᵀ) : f32[B,2,T*2,S]
      %9 = mul(%8, 0.033333335) : f32[B,2,T*2,S]
      %10 = tanh(%9) : f32[B,2,T*2,S]
      %11 = mul(%10, 30) : f32[B,2,T*2,S]
      %12 = reshape(%11) : f32[B,2,2,T,S]
      %13 = input(mask) : f32[B,1,T,S]
      %14 = reshape(%13) : f32[B,1,1,T,S]
      %15 = add(%12, %14) : f32[B,2,2,T,S]
      %16 = softmax(%15) : f32[B,2,2,T,S]
      %17 = reshape(%16) : f32[B,2,T*2,S]
      %18 = input(seed) : f32[B,T,16]
      %19 = reshape(%18) : f32[B,T,2,2,4]
      %20 = transpose(%19, [0,2,3,1,4]) : f32[B,2,2,T,4]
      %21 = reshape(%20) : f32[B,2,T*2,4]
      %22 = input(v) : f32[B,S,8]
      %23 = reshape(%22) : f32[B,S,2,4]
      %24 = transpose(%23, [0,2,1,3]) : f32[B,2,S,4]
      %25 = matmul(%21, %24ᵀ) : f32[B,2,T*2,S]
      %26 = attention(%0, %5, %22, %13, heads=4, kvHeads=2, scale=0.5, softcap=30) : f32[B,T,16]
      %27 = reshape(%26) : f32[B,T,2,2,4]
      %28 = transpose(%27, [0,2,3,1,4]) : f32[B,2,2,T,4]
      %29 = reshape(%28) : f32[B,2,T*2,4]
      %30 = mul(%21, %29) : f32[B,2,T*2,4]
      %31 = reduceSum(%30, axes=[3], keepDims) : f32[B,2,T*2,1]
      %32 = sub(%25, %31) : f32[B,2,T*2,S]
      %33 = mul(%17, %32) : f32[B,2,T*2,S]
      %34 = mul(%11, 0.033333335) : f32[B,2,T*2,S]
      %35 = mul(%34, %34) : f32[B,2,T*2,S]
      %36 = sub(1, %35) : f32[B,2,T*2,S]
      %37 = mul(%33, %36) : f32[B,2,T*2,S]
      %38 = matmul(%37, %7) : f32[B,2,T*2,4]
      %39 = mul(%38, 0.5) : f32[B,2,T*2,4]
      %40 = reshape(%39) : f32[B,2,2,T,4]
      %41 = transpose(%40, [0,3,1,2,4]) : f32[B,T,2,2,4]
      %42 = reshape(%41) : f32[B,T,16]
      %43 = matmul(%37ᵀ, %4) : f32[B,2,S,4]
      %44 = transpose(%43, [0,2,1,3]) : f32[B,S,2,4]
      %45 = reshape(%44) : f32[B,S,8]
      %46 = matmul(%17ᵀ, %21) : f32[B,2,S,4]
      %47 = transpose(%46, [0,2,1,3]) : f32[B,S,2,4]
      %48 = reshape(%47) : f32[B,S,8]
      return grad.q = %42, grad.k = %45, grad.v = %48"
  `);
});
