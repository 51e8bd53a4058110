/** @file Random orthogonal matrices. */
import type { Rng } from '../../base/index.ts';
import { addScaled, dot } from './product.ts';

/**
 * A matrix [rows×columns] drawn uniformly (Haar) among those with orthonormal rows (rows ≤ columns) or columns: the QR factor with
 * positive diagonal of a Gaussian matrix, by Gram-Schmidt run twice (F. Mezzadri, Notices of the AMS 54, 2007).
 */
export function randomOrthogonal(rows: number, columns: number, rng: Rng): Float64Array {
  const count = Math.min(rows, columns);
  const length = Math.max(rows, columns);
  const q = new Float64Array(count * length);
  for (let k = 0; k < count; k++) {
    const v = q.subarray(k * length, (k + 1) * length);
    for (let i = 0; i < length; i++) v[i] = rng.normal();
    for (let pass = 0; pass < 2; pass++)
      for (let j = 0; j < k; j++) addScaled(v, 0, -dot(q, j * length, v, 0, length), q, j * length, length);
    const norm = Math.sqrt(dot(v, 0, v, 0, length));
    for (let i = 0; i < length; i++) v[i] = v[i] / norm;
  }
  if (rows <= columns) return q;
  const out = new Float64Array(rows * columns);
  for (let k = 0; k < count; k++) for (let i = 0; i < length; i++) out[i * columns + k] = q[k * length + i]!;
  return out;
}
