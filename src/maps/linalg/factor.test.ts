import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import {
  cholesky,
  matmul,
  matmulTN,
  nearestOrthogonal,
  pseudoInverse,
  randomOrthogonal,
  solveCholesky,
  svd,
  symmetricEigen,
  symmetricFunction,
  transpose,
} from '../linalg.ts';

const goldens = (
  JSON.parse(
    readFileSync(new URL('../../../test/parity/stats-own/goldens.json', import.meta.url), 'utf8'),
  ) as {
    linalg: {
      matrix: number[];
      rows: number;
      cols: number;
      pinv: number[];
      pinv_truncated: number[];
      singular: number[];
      eigenvalues: number[];
    };
  }
).linalg;

const gaussian = (rows: number, columns: number, seed: number): Float64Array => {
  const rng = new Rng(seed);
  return Float64Array.from({ length: rows * columns }, () => rng.normal());
};
const identity = (n: number): Float64Array =>
  Float64Array.from({ length: n * n }, (_, p) => (p % (n + 1) === 0 ? 1 : 0));
const worst = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let most = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]));
  return most;
};
/** The textbook triple loop. */
const naive = (a: Float64Array, b: Float64Array, m: number, k: number, n: number): Float64Array =>
  Float64Array.from({ length: m * n }, (_, p) => {
    let sum = 0;
    for (let t = 0; t < k; t++) sum += a[Math.floor(p / n) * k + t] * b[t * n + (p % n)];
    return sum;
  });

describe('products', () => {
  it('equal the triple loop at every awkward size', () => {
    const size = fc.integer({ min: 1, max: 70 });
    fc.assert(
      fc.property(size, size, size, fc.integer(), (m, k, n, seed) => {
        const a = gaussian(m, k, seed);
        const b = gaussian(k, n, seed + 1);
        expect(worst(matmul(a, b, m, k, n), naive(a, b, m, k, n))).toBeLessThan(1e-12);
        const at = transpose(a, m, k);
        expect(
          worst(matmulTN(a, matmul(a, b, m, k, n), m, k, n), naive(at, naive(a, b, m, k, n), k, m, n)),
        ).toBeLessThan(1e-11);
        expect(worst(matmulTN(a, a, m, k, k), naive(at, a, k, m, k))).toBeLessThan(1e-12);
      }),
      { numRuns: 40, seed: 3 },
    );
  });

  it('cross the cache blocks', () => {
    const [m, k, n] = [5, 131, 1030];
    const a = gaussian(m, k, 1);
    const b = gaussian(k, n, 2);
    expect(worst(matmul(a, b, m, k, n), naive(a, b, m, k, n))).toBeLessThan(1e-12);
    const wide = gaussian(9, n, 3);
    expect(worst(matmulTN(wide, wide, 9, n, n), naive(transpose(wide, 9, n), wide, n, 9, n))).toBeLessThan(
      1e-12,
    );
    expect(() => matmul(a, b, m, k, n + 1)).toThrow(/131×1031/);
  });
});

describe('cholesky', () => {
  it.each([1, 7, 64, 65, 200])('n = %i: L Lᵀ = A, and solving gives back what was planted', (n) => {
    const g = gaussian(n + 5, n, n);
    const a = matmulTN(g, g, n + 5, n, n);
    const l = cholesky(a, n);
    expect(worst(matmul(l, transpose(l, n, n), n, n, n), a)).toBeLessThan(1e-11 * n);
    expect(l[n - 1] === 0 || n === 1).toBe(true);
    for (let i = 0; i < n; i++) a[i * n + i] = a[i * n + i] + 1;
    const x = gaussian(n, 3, n + 1);
    expect(worst(solveCholesky(cholesky(a, n), matmul(a, x, n, n, 3), n, 3), x)).toBeLessThan(1e-10);
  });

  it('refuses what is not positive definite, naming the pivot', () => {
    expect(() => cholesky(Float64Array.of(1, 2, 2, 1), 2)).toThrow(/pivot 1 is -3/);
    expect(() => cholesky(Float64Array.of(Number.NaN), 1)).toThrow(/pivot 0/);
  });
});

describe('symmetricEigen', () => {
  it.each([1, 2, 3, 50, 180])('n = %i: A v = λ v, orthonormal, falling', (n) => {
    const g = gaussian(n, n, n);
    const a = Float64Array.from(g, (x, p) => x + g[(p % n) * n + Math.floor(p / n)]);
    const { values, vectors } = symmetricEigen(a, n);
    const rebuilt = symmetricFunction({ values, vectors }, (x) => x);
    expect(worst(rebuilt, a)).toBeLessThan(1e-12 * n);
    expect(worst(matmul(vectors, transpose(vectors, n, n), n, n, n), identity(n))).toBeLessThan(1e-12);
    expect([...values]).toEqual([...values].sort((x, y) => y - x));
  });

  it('closed form: the path graph has eigenvalues 2 cos(kπ/(n+1))', () => {
    const n = 40;
    const a = Float64Array.from({ length: n * n }, (_, p) =>
      Math.abs((p % n) - Math.floor(p / n)) === 1 ? 1 : 0,
    );
    const wanted = Array.from({ length: n }, (_, k) => 2 * Math.cos(((k + 1) * Math.PI) / (n + 1)));
    expect(worst(symmetricEigen(a, n).values, wanted)).toBeLessThan(1e-13);
  });

  it('numpy golden of rank 4 in 7 dimensions; zero, scaled and repeated matrices converge', () => {
    const { matrix, rows, cols, eigenvalues } = goldens;
    const m = Float64Array.from(matrix);
    const a = matmul(m, transpose(m, rows, cols), rows, cols, rows);
    expect(worst(symmetricEigen(a, rows).values, [...eigenvalues].reverse())).toBeLessThan(1e-13);
    expect([...symmetricEigen(new Float64Array(9), 3).values]).toEqual([0, 0, 0]);
    for (const scale of [1e-150, 1e150]) {
      const scaled = symmetricEigen(
        a.map((x) => x * scale),
        rows,
      ).values.map((x) => x / scale);
      expect(worst(scaled, [...eigenvalues].reverse())).toBeLessThan(1e-13);
    }
    const low = gaussian(60, 3, 8);
    const gram = matmul(low, transpose(low, 60, 3), 60, 3, 60);
    const { values } = symmetricEigen(gram, 60);
    expect(Math.max(...values.subarray(3).map(Math.abs))).toBeLessThan(1e-12);
  });

  it('the inverse square root whitens', () => {
    const g = gaussian(90, 20, 5);
    const cov = matmulTN(g, g, 90, 20, 20);
    const root = symmetricFunction(symmetricEigen(cov, 20), (x) => 1 / Math.sqrt(x));
    expect(worst(matmul(matmul(root, cov, 20, 20, 20), root, 20, 20, 20), identity(20))).toBeLessThan(1e-12);
  });
});

describe('svd and pseudo-inverse', () => {
  it.each([
    [30, 12],
    [12, 30],
    [25, 25],
  ])('%i × %i: rebuilds A, orthonormal both sides', (rows, columns) => {
    const a = gaussian(rows, columns, rows);
    const { values, left, right } = svd(a, rows, columns);
    const r = Math.min(rows, columns);
    const scaled = right.map((x, p) => x * values[Math.floor(p / columns)]);
    expect(worst(matmul(transpose(left, r, rows), scaled, rows, r, columns), a)).toBeLessThan(1e-13 * 30);
    expect(worst(matmul(left, transpose(left, r, rows), r, rows, r), identity(r))).toBeLessThan(1e-13);
    expect(worst(matmul(right, transpose(right, r, columns), r, columns, r), identity(r))).toBeLessThan(
      1e-13,
    );
  });

  it('keeps small singular values: planted 1 … 1e-12 come back to 4 digits, where AᵀA alone stops at 1e-8', () => {
    const n = 13;
    const u = randomOrthogonal(n, n, new Rng(1));
    const v = randomOrthogonal(n, n, new Rng(2));
    const planted = Array.from({ length: n }, (_, k) => 10 ** -k);
    const a = matmul(
      u,
      v.map((x, p) => x * planted[Math.floor(p / n)]),
      n,
      n,
      n,
    );
    svd(a, n, n).values.forEach((s, k) => {
      expect(Math.abs(s / planted[k] - 1)).toBeLessThan(1e-3);
    });
  });

  it('pseudo-inverse and truncation equal numpy; the four Moore-Penrose conditions hold at deficient rank', () => {
    const { matrix, rows, cols, pinv, pinv_truncated, singular } = goldens;
    const m = Float64Array.from(matrix);
    expect(worst(svd(m, rows, cols).values, singular)).toBeLessThan(1e-13);
    expect(worst(pseudoInverse(m, rows, cols).matrix, pinv)).toBeLessThan(1e-13);
    const truncated = pseudoInverse(m, rows, cols, 0.5);
    expect(worst(truncated.matrix, pinv_truncated)).toBeLessThan(1e-13);
    expect(truncated.rank).toBe(singular.filter((s) => s > 0.5 * singular[0]).length);

    const a = matmul(gaussian(10, 4, 1), gaussian(4, 8, 2), 10, 4, 8);
    const { matrix: p, rank } = pseudoInverse(a, 10, 8);
    expect(rank).toBe(4);
    const ap = matmul(a, p, 10, 8, 10);
    const pa = matmul(p, a, 8, 10, 8);
    expect(worst(matmul(ap, a, 10, 10, 8), a)).toBeLessThan(1e-12);
    expect(worst(matmul(pa, p, 8, 8, 10), p)).toBeLessThan(1e-12);
    expect(worst(transpose(ap, 10, 10), ap)).toBeLessThan(1e-12);
    expect(worst(transpose(pa, 8, 8), pa)).toBeLessThan(1e-12);
    expect(pseudoInverse(new Float64Array(6), 2, 3).rank).toBe(0);
  });

  it('the pseudo-inverse of a wide map of rank 51, as fits of few rows are: finite, and its four conditions hold', () => {
    const [m, n, r] = [96, 64, 51];
    const a = matmul(gaussian(m, r, 3), gaussian(r, n, 4), m, r, n);
    const { matrix: p, rank } = pseudoInverse(a, m, n);
    expect(rank).toBe(r);
    expect(Math.max(...p.map(Math.abs))).toBeLessThan(10);
    const [ap, pa] = [matmul(a, p, m, n, m), matmul(p, a, n, m, n)];
    expect(worst(matmul(ap, a, m, m, n), a)).toBeLessThan(1e-10);
    expect(worst(matmul(pa, p, n, n, m), p)).toBeLessThan(1e-10);
    expect(worst(transpose(ap, m, m), ap)).toBeLessThan(1e-10);
    expect(worst(transpose(pa, n, n), pa)).toBeLessThan(1e-10);
    // A⁺A is a projection onto r directions
    expect(
      Math.abs(Array.from({ length: n }, (_, i) => pa[i * n + i] as number).reduce((x, y) => x + y) - r),
    ).toBeLessThan(1e-9);
  });

  it('nearestOrthogonal finds a planted rotation, also from a matrix of deficient rank', () => {
    const q = randomOrthogonal(9, 9, new Rng(4));
    const g = gaussian(30, 9, 6);
    const spread = matmul(q, matmulTN(g, g, 30, 9, 9), 9, 9, 9); // Q times a positive definite matrix
    expect(worst(nearestOrthogonal(spread, 9, 9), q)).toBeLessThan(1e-12);
    const flat = new Float64Array(81);
    flat[0] = 2;
    const o = nearestOrthogonal(flat, 9, 9);
    expect(worst(matmul(o, transpose(o, 9, 9), 9, 9, 9), identity(9))).toBeLessThan(1e-12);
    expect(o[0]).toBeCloseTo(1, 14);
  });
});

describe('randomOrthogonal', () => {
  it('is orthonormal along the shorter side, seeded, and has no preferred direction', () => {
    const wide = randomOrthogonal(5, 40, new Rng(1));
    expect(worst(matmul(wide, transpose(wide, 5, 40), 5, 40, 5), identity(5))).toBeLessThan(1e-14);
    const tall = randomOrthogonal(40, 5, new Rng(1));
    expect(worst(matmulTN(tall, tall, 40, 5, 5), identity(5))).toBeLessThan(1e-14);
    expect(randomOrthogonal(4, 4, new Rng(3))).toEqual(randomOrthogonal(4, 4, new Rng(3)));
    // Haar: every entry has mean 0 and variance 1/n.
    const rng = new Rng(9);
    let total = 0;
    let squares = 0;
    for (let i = 0; i < 2000; i++) {
      const corner = randomOrthogonal(3, 3, rng)[0];
      total += corner;
      squares += corner * corner;
    }
    expect(Math.abs(total / 2000)).toBeLessThan(0.05);
    expect(Math.abs(squares / 2000 - 1 / 3)).toBeLessThan(0.03);
  });
});

describe('matrices without full rank, graded or of extreme size', () => {
  const rng = new Rng(21);
  const random = (n: number): Float64Array => Float64Array.from({ length: n }, () => rng.normal());
  /** rows×columns of rank `rank`, as float32 stores it, times `size`. */
  const lacking = (rows: number, columns: number, rank: number, size = 1): Float64Array =>
    Float64Array.from(
      Float32Array.from(matmul(random(rows * rank), random(rank * columns), rows, rank, columns)),
      (x) => x * size,
    );
  const graded = (n: number, ratio: number): Float64Array => {
    const a = random(n * n);
    return a.map((x, i) => x * ratio ** Math.floor(i / n) * ratio ** (i % n));
  };
  const diagonal = (...values: number[]): Float64Array => {
    const n = values.length;
    return Float64Array.from({ length: n * n }, (_, i) => (i % n === Math.floor(i / n) ? values[i % n]! : 0));
  };
  it.each([
    ['rank 51 of 128', lacking(128, 128, 51), 128, 128],
    ['rank 1', lacking(40, 30, 1), 40, 30],
    ['rank 3, wide', lacking(20, 64, 3), 20, 64],
    ['nothing', new Float64Array(64), 8, 8],
    ['all ones', new Float64Array(64 * 64).fill(1), 64, 64],
    ['graded by halves', graded(60, 0.5), 60, 60],
    ['graded by hundreds', graded(30, 0.01), 30, 30],
    ['graded upwards', graded(40, 3), 40, 40],
    ['near the largest number', lacking(24, 24, 12, 1e300), 24, 24],
    ['near the smallest number', lacking(24, 24, 12, 1e-300), 24, 24],
    ['a diagonal of every size', diagonal(1e300, 1, 1e-160, 1e-300, 0), 5, 5],
  ])('%s: the singular values converge and give the matrix back', (_, a, rows, columns) => {
    const { values, left, right } = svd(a, rows, columns);
    const r = Math.min(rows, columns);
    const scale = Math.max(values[0]!, Number.MIN_VALUE);
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        let sum = 0;
        for (let k = 0; k < r; k++)
          sum += (values[k]! / scale) * left[k * rows + i]! * right[k * columns + j]!;
        expect(Math.abs(sum - a[i * columns + j]! / scale)).toBeLessThan(1e-13);
      }
    for (let k = 1; k < r; k++) expect(values[k]!).toBeLessThanOrEqual(values[k - 1]!);
  });

  it('eigenvalues of a Gram matrix without rank are those of the product, the rest nothing', () => {
    const a = lacking(50, 128, 20);
    const gram = matmulTN(a, a, 50, 128, 128);
    const { values } = symmetricEigen(gram, 128);
    const singular = svd(a, 50, 128).values;
    for (let k = 0; k < 20; k++) expect(Math.abs(values[k]! / singular[k]! ** 2 - 1)).toBeLessThan(1e-12);
    for (let k = 50; k < 128; k++) expect(Math.abs(values[k]! / values[0]!)).toBeLessThan(1e-13);
  });

  it('values that are no numbers are refused', () => {
    expect(() => svd(Float64Array.of(1, Number.NaN), 1, 2)).toThrow(/finite numbers, got NaN/);
    expect(() => symmetricEigen(Float64Array.of(Number.POSITIVE_INFINITY), 1)).toThrow(/finite numbers/);
  });
});
