/**
 * @file Eigendecomposition of a symmetric matrix: Householder reduction to tridiagonal form, then implicit QL with Wilkinson
 * shifts (Golub & Van Loan, "Matrix Computations", §8.3). Eigenvectors are kept as rows, so every rotation runs along memory.
 * Of the order of a second at n = 512, ten at 1024.
 */
import { CrosspatchError } from '../../base/index.ts';
import { addProduct, addScaled, checkSize, dot, flipped, view } from './product.ts';

/** A = Σ_k values[k] v_k v_kᵀ. */
export interface Eigen {
  /** Eigenvalues, falling. [n] */
  readonly values: Float64Array;
  /** Row k is the unit eigenvector v_k. [n×n] */
  readonly vectors: Float64Array;
}

/** All eigenvalues and orthonormal eigenvectors of the symmetric A [n×n] (lower triangle read). */
export function symmetricEigen(a: Float64Array, n: number): Eigen {
  checkSize('symmetricEigen', a, n, n);
  const { scaled, factor } = toUnitScale(a);
  const { diagonal, off, vectors } = tridiagonalise(scaled, n);
  implicitQl(diagonal, off, vectors, n);
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => diagonal[j] - diagonal[i]);
  const sorted: Eigen = { values: new Float64Array(n), vectors: new Float64Array(n * n) };
  order.forEach((from, to) => {
    sorted.values[to] = diagonal[from]! * factor;
    sorted.vectors.set(vectors.subarray(from * n, (from + 1) * n), to * n);
  });
  return sorted;
}

/** Σ_k f(values[k]) v_k v_kᵀ, e.g. the inverse square root for whitening. [n×n] */
export function symmetricFunction(eigen: Eigen, f: (value: number) => number): Float64Array {
  const n = eigen.values.length;
  const scaled = eigen.vectors.slice();
  for (let k = 0; k < n; k++) {
    const s = f(eigen.values[k]);
    for (let i = 0; i < n; i++) scaled[k * n + i] = scaled[k * n + i] * s;
  }
  const out = new Float64Array(n * n);
  addProduct(1, flipped(view(eigen.vectors, n)), view(scaled, n), view(out, n), n, n, n);
  return out;
}

/**
 * `a` as `scaled` × `factor`, a power of two, so that the largest magnitude lies in [½, 1): squares of it can neither overflow nor all
 * vanish.
 *
 * @throws CrosspatchError for values that are NaN or infinite
 */
export function toUnitScale(a: Float64Array): { scaled: Float64Array; factor: number } {
  let largest = 0;
  for (const x of a) {
    if (!Number.isFinite(x))
      throw new CrosspatchError(`linear algebra: wanted finite numbers, got ${x}`, { id: 'not-a-number' });
    largest = Math.max(largest, Math.abs(x));
  }
  // 2¹⁰²⁴ is no number: the largest exponents are halved once more by the product of two
  const exponent = largest === 0 ? 0 : Math.min(1023, Math.floor(Math.log2(largest)) + 1);
  const half = 2 ** -Math.trunc(exponent / 2);
  const rest = 2 ** -(exponent - Math.trunc(exponent / 2));
  return { scaled: a.map((x) => x * half * rest), factor: 2 ** exponent };
}

/** A = Q T Qᵀ with T tridiagonal; `vectors` holds Qᵀ, `off[i]` = T[i, i+1]. */
function tridiagonalise(
  source: Float64Array,
  n: number,
): { diagonal: Float64Array; off: Float64Array; vectors: Float64Array } {
  const a = source.slice();
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) a[j * n + i] = a[i * n + j]!;
  const diagonal = new Float64Array(n);
  const off = new Float64Array(n);
  const betas = new Float64Array(n);
  const w = new Float64Array(n);
  for (let k = 0; k < n - 1; k++) {
    // Reflector (I − β v vᵀ) sending row k right of the diagonal to a multiple of e_{k+1}; v is kept in that row.
    const v = a.subarray(k * n, (k + 1) * n);
    diagonal[k] = v[k]!;
    let scale = 0;
    for (let i = k + 1; i < n; i++) scale = Math.max(scale, Math.abs(v[i]));
    let rest = 0;
    for (let i = k + 2; i < n; i++) rest += (v[i] / scale) ** 2;
    if (scale === 0 || rest === 0) {
      off[k] = v[k + 1]!;
      continue; // already tridiagonal here: β = 0
    }
    const head = v[k + 1] / scale;
    const norm = Math.sqrt(head * head + rest);
    const alpha = head > 0 ? -norm : norm;
    off[k] = alpha * scale;
    for (let i = k + 1; i < n; i++) v[i] = v[i] / scale;
    v[k + 1] = head - alpha;
    const beta = 1 / (norm * (norm + Math.abs(head)));
    betas[k] = beta;
    // w = β A v − ½β²(vᵀAv) v; then A ← A − v wᵀ − w vᵀ on the trailing block.
    let vAv = 0;
    for (let i = k + 1; i < n; i++) {
      w[i] = beta * dot(a, i * n + k + 1, v, k + 1, n - k - 1);
      vAv += w[i] * v[i];
    }
    const half = (beta * vAv) / 2;
    for (let i = k + 1; i < n; i++) w[i] = w[i] - half * v[i];
    for (let i = k + 1; i < n; i++) {
      const vi = v[i];
      const wi = w[i];
      const row = i * n;
      for (let j = k + 1; j < n; j++) a[row + j] = a[row + j] - vi * w[j] - wi * v[j];
    }
  }
  diagonal[n - 1] = a[n * n - 1]!;
  return { diagonal, off, vectors: accumulate(a, betas, n) };
}

/** Qᵀ = H_{n−2} … H_0, built from the last reflector back so that each touches only the trailing block. */
function accumulate(reflectors: Float64Array, betas: Float64Array, n: number): Float64Array {
  const q = new Float64Array(n * n);
  for (let i = 0; i < n; i++) q[i * n + i] = 1;
  for (let k = n - 2; k >= 0; k--) {
    const beta = betas[k];
    if (beta === 0) continue;
    const v = reflectors.subarray(k * n, (k + 1) * n);
    // Qᵀ ← Qᵀ H_k, rows below k only: q_i ← q_i − β (q_i · v) v
    for (let i = k + 1; i < n; i++) {
      const overlap = dot(q, i * n + k + 1, v, k + 1, n - k - 1);
      addScaled(q, i * n + k + 1, -beta * overlap, v, k + 1, n - k - 1);
    }
  }
  return q;
}

/** QL iteration on (diagonal, off), rotating the rows of `vectors` along. */
function implicitQl(d: Float64Array, e: Float64Array, vectors: Float64Array, n: number): void {
  let norm = 0;
  for (let i = 0; i < n; i++) norm = Math.max(norm, Math.abs(d[i]) + Math.abs(e[i]));
  for (let l = 0; l < n; l++) {
    for (let sweep = 0; ; sweep++) {
      let m = l;
      for (; m < n - 1; m++) {
        const size = Math.abs(d[m]) + Math.abs(d[m + 1]);
        // Small against its neighbours keeps small eigenvalues exact. Where a matrix lacks rank those neighbours are rounding
        // themselves, and nothing is small against them: then small against the matrix must do (it is what EISPACK's tql2 asks).
        if (Math.abs(e[m]) <= Number.EPSILON * (sweep < 30 ? size : norm)) break;
      }
      if (m === l) break;
      if (sweep === 120)
        throw new CrosspatchError('symmetricEigen: no convergence; is the matrix finite?', {
          id: 'fit-impossible',
        });
      chase(d, e, vectors, n, l, m);
    }
  }
}

/** One implicit QL step on the unreduced block l … m. */
function chase(
  d: Float64Array,
  e: Float64Array,
  vectors: Float64Array,
  n: number,
  l: number,
  m: number,
): void {
  let g = (d[l + 1] - d[l]) / (2 * e[l]);
  let r = Math.hypot(g, 1);
  g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
  let s = 1;
  let c = 1;
  let p = 0;
  for (let i = m - 1; i >= l; i--) {
    const f = s * e[i];
    const b = c * e[i];
    r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      // The bulge vanished: the block splits here.
      d[i + 1] = d[i + 1] - p;
      e[m] = 0;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    rotateRows(vectors, n, i, c, s);
  }
  d[l] = d[l] - p;
  e[l] = g;
  e[m] = 0;
}

/** (v_i, v_{i+1}) ← (c v_i − s v_{i+1}, s v_i + c v_{i+1}). */
function rotateRows(vectors: Float64Array, n: number, i: number, c: number, s: number): void {
  const low = i * n;
  const high = low + n;
  for (let k = 0; k < n; k++) {
    const x = vectors[low + k];
    const y = vectors[high + k];
    vectors[high + k] = s * x + c * y;
    vectors[low + k] = c * x - s * y;
  }
}
