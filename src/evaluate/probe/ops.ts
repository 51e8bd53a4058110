/** @file What is done to the activations of a span, row by row: x the run's own [P,D], t those written in, v the difference they make. */
import { dot } from '../vector.ts';
import type { ProbeOp } from './question.ts';

interface Rows {
  readonly x: Float32Array;
  readonly t: Float32Array;
  readonly v: Float32Array;
  readonly alpha: number;
  readonly width: number;
}

export const OPS = {
  // x + α (t − x)
  set: ({ x, t, alpha }) => x.map((value, i) => value + alpha * (t[i] - value)),
  // x + α v
  add: ({ x, v, alpha }) => x.map((value, i) => value + alpha * v[i]),
  // x − α (x·v / v·v) v
  project: ({ x, v, alpha, width }) => {
    const out = x.slice();
    for (let from = 0; from < x.length; from += width) {
      const [row, along] = [x.subarray(from, from + width), v.subarray(from, from + width)];
      const share = dot(row, along) / (dot(along, along) || 1);
      for (let j = 0; j < width; j++) out[from + j] -= alpha * share * along[j];
    }
    return out;
  },
} as const satisfies Record<ProbeOp, (rows: Rows) => Float32Array<ArrayBuffer>>;
