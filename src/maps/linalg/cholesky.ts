/** @file Cholesky factorisation A = L Lᵀ of a symmetric positive definite matrix, blocked, and solving with it. */
import { CrosspatchError } from '../../base/index.ts';
import { addProduct, checkSize, transpose, view } from './product.ts';

const BLOCK = 64;

/**
 * Lower factor L [n×n] (zeros above the diagonal) of A [n×n], of which only the lower triangle is read. Right-looking: factor a
 * diagonal block, solve the panel below it, subtract the panel's product from the rest. Throws when A is not positive definite.
 */
export function cholesky(a: Float64Array, n: number): Float64Array {
  checkSize('cholesky', a, n, n);
  const l = a.slice();
  for (let k0 = 0; k0 < n; k0 += BLOCK) {
    const k1 = Math.min(k0 + BLOCK, n);
    factorColumns(l, n, k0, k1);
    const below = n - k1;
    if (below === 0) break;
    const panel = view(l, n, k1 * n + k0); // [below × (k1−k0)]
    const width = k1 - k0;
    const across = new Float64Array(width * below);
    for (let i = 0; i < below; i++)
      for (let t = 0; t < width; t++) across[t * below + i] = l[(k1 + i) * n + k0 + t]!;
    addProduct(-1, panel, view(across, below), view(l, n, k1 * n + k1), below, below, width, true);
  }
  for (let i = 0; i < n; i++) l.fill(0, i * n + i + 1, (i + 1) * n);
  return l;
}

/** Columns k0 … k1 of L, all rows below, given that earlier columns were already subtracted. */
function factorColumns(l: Float64Array, n: number, k0: number, k1: number): void {
  for (let i = k0; i < n; i++) {
    const last = Math.min(i, k1 - 1);
    for (let j = k0; j <= last; j++) {
      let sum = l[i * n + j];
      for (let t = k0; t < j; t++) sum -= l[i * n + t] * l[j * n + t];
      if (i !== j) l[i * n + j] = sum / l[j * n + j];
      else if (sum > 0) l[i * n + i] = Math.sqrt(sum);
      else
        throw new CrosspatchError(
          `cholesky: the [${n}×${n}] matrix is not positive definite (pivot ${i} is ${sum}); raise the ridge strength`,
          { id: 'fit-impossible' },
        );
    }
  }
}

/** X [n×columns] with L Lᵀ X = B [n×columns], for L from {@link cholesky}. Forward then backward substitution, by blocks of rows. */
export function solveCholesky(l: Float64Array, b: Float64Array, n: number, columns: number): Float64Array {
  checkSize('solveCholesky factor', l, n, n);
  checkSize('solveCholesky right side', b, n, columns);
  const x = b.slice();
  substitute(l, x, n, columns);
  // Lᵀ is lower triangular with rows and columns counted from the end: reverse, substitute, reverse.
  const reversed = transpose(l, n, n).reverse();
  reverseRows(x, n, columns);
  substitute(reversed, x, n, columns);
  reverseRows(x, n, columns);
  return x;
}

/** X ← L⁻¹ X. */
function substitute(l: Float64Array, x: Float64Array, n: number, columns: number): void {
  for (let i0 = 0; i0 < n; i0 += BLOCK) {
    const i1 = Math.min(i0 + BLOCK, n);
    addProduct(
      -1,
      view(l, n, i0 * n),
      view(x, columns),
      view(x, columns, i0 * columns),
      i1 - i0,
      columns,
      i0,
    );
    for (let i = i0; i < i1; i++) {
      const row = x.subarray(i * columns, (i + 1) * columns);
      for (let t = i0; t < i; t++) {
        const factor = l[i * n + t];
        const from = t * columns;
        for (let j = 0; j < columns; j++) row[j] = row[j] - factor * x[from + j];
      }
      const scale = 1 / l[i * n + i];
      for (let j = 0; j < columns; j++) row[j] = row[j] * scale;
    }
  }
}

function reverseRows(x: Float64Array, n: number, columns: number): void {
  const held = new Float64Array(columns);
  for (let i = 0, j = n - 1; i < j; i++, j--) {
    held.set(x.subarray(i * columns, (i + 1) * columns));
    x.copyWithin(i * columns, j * columns, (j + 1) * columns);
    x.set(held, j * columns);
  }
}
