/** @file The first principal component of pair differences, through the smaller of the two Gram matrices. n pairs, D width. */
import { InputError } from '../../base/index.ts';
import { symmetricEigen } from '../../maps/index.ts';
import { type Labelled, rowOf } from './labelled.ts';

/**
 * Unit vector u [D] of the largest Σ (δ_i·u)², δ_i = positive_i − negative_i, and its share of Σ ‖δ_i‖². `centred`: δ less their mean, as
 * scikit-learn's PCA has it; else as they are, which is the PCA of the rows each centred on the middle of its pair.
 *
 * @throws InputError for fewer than two pairs, and for differences that are all the same (none, where not centred)
 */
export function firstComponent(
  set: Labelled,
  centred: boolean,
): { readonly vector: Float64Array; readonly explained: number } {
  const { width: d } = set;
  const n = set.positive.length;
  if (n < 2)
    throw new InputError(`vector: pca wants two training pairs or more, got ${n}`, { id: 'data-missing' });
  const rows = differences(set, centred);
  const small = n <= d;
  const size = small ? n : d;
  const gram = small ? outer(rows, n, d) : inner(rows, n, d);
  let total = 0;
  for (let i = 0; i < size; i++) total += gram[i * size + i];
  if (!(total > 0))
    throw new InputError('vector: pca wants pair differences that vary, got none that do', {
      id: 'vector-invalid',
    });
  const { values, vectors } = symmetricEigen(gram, size);
  const top = vectors.subarray(0, size);
  const vector = small ? combined(rows, top, d) : Float64Array.from(top);
  const norm = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  return { vector: vector.map((x) => x / norm), explained: Math.min(1, values[0] / total) };
}

function differences(set: Labelled, centred: boolean): Float64Array {
  const { width: d } = set;
  const n = set.positive.length;
  const out = new Float64Array(n * d);
  set.positive.forEach((p, i) => {
    const [a, b] = [rowOf(set, p), rowOf(set, set.negative[i])];
    for (let j = 0; j < d; j++) out[i * d + j] = a[j] - b[j];
  });
  if (!centred) return out;
  for (let j = 0; j < d; j++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += out[i * d + j];
    for (let i = 0; i < n; i++) out[i * d + j] -= sum / n;
  }
  return out;
}

/** X Xᵀ [n,n] */
function outer(x: Float64Array, n: number, d: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let k = 0; k <= i; k++) {
      let sum = 0;
      for (let j = 0; j < d; j++) sum += x[i * d + j] * x[k * d + j];
      out[i * n + k] = out[k * n + i] = sum;
    }
  return out;
}

/** Xᵀ X [D,D] */
function inner(x: Float64Array, n: number, d: number): Float64Array {
  const out = new Float64Array(d * d);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < d; j++) {
      const f = x[i * d + j];
      for (let k = 0; k < d; k++) out[j * d + k] += f * x[i * d + k];
    }
  return out;
}

/** Xᵀ c [D] */
function combined(x: Float64Array, c: Float64Array, d: number): Float64Array {
  const out = new Float64Array(d);
  c.forEach((f, i) => {
    for (let j = 0; j < d; j++) out[j] += f * x[i * d + j];
  });
  return out;
}
