/** @file Products with 4-bit matrices: the formula by hand, and the runtime's kernels, exact and fast, against float64 at the sizes models use. */
import { describe, expect, test } from 'vitest';
import { Rng } from '../base/index.ts';
import { input, packedLinear, unpack, weight } from './graph.ts';
import { interpret } from './interpret.ts';
import { emitOnnx } from './onnx/emit.ts';
import { type Arithmetic, compile } from './session.ts';
import { f32, type Tensor, tensor } from './tensor.ts';
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

/** A packed matrix of random numbers in the runtime's two arithmetics, an input, and the matrix in float64. */
async function opened(rng: Rng, { rows, block, width }: Record<'rows' | 'block' | 'width', number>) {
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
  const run = async (arithmetic: Arithmetic, x: Tensor): Promise<Float32Array> => {
    await using session = await compile(graph, { threads: 1, weights: { codes, scales }, arithmetic });
    return (await session.run({ x })).y!.data as Float32Array;
  };
  const matrix = interpret({ name: 'w', outputs: { w: unpack(c, s) } }, { codes, scales }).w!;
  const x = randomTensor(rng, 'f32', [1, rows, width]);
  const onnx = Buffer.from(emitOnnx(graph, { weights: { codes, scales } }));
  return { run, x, onnx, matrix: matrix.data as Float64Array };
}

/** x Wᵀ in float64: rows of `width` numbers. */
function product(x: ArrayLike<number>, matrix: Float64Array, width: number): Float64Array {
  const n = matrix.length / width;
  return Float64Array.from({ length: (x.length / width) * n }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < width; j++) sum += x[Math.floor(i / n) * width + j]! * matrix[(i % n) * width + j]!;
    return sum;
  });
}

/** Largest difference over the largest number wanted. */
function apart(got: ArrayLike<number>, want: Float64Array): number {
  const largest = want.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  return want.reduce((most, v, i) => Math.max(most, Math.abs(v - got[i]!)), 0) / largest;
}

/** Numbers rounded to whole multiples of a 127th of the largest of their block. */
function rounded(x: Float32Array, block: number): Float64Array {
  return Float64Array.from(x, (v, i) => {
    const start = i - (i % block);
    const unit = x.subarray(start, start + block).reduce((most, u) => Math.max(most, Math.abs(u)), 0) / 127;
    return unit * Math.round(v / unit);
  });
}

describe.each([
  [16, 384],
  [32, 896],
])('the kernel with blocks of %i and %i columns', (block, width) => {
  test.each([1, 16, 128])('%i rows equal the product of the unpacked matrix in float64', async (rows) => {
    const { run, x, onnx, matrix } = await opened(new Rng(5).fork(`${block} ${rows}`), {
      rows,
      block,
      width,
    });
    expect(onnx.includes('MatMulNBits')).toBe(true);
    expect(apart(await run('exact', x), product(x.data as Float32Array, matrix, width))).toBeLessThan(1e-6);
  });

  // so planes of one matrix see the same rounded activations, and their sum is the whole matrix on them: the low plane keeps its worth
  test.each([1, 16])('fast, %i rows equal the product on activations of 8 bits', async (rows) => {
    const { run, x, matrix } = await opened(new Rng(6).fork(`${block} ${rows}`), { rows, block, width });
    const values = x.data as Float32Array;
    const fast = await run('fast', x);
    expect(apart(fast, product(rounded(values, block), matrix, width))).toBeLessThan(1e-3);
    expect(apart(fast, product(values, matrix, width))).toBeGreaterThan(2e-3);
  });
});
