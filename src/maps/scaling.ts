/** @file Rows standardised inside a graph: mean 0 and deviation 1 in every dimension. */
import { constant, f32, mul, type Node, sub } from '../engine/index.ts';
import type { Gram } from './linalg.ts';

/** Mean and scale of each dimension on both sides: 0 and 1 when nothing is standardised. */
export interface Scaling {
  readonly meanX: Float64Array;
  readonly scaleX: Float64Array;
  readonly meanY: Float64Array;
  readonly scaleY: Float64Array;
}

/** The scaling of the rows behind `gram`. */
export function scalingOf(gram: Gram, standardize: boolean): Scaling {
  const ones = (d: number): Float64Array => new Float64Array(d).fill(1);
  if (!standardize)
    return {
      meanX: new Float64Array(gram.dx),
      scaleX: ones(gram.dx),
      meanY: new Float64Array(gram.dy),
      scaleY: ones(gram.dy),
    };
  const deviationY = gram.yyDiagonal.map((s) => Math.sqrt(Math.max(0, s) / gram.count));
  return {
    meanX: gram.meanX,
    scaleX: floored(gram.deviationX()),
    meanY: gram.meanY,
    scaleY: floored(deviationY),
  };
}

/** Deviations, none below 1e-6 of the largest: a dimension that never varies is not blown up. */
function floored(deviation: Float64Array): Float64Array {
  const least = 1e-6 * deviation.reduce((a, b) => Math.max(a, b), 0) || 1;
  return deviation.map((s) => Math.max(s, least));
}

/** (x − mean) / scale, left alone where that does nothing. */
export function scaled(x: Node, mean: Float64Array, scale: Float64Array): Node {
  if (mean.every((m) => m === 0) && scale.every((s) => s === 1)) return x;
  const d = mean.length;
  return mul(
    sub(x, constant(f32([d], mean))),
    constant(
      f32(
        [d],
        scale.map((s) => 1 / s),
      ),
    ),
  );
}
