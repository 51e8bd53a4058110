import { describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import type { MatmulTN } from '../../maps/index.ts';
import { centre, cka, fitPair, sourceSide } from './fits.ts';

const plain: MatmulTN = (x, y, rows, dx, dy) => {
  const out = new Float64Array(dx * dy);
  for (let r = 0; r < rows; r++)
    for (let i = 0; i < dx; i++)
      for (let j = 0; j < dy; j++) out[i * dy + j]! += x[r * dx + i]! * y[r * dy + j]!;
  return out;
};
const rng = new Rng(3);
const normal = (n: number): Float32Array => Float32Array.from({ length: n }, () => rng.normal());
const [N, DX, DY] = [40, 3, 2];
const x = normal(N * DX);
/** y = x W + noise, x's first two dimensions only. */
const targets = (rows: Float32Array): Float32Array =>
  Float32Array.from({ length: (rows.length / DX) * DY }, (_, at) => {
    const [i, k] = [Math.floor(at / DY), at % DY];
    return 2 * rows[i * DX + k]! - rows[i * DX + 1]! + 0.3 * rng.normal() + 5;
  });
const y = targets(x);
const test = normal(20 * DX);
const testY = targets(test);

describe('ridge R² of a pair', () => {
  it('is that of the normal equations, solved by elimination', async () => {
    const fit = await fitPair(await sourceSide(x, test, DX, plain), await centre(y, DY, plain), testY, plain);
    const column = (data: Float32Array, width: number, j: number): number[] =>
      Array.from({ length: data.length / width }, (_, i) => data[i * width + j]!);
    const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    const xs = Array.from({ length: DX }, (_, j) => column(x, DX, j));
    const mx = xs.map(mean);
    const centred = xs.map((values, j) => values.map((v) => v - mx[j]!));
    let [error, total] = [0, 0];
    for (let k = 0; k < DY; k++) {
      const ys = column(y, DY, k);
      const my = mean(ys);
      const a = centred.map((p, i) =>
        centred.map((q, j) => p.reduce((s, v, r) => s + v * q[r]!, 0) * (i === j ? 1.001 : 1)),
      );
      const b = centred.map((p) => p.reduce((s, v, r) => s + v * (ys[r]! - my), 0));
      const w = solve(a, b);
      for (let i = 0; i < 20; i++) {
        const predicted = my + w.reduce((s, v, j) => s + v * (test[i * DX + j]! - mx[j]!), 0);
        error += (testY[i * DY + k]! - predicted) ** 2;
        total += (testY[i * DY + k]! - my) ** 2;
      }
    }
    expect(fit.r2).toBeCloseTo(1 - error / total, 6);
    expect(fit.r2).toBeGreaterThan(0.8);
  });
});

describe('debiased CKA', () => {
  it('is that of the kernels written out', async () => {
    const value = await cka(await centre(x, DX, plain), await centre(y, DY, plain), plain);
    const [k, l] = [kernelOf(x, DX), kernelOf(y, DY)];
    expect(value).toBeCloseTo(unbiased(k, l) / Math.sqrt(unbiased(k, k) * unbiased(l, l)), 8);
  });
  it('is 1 of a space with itself turned and scaled, about 0 of noise', async () => {
    const turned = Float32Array.from({ length: N * 2 }, (_, at) => {
      const [a, b] = [x[Math.floor(at / 2) * DX]!, x[Math.floor(at / 2) * DX + 1]!];
      return at % 2 === 0 ? 3 * (0.6 * a - 0.8 * b) : 3 * (0.8 * a + 0.6 * b);
    });
    const two = Float32Array.from({ length: N * 2 }, (_, at) => x[Math.floor(at / 2) * DX + (at % 2)]!);
    const of = async (data: Float32Array, width: number) => centre(data, width, plain);
    expect(await cka(await of(two, 2), await of(turned, 2), plain)).toBeCloseTo(1, 5);
    const values: number[] = [];
    for (let k = 0; k < 60; k++)
      values.push(await cka(await of(normal(N * 8), 8), await of(normal(N * 8), 8), plain));
    // Its mean over draws is 0; the biased estimate would be about DX/N = .2 here.
    expect(Math.abs(values.reduce((a, b) => a + b, 0) / 60)).toBeLessThan(0.05);
  });
});

function kernelOf(data: Float32Array, width: number): number[][] {
  return Array.from({ length: N }, (_, i) =>
    Array.from({ length: N }, (_, j) => {
      let sum = 0;
      for (let d = 0; d < width; d++) sum += data[i * width + d]! * data[j * width + d]!;
      return i === j ? 0 : sum;
    }),
  );
}

function unbiased(k: number[][], l: number[][]): number {
  const rows = (m: number[][]) => m.map((row) => row.reduce((a, b) => a + b, 0));
  const [rk, rl] = [rows(k), rows(l)];
  const total = (r: number[]) => r.reduce((a, b) => a + b, 0);
  const trace = k.reduce((s, row, i) => s + row.reduce((t, v, j) => t + v * l[j]![i]!, 0), 0);
  const cross = rk.reduce((s, v, i) => s + v * rl[i]!, 0);
  return (trace + (total(rk) * total(rl)) / ((N - 1) * (N - 2)) - (2 * cross) / (N - 2)) / (N * (N - 3));
}

function solve(a: number[][], b: number[]): number[] {
  const m = a.map((row, i) => [...row, b[i]!]);
  for (let p = 0; p < m.length; p++)
    for (let i = 0; i < m.length; i++) {
      if (i === p) continue;
      const f = m[i]![p]! / m[p]![p]!;
      for (let j = p; j <= m.length; j++) m[i]![j]! -= f * m[p]![j]!;
    }
  return m.map((row, i) => row.at(-1)! / row[i]!);
}
