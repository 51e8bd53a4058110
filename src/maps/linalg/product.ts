/**
 * @file Dense float64 products in plain loops, register-tiled and cache-blocked (about 2 GFLOP/s on one core). All matrices are
 * row-major; `[r×c]` means r·c numbers, row after row.
 */

/** A rectangle inside a matrix: element (i, j) is `data[offset + i * row + j * column]`. */
interface View {
  readonly data: Float64Array;
  readonly offset: number;
  readonly row: number;
  readonly column: number;
}

/** The transpose of a view: same numbers, strides swapped. */
export function flipped(v: View): View {
  return { data: v.data, offset: v.offset, row: v.column, column: v.row };
}

const DEPTH = 64; // rows of B handled at once, so that they stay in the second-level cache
const WIDTH = 512; // columns of B and C handled at once: 4 KiB per row, six rows in the first-level cache

/**
 * C[m×n] += alpha · A[m×k] · B[k×n]. A may have any strides (a {@link flipped} view multiplies by the transpose); B and C must have
 * column stride 1. With `lower` a row of C is computed up to its diagonal (and at most one entry more, which is then unspecified).
 */
export function addProduct(
  alpha: number,
  a: View,
  b: View,
  c: View,
  m: number,
  n: number,
  k: number,
  lower = false,
): void {
  for (let k0 = 0; k0 < k; k0 += DEPTH) {
    const k1 = Math.min(k0 + DEPTH, k);
    for (let j0 = 0; j0 < n; j0 += WIDTH) {
      const width = Math.min(WIDTH, n - j0);
      for (let i = lower ? j0 & ~1 : 0; i < m; i += 2) {
        const span = lower ? Math.min(width, i + 2 - j0) : width;
        const pair = i + 1 < m;
        let t = k0;
        if (pair) for (; t + 4 <= k1; t += 4) pairOfRows(alpha, a, b, c, i, t, j0, span);
        for (; t < k1; t++) {
          oneRow(alpha, a, b, c, i, t, j0, span);
          if (pair) oneRow(alpha, a, b, c, i + 1, t, j0, span);
        }
      }
    }
  }
}

/** Two rows of C gather four rows of B: sixteen operations for eight memory accesses a column. */
function pairOfRows(
  alpha: number,
  a: View,
  b: View,
  c: View,
  i: number,
  t: number,
  j0: number,
  span: number,
): void {
  const x = a.data;
  const p = a.offset + i * a.row + t * a.column;
  const q = p + a.row;
  const x0 = alpha * x[p];
  const x1 = alpha * x[p + a.column];
  const x2 = alpha * x[p + 2 * a.column];
  const x3 = alpha * x[p + 3 * a.column];
  const z0 = alpha * x[q];
  const z1 = alpha * x[q + a.column];
  const z2 = alpha * x[q + 2 * a.column];
  const z3 = alpha * x[q + 3 * a.column];
  const y = b.data;
  const b0 = b.offset + t * b.row + j0;
  const b1 = b0 + b.row;
  const b2 = b1 + b.row;
  const b3 = b2 + b.row;
  const out = c.data;
  const r0 = c.offset + i * c.row + j0;
  const r1 = r0 + c.row;
  for (let j = 0; j < span; j++) {
    const y0 = y[b0 + j];
    const y1 = y[b1 + j];
    const y2 = y[b2 + j];
    const y3 = y[b3 + j];
    out[r0 + j] = out[r0 + j] + x0 * y0 + x1 * y1 + x2 * y2 + x3 * y3;
    out[r1 + j] = out[r1 + j] + z0 * y0 + z1 * y1 + z2 * y2 + z3 * y3;
  }
}

function oneRow(
  alpha: number,
  a: View,
  b: View,
  c: View,
  i: number,
  t: number,
  j0: number,
  span: number,
): void {
  const x = alpha * a.data[a.offset + i * a.row + t * a.column];
  const from = b.offset + t * b.row + j0;
  const to = c.offset + i * c.row + j0;
  for (let j = 0; j < span; j++) c.data[to + j] = c.data[to + j] + x * b.data[from + j];
}

/** A row-major matrix with `columns` columns, from `offset` on, as a {@link View}. */
export function view(data: Float64Array, columns: number, offset = 0): View {
  return { data, offset, row: columns, column: 1 };
}

/** Aᵀ [c×r] of A [r×c]. */
export function transpose(a: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(rows * columns);
  const block = 32;
  for (let i0 = 0; i0 < rows; i0 += block)
    for (let j0 = 0; j0 < columns; j0 += block)
      for (let i = i0; i < Math.min(i0 + block, rows); i++)
        for (let j = j0; j < Math.min(j0 + block, columns); j++) out[j * rows + i] = a[i * columns + j]!;
  return out;
}

/** A [m×k] · B [k×n] → [m×n]. */
export function matmul(a: Float64Array, b: Float64Array, m: number, k: number, n: number): Float64Array {
  checkSize('matmul left', a, m, k);
  checkSize('matmul right', b, k, n);
  const c = new Float64Array(m * n);
  addProduct(1, view(a, k), view(b, n), view(c, n), m, n, k);
  return c;
}

/** A product Xᵀ [dx×rows] · Y [rows×dy] → [dx×dy]; what {@link Gram} needs, and what another engine may supply. */
export type MatmulTN = (
  x: Float64Array,
  y: Float64Array,
  rows: number,
  dx: number,
  dy: number,
) => Float64Array | Float32Array | Promise<Float64Array | Float32Array>;

/** {@link MatmulTN} in plain loops. When `x` is `y` only half is computed and mirrored. */
export function matmulTN(
  x: Float64Array,
  y: Float64Array,
  rows: number,
  dx: number,
  dy: number,
): Float64Array {
  checkSize('matmulTN left', x, rows, dx);
  checkSize('matmulTN right', y, rows, dy);
  const c = new Float64Array(dx * dy);
  const isGram = x === y;
  addProduct(1, flipped(view(x, dx)), view(y, dy), view(c, dy), dx, dy, rows, isGram);
  if (isGram) mirrorLower(c, dx);
  return c;
}

/** Copy the lower triangle of A [n×n] onto the upper. */
function mirrorLower(a: Float64Array, n: number): void {
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) a[j * n + i] = a[i * n + j]!;
}

/** Throw unless `data` holds rows × columns numbers. */
export function checkSize(where: string, data: ArrayLike<number>, rows: number, columns: number): void {
  if (data.length !== rows * columns)
    throw new RangeError(
      `${where}: wanted [${rows}×${columns}] = ${rows * columns} numbers, got ${data.length}`,
    );
}

/** Σ a[p + i] b[q + i], i < length; four running sums, since one would wait for itself. */
export function dot(a: Float64Array, p: number, b: Float64Array, q: number, length: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    s0 += a[p + i] * b[q + i];
    s1 += a[p + i + 1] * b[q + i + 1];
    s2 += a[p + i + 2] * b[q + i + 2];
    s3 += a[p + i + 3] * b[q + i + 3];
  }
  for (; i < length; i++) s0 += a[p + i] * b[q + i];
  return s0 + s1 + (s2 + s3);
}

/** a[p + i] += scale · b[q + i], i < length. */
export function addScaled(
  a: Float64Array,
  p: number,
  scale: number,
  b: Float64Array,
  q: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) a[p + i] = a[p + i] + scale * b[q + i];
}
