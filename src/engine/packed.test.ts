/** @file Products with 4-bit matrices: the formula by hand, and the runtime's kernel against float64 at the sizes models use. */
import { describe, expect, test } from 'vitest';
import { Rng } from '../base/index.ts';
import { input, packedLinear, unpack, weight } from './graph.ts';
import { interpret } from './interpret.ts';
import { emitOnnx } from './onnx/emit.ts';
import { compile } from './session.ts';
import { f32, f64, type Tensor, tensor } from './tensor.ts';
import { randomTensor } from './testing.ts';

const leaves = (rows: number, blocks: number, block: number) => ({
  codes: weight('codes', 'u8', [rows, blocks, block / 2]),
  scales: weight('scales', 'f32', [rows, blocks]),
});

describe('a packed matrix', () => {
  test('is scale · (code − 8), the low half of a byte first', () => {
    const codes = tensor('u8', [2, 1, 2], Uint8Array.of(0x98, 0xf0, 0x08, 0x80));
    const { codes: c, scales: s } = leaves(2, 1, 4);
    const { w } = interpret(
      { name: 't', outputs: { w: unpack(c, s) } },
      { codes, scales: f32([2, 1], [2, 1]) },
    );
    expect(Array.from((w as Tensor<'f64'>).data)).toEqual([0, 2, -16, 14, 0, -8, -8, 0]);
  });

  test('does not fit other widths or scales', () => {
    const { codes, scales } = leaves(2, 3, 16);
    expect(() => packedLinear(input('x', 'f32', ['B', 47]), codes, scales)).toThrow(
      'inner sizes differ: [B,47] × [2,48]',
    );
    expect(() => unpack(codes, weight('s', 'f32', [2, 2]))).toThrow(
      'scales [N,blocks], got u8[2,3,8] and f32[2,2]',
    );
  });
});

describe.each([
  [16, 384],
  [32, 896],
])('the kernel with blocks of %i and %i columns', (block, width) => {
  test.each([1, 16, 128])('%i rows equal the product of the unpacked matrix in float64', async (rows) => {
    const rng = new Rng(5).fork(`${block} ${rows}`);
    const n = 65;
    const codes = tensor(
      'u8',
      [n, width / block, block / 2],
      Uint8Array.from({ length: (n * width) / 2 }, () => rng.int(256)),
    );
    const scales = randomTensor(rng, 'f32', [n, width / block], 0.01);
    const { codes: c, scales: s } = leaves(n, width / block, block);
    const graph = {
      name: 'packed',
      outputs: { y: packedLinear(input('x', 'f32', ['B', 'T', width]), c, s) },
    };
    expect(Buffer.from(emitOnnx(graph, { weights: { codes, scales } })).includes('MatMulNBits')).toBe(true);
    await using session = await compile(graph, { threads: 1, weights: { codes, scales } });
    const x = randomTensor(rng, 'f32', [1, rows, width]);
    const got = (await session.run({ x })).y as Tensor<'f32'>;
    const matrix = interpret({ name: 'w', outputs: { w: unpack(c, s) } }, { codes, scales })
      .w as Tensor<'f64'>;
    const want = f64([1, rows, n], new Float64Array(rows * n));
    for (let i = 0; i < rows * n; i++)
      for (let j = 0; j < width; j++)
        want.data[i] +=
          (x.data[Math.floor(i / n) * width + j] as number) * (matrix.data[(i % n) * width + j] as number);
    const largest = want.data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const worst = want.data.reduce((most, v, i) => Math.max(most, Math.abs(v - (got.data[i] as number))), 0);
    expect(worst / largest).toBeLessThan(1e-6);
  });
});
