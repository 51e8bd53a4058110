/** @file Linear algebra on float32 rows, summed in float64: a row's result is the same alone and in any block. */

/** x [n,dx] · Wᵀ, W [dy,dx], + b [dy] → [n,dy]. */
export function linearRows(
  x: Float32Array,
  n: number,
  weight: Float32Array,
  bias: Float32Array,
  dx: number,
  dy: number,
): Float32Array {
  const out = new Float32Array(n * dy);
  let i = 0;
  for (; i + 2 <= n; i += 2) twoRows(x, i, weight, bias, dx, dy, out);
  if (i < n) oneRow(x, i, weight, bias, dx, dy, out);
  return out;
}

/** Two rows share the loads of W; sums run in the same order as for one row. */
function twoRows(
  x: Float32Array,
  i: number,
  w: Float32Array,
  b: Float32Array,
  dx: number,
  dy: number,
  out: Float32Array,
): void {
  const p = i * dx;
  const q = p + dx;
  let j = 0;
  for (; j + 4 <= dy; j += 4) {
    const w0 = j * dx;
    const w1 = w0 + dx;
    const w2 = w1 + dx;
    const w3 = w2 + dx;
    let a0 = 0;
    let a1 = 0;
    let a2 = 0;
    let a3 = 0;
    let c0 = 0;
    let c1 = 0;
    let c2 = 0;
    let c3 = 0;
    for (let k = 0; k < dx; k++) {
      const u = x[p + k];
      const v = x[q + k];
      const m0 = w[w0 + k];
      const m1 = w[w1 + k];
      const m2 = w[w2 + k];
      const m3 = w[w3 + k];
      a0 += u * m0;
      a1 += u * m1;
      a2 += u * m2;
      a3 += u * m3;
      c0 += v * m0;
      c1 += v * m1;
      c2 += v * m2;
      c3 += v * m3;
    }
    const o = i * dy + j;
    out[o] = a0 + b[j];
    out[o + 1] = a1 + b[j + 1];
    out[o + 2] = a2 + b[j + 2];
    out[o + 3] = a3 + b[j + 3];
    out[o + dy] = c0 + b[j];
    out[o + dy + 1] = c1 + b[j + 1];
    out[o + dy + 2] = c2 + b[j + 2];
    out[o + dy + 3] = c3 + b[j + 3];
  }
  for (; j < dy; j++) {
    out[i * dy + j] = dotRow(x, p, w, j * dx, dx) + b[j];
    out[(i + 1) * dy + j] = dotRow(x, q, w, j * dx, dx) + b[j];
  }
}

function oneRow(
  x: Float32Array,
  i: number,
  w: Float32Array,
  b: Float32Array,
  dx: number,
  dy: number,
  out: Float32Array,
): void {
  for (let j = 0; j < dy; j++) out[i * dy + j] = dotRow(x, i * dx, w, j * dx, dx) + b[j];
}

function dotRow(x: Float32Array, p: number, w: Float32Array, q: number, length: number): number {
  let sum = 0;
  for (let k = 0; k < length; k++) sum += x[p + k] * w[q + k];
  return sum;
}

/** max(x, 0) in place. */
export function reluInPlace(x: Float32Array): Float32Array {
  for (let i = 0; i < x.length; i++) if (!(x[i] > 0)) x[i] = 0;
  return x;
}
