/** @file Directions on random rows against closed forms, another library's SVD, and the conditions their definitions state. */
import { Matrix, SingularValueDecomposition } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import { directionOf, ROW_METHODS } from './directions.ts';
import { type Labelled, meanRow, rowOf, scores, shuffled } from './labelled.ts';
import { fitLogistic, kernelOf, weightOf } from './logistic.ts';
import { firstComponent } from './pca.ts';
import { separability } from './separability.ts';

/** `pairs` random pairs of width `width`; positives lie `shift` along a fixed random direction. */
function randomPairs(
  pairs: number,
  width: number,
  { shift = 1, seed = 1 } = {},
): Labelled & { axis: number[] } {
  const rng = new Rng(seed);
  const axis = Array.from({ length: width }, () => rng.normal());
  const rows = Float32Array.from({ length: 2 * pairs * width }, (_, i) => {
    const positive = Math.floor(i / width) < pairs;
    return rng.normal() * (1 + (i % width) / width) + (positive ? shift * axis[i % width] : 0) + 3;
  });
  const members = Array.from({ length: pairs }, (_, i) => i);
  return { rows, width, positive: members, negative: members.map((i) => pairs + i), paired: true, axis };
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, x, i) => sum + x * b[i], 0);
const norm = (v: ArrayLike<number>): number => Math.sqrt(dot(v, v));
const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number => dot(a, b) / norm(a) / norm(b);

it('mean difference: the difference of the column means', () => {
  const set = randomPairs(9, 7);
  const { vector } = directionOf('mean-difference', set);
  for (let j = 0; j < 7; j++) {
    let expected = 0;
    for (let i = 0; i < 9; i++) expected += (set.rows[i * 7 + j] - set.rows[(9 + i) * 7 + j]) / 9;
    expect(vector[j]).toBeCloseTo(expected, 12);
  }
});

describe.each([
  ['fewer pairs than dimensions', 9, 24],
  ['more pairs than dimensions', 40, 6],
])('pca, %s', (_, pairs, width) => {
  it.each([true, false])('is the first right singular vector of the differences (centred: %s)', (centred) => {
    const set = randomPairs(pairs, width, { seed: 3 });
    const differences = new Matrix(
      set.positive.map((p, i) => {
        const negative = rowOf(set, set.negative[i]);
        return Array.from(rowOf(set, p), (x, j) => x - negative[j]);
      }),
    );
    if (centred) differences.subRowVector(differences.mean('column'));
    const svd = new SingularValueDecomposition(differences, { autoTranspose: true });
    const { vector, explained } = firstComponent(set, centred);
    expect(Math.abs(dot(vector, svd.rightSingularVectors.getColumn(0)))).toBeCloseTo(1, 9);
    const squares = svd.diagonal.map((s) => s * s);
    expect(explained).toBeCloseTo(squares[0] / squares.reduce((a, b) => a + b, 0), 9);
  });
});

it('pca: uncentred differences that share one direction give it, oriented to positive', () => {
  const set = randomPairs(30, 16, { shift: 4 });
  const { vector } = directionOf('pca-center', set);
  expect(cosine(vector, set.axis)).toBeGreaterThan(0.97);
  const swapped = directionOf('pca-center', { ...set, positive: set.negative, negative: set.positive });
  expect(cosine(swapped.vector, set.axis)).toBeLessThan(-0.97);
});

it('pca: where as many pairs lie one way as the other, the means decide the sign', () => {
  // Differences 3, −1 along the first axis, and centred nothing along the second: one pair each way, the means 1 apart.
  const set = (sign: number): Labelled => ({
    rows: Float32Array.of(3 * sign, 0, -1 * sign, 0, 0, 0, 0, 0),
    width: 2,
    positive: [0, 1],
    negative: [2, 3],
    paired: true,
  });
  for (const method of ['pca', 'pca-center'] as const)
    for (const sign of [1, -1])
      expect(Array.from(directionOf(method, set(sign)).vector)).toEqual([sign, expect.closeTo(0, 12)]);
});

/** The gradient of the probe's loss with respect to w and b, by loops over rows. */
function gradientAt(set: Labelled, scale: number, w: Float64Array, b: number, l2: number): number[] {
  const members = [...set.positive, ...set.negative];
  const mean = meanRow(set, members);
  const out = new Array<number>(set.width + 1).fill(0);
  for (const i of members) {
    const y = set.positive.includes(i) ? 1 : -1;
    const x = Array.from(rowOf(set, i), (v, j) => (v - mean[j]) / scale);
    const pull = -y / (1 + Math.exp(y * (dot(x, w) + b))) / members.length;
    x.forEach((v, j) => {
      out[j] += pull * v;
    });
    out[set.width] += pull;
  }
  return out.map((g, j) => (j < set.width ? g + l2 * w[j] : g));
}

describe('logistic probe', () => {
  it.each([
    ['overlapping rows', randomPairs(60, 5, { shift: 0.5 }), 1 / 120],
    ['rows that can be separated', randomPairs(12, 40, { shift: 2 }), 0.01],
    ['a penalty near none', randomPairs(12, 40, { shift: 2 }), 1e-6],
    ['unequal numbers', { ...randomPairs(20, 8), negative: [20, 21, 22, 23], paired: false }, 0.05],
  ])('ends where the gradient is zero: %s', (_, set, l2) => {
    const members = [...set.positive, ...set.negative];
    const kernel = kernelOf(set, members);
    const labels = Float64Array.from(members, (i) => (set.positive.includes(i) ? 1 : -1));
    const { coefficients, bias, gradient } = fitLogistic(kernel, labels, l2);
    expect(gradient).toBeLessThan(1e-10);
    // In the scaled rows, where the penalty is stated.
    const w = weightOf(kernel, set, coefficients).map((x) => x * kernel.scale);
    expect(norm(gradientAt(set, kernel.scale, w, bias, l2))).toBeLessThan(1e-9);
  });

  it('states by how much the log-odds rise along the vector', () => {
    const set = randomPairs(30, 6);
    const { vector, logOdds } = directionOf('logistic', set, { l2: 0.02 });
    const members = [...set.positive, ...set.negative];
    const kernel = kernelOf(set, members);
    const labels = Float64Array.from(members, (_, k) => (k < 30 ? 1 : -1));
    const weight = weightOf(kernel, set, fitLogistic(kernel, labels, 0.02).coefficients);
    expect(logOdds).toBeCloseTo(dot(weight, vector), 9);
    expect(cosine(weight, vector)).toBeCloseTo(1, 9);
  });
});

it.each(ROW_METHODS)('%s: as long as the distance of the means along it', (method) => {
  const set = randomPairs(25, 10, { shift: 2, seed: 7 });
  const { vector } = directionOf(method, set);
  const mean = (v: Float64Array): number => v.reduce((a, b) => a + b, 0) / v.length;
  const gap = mean(scores(set, set.positive, vector)) - mean(scores(set, set.negative, vector));
  expect(Math.abs(gap)).toBeCloseTo(norm(vector), 9);
});

it('shuffled labels swap half of the pairs, and separate nothing', () => {
  const rng = new Rng(4);
  const set = randomPairs(40, 12, { shift: 2 });
  const mixed = shuffled(set, rng);
  expect(mixed.positive.filter((i) => i >= 40)).toHaveLength(20);
  expect([...mixed.positive, ...mixed.negative].sort((a, b) => a - b)).toEqual(
    Array.from({ length: 80 }, (_, i) => i),
  );
  const part = (from: number, to: number): Labelled => ({
    ...set,
    positive: set.positive.slice(from, to),
    negative: set.negative.slice(from, to),
  });
  const [train, held] = [part(0, 30), part(30, 40)];
  const controls = Array.from(
    { length: 300 },
    () => directionOf('mean-difference', shuffled(train, rng)).vector,
  );
  const found = separability(held, directionOf('mean-difference', train).vector, controls);
  expect(found.auroc.value).toBeGreaterThan(0.95);
  expect(found.auroc.n).toBe(20);
  expect(found.shuffled.mean).toBeGreaterThan(0.44);
  expect(found.shuffled.mean).toBeLessThan(0.56);
  expect(found.pairs_right?.n).toBe(10);
});

it.each([
  ['pca' as const, { ...randomPairs(3, 4), negative: [3, 4], paired: false }, /pca wants pairs/],
  ['pca' as const, { ...randomPairs(1, 4) }, /two training pairs/],
  [
    'mean-difference' as const,
    { rows: new Float32Array(8).fill(1), width: 4, positive: [0], negative: [1], paired: true },
    /same mean along the direction/,
  ],
  [
    'pca-center' as const,
    { rows: new Float32Array(16).fill(1), width: 4, positive: [0, 1], negative: [2, 3], paired: true },
    /differences that vary/,
  ],
])('%s refuses what has no direction', (method, set, message) => {
  expect(() => directionOf(method, set)).toThrow(message);
});
