/**
 * @file Singular value decomposition and pseudo-inverses. The eigenvectors of AᵀA give A V with nearly orthogonal columns; one-sided
 * Jacobi rotations (M. Hestenes 1958; Golub & Van Loan §8.6.3) then finish the job on A V itself, which restores the small singular
 * values that squaring the matrix loses.
 */
import { CrosspatchError } from '../../base/index.ts';
import { symmetricEigen, toUnitScale } from './eigen.ts';
import {
  addProduct,
  addScaled,
  checkSize,
  dot,
  flipped,
  matmul,
  matmulTN,
  transpose,
  view,
} from './product.ts';

/** A [m×n] = Σ_k values[k] u_k v_kᵀ, k < min(m, n). */
export interface Svd {
  /** Singular values, falling. [r] with r = min(m, n) */
  readonly values: Float64Array;
  /** Row k is the unit left vector u_k. [r×m] */
  readonly left: Float64Array;
  /** Row k is the unit right vector v_k. [r×n] */
  readonly right: Float64Array;
}

/** Economy SVD of A [rows×columns]. Left and right vectors are orthonormal also where singular values are zero. */
export function svd(a: Float64Array, rows: number, columns: number): Svd {
  checkSize('svd', a, rows, columns);
  const { scaled, factor } = toUnitScale(a);
  if (rows < columns) {
    const { values, left, right } = scaledSvd(transpose(scaled, rows, columns), columns, rows);
    return { values: values.map((s) => s * factor), left: right, right: left };
  }
  const { values, left, right } = scaledSvd(scaled, rows, columns);
  return { values: values.map((s) => s * factor), left, right };
}

/** {@link svd} of at least as many rows as columns, with entries of at most 1. */
function scaledSvd(a: Float64Array, rows: number, columns: number): Svd {
  const v = symmetricEigen(matmulTN(a, a, rows, columns, columns), columns).vectors;
  const av = new Float64Array(columns * rows); // row k = (A v_k)ᵀ
  addProduct(
    1,
    view(v, columns),
    view(transpose(a, rows, columns), rows),
    view(av, rows),
    columns,
    rows,
    columns,
  );
  jacobi(av, v, rows, columns);
  const norms = Float64Array.from({ length: columns }, (_, k) => length(av, k * rows, rows));
  const order = Array.from({ length: columns }, (_, k) => k).sort((i, j) => norms[j] - norms[i]);
  const result: Svd = {
    values: new Float64Array(columns),
    left: new Float64Array(columns * rows),
    right: new Float64Array(columns * columns),
  };
  order.forEach((from, to) => {
    const norm = norms[from];
    result.values[to] = norm;
    result.right.set(v.subarray(from * columns, (from + 1) * columns), to * columns);
    for (let i = 0; i < rows; i++) result.left[to * rows + i] = norm > 0 ? av[from * rows + i] / norm : 0;
  });
  completeRows(result.left, columns, rows);
  return result;
}

/** A pseudo-inverse and how many singular values it kept. */
export interface PseudoInverse {
  /** [columns×rows] */
  readonly matrix: Float64Array;
  readonly rank: number;
}

/**
 * Moore-Penrose inverse of A [rows×columns], dropping singular values ≤ `rtol` × the largest. `rtol` defaults to
 * max(rows, columns) × 2⁻⁵²: the full pseudo-inverse. A larger one gives the truncated inverse of docs/concepts/method.md#inverses.
 */
export function pseudoInverse(
  a: Float64Array,
  rows: number,
  columns: number,
  rtol = Math.max(rows, columns) * Number.EPSILON,
): PseudoInverse {
  const { values, left, right } = svd(a, rows, columns);
  const cut = rtol * (values[0] ?? 0);
  const rank = values.findIndex((s) => !(s > cut));
  const kept = rank === -1 ? values.length : rank;
  const scaled = left.slice(0, kept * rows);
  for (let k = 0; k < kept; k++)
    for (let i = 0; i < rows; i++) scaled[k * rows + i] = scaled[k * rows + i] / values[k];
  const matrix = new Float64Array(columns * rows);
  addProduct(1, flipped(view(right, columns)), view(scaled, rows), view(matrix, rows), columns, rows, kept);
  return { matrix, rank: kept };
}

/** U Vᵀ of the SVD A = U Σ Vᵀ: the nearest matrix with orthonormal rows or columns, as in the Procrustes problem. [rows×columns] */
export function nearestOrthogonal(a: Float64Array, rows: number, columns: number): Float64Array {
  const { left, right } = svd(a, rows, columns);
  const rank = Math.min(rows, columns);
  return matmul(transpose(left, rank, rows), right, rows, rank, columns);
}

/** Euclidean length of a part of `x`, also where its squares would vanish. */
function length(x: Float64Array, at: number, n: number): number {
  let most = 0;
  for (let i = at; i < at + n; i++) most = Math.max(most, Math.abs(x[i]));
  if (most === 0) return 0;
  let sum = 0;
  for (let i = at; i < at + n; i++) sum += (x[i] / most) ** 2;
  return most * Math.sqrt(sum);
}

/** Rotate pairs of rows of `b` [n×m] until all are orthogonal to 15 digits, rows of `v` [n×n] along with them. */
function jacobi(b: Float64Array, v: Float64Array, m: number, n: number): void {
  const norms = new Float64Array(n);
  for (let sweep = 0; sweep < 60; sweep++) {
    for (let k = 0; k < n; k++) norms[k] = dot(b, k * m, b, k * m, m);
    const largest = norms.reduce((x, y) => Math.max(x, y), 0);
    // What is left of a direction the matrix does not have is rounding; after many sweeps it need not be orthogonal to anything.
    const nothing = sweep < 20 ? 0 : largest * (m * Number.EPSILON) ** 2;
    let rotated = false;
    for (let i = 0; i < n - 1; i++)
      for (let j = i + 1; j < n; j++) {
        const cross = dot(b, i * m, b, j * m, m);
        const limit = 1e-15 * Math.sqrt(norms[i]) * Math.sqrt(norms[j]) * Math.sqrt(m);
        if (!(Math.abs(cross) > limit) || norms[i] <= nothing || norms[j] <= nothing) continue;
        rotated = true;
        const zeta = (norms[j] - norms[i]) / (2 * cross);
        const t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const c = 1 / Math.hypot(1, t);
        rotate(b, i * m, j * m, m, c, c * t);
        rotate(v, i * n, j * n, n, c, c * t);
        norms[i] = updated(b, i, m, norms[i], -t * cross);
        norms[j] = updated(b, j, m, norms[j], t * cross);
      }
    if (!rotated) return;
  }
  throw new CrosspatchError('svd: no convergence; is the matrix finite?', { id: 'fit-impossible' });
}

/** The squared norm of row `k` after it changed by `change`: summed again where the difference would be what rounding left. */
function updated(b: Float64Array, k: number, m: number, norm: number, change: number): number {
  const next = norm + change;
  return next > 0.5 * norm ? next : dot(b, k * m, b, k * m, m);
}

function rotate(b: Float64Array, p: number, q: number, length: number, c: number, s: number): void {
  for (let k = 0; k < length; k++) {
    const x = b[p + k];
    const y = b[q + k];
    b[p + k] = c * x - s * y;
    b[q + k] = s * x + c * y;
  }
}

/** Fill zero rows of `rows` [count×length] with unit vectors orthogonal to all others. */
function completeRows(rows: Float64Array, count: number, length: number): void {
  for (let k = 0, axis = 0; k < count; k++) {
    const row = rows.subarray(k * length, (k + 1) * length);
    while (row.every((x) => x === 0)) {
      row[axis++] = 1;
      for (let pass = 0; pass < 2; pass++)
        for (let j = 0; j < count; j++) {
          if (j === k) continue;
          const overlap = dot(rows, k * length, rows, j * length, length);
          addScaled(row, 0, -overlap, rows, j * length, length);
        }
      const norm = Math.sqrt(dot(rows, k * length, rows, k * length, length));
      for (let i = 0; i < length; i++) row[i] = norm > 0.5 / length ? row[i] / norm : 0;
    }
  }
}
