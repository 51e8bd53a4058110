/** @file Helpers of the engine's tests: random tensors, central differences, comparison; `sampleOp` from `testing-samples.ts`. */
import type { Rng } from '../base/index.ts';
import type { Graph } from './graph.ts';
import { interpret } from './interpret.ts';
import { sizeOf, type Tensor, tensor } from './tensor.ts';

export { type Sample, sampleOp } from './testing-samples.ts';

/** Tensor of independent normal numbers, exact in f32. */
export function randomTensor(
  rng: Rng,
  dtype: 'f32' | 'f64',
  shape: readonly number[],
  deviation = 1,
): Tensor<'f32' | 'f64'> {
  const values = Float32Array.from({ length: sizeOf(shape) }, () => deviation * rng.normal());
  return dtype === 'f32' ? tensor('f32', shape, values) : tensor('f64', shape, Float64Array.from(values));
}

/**
 * Derivative at t = 0 of f along a line, by the five-point central difference
 * (f(−2h) − 8f(−h) + 8f(h) − f(2h)) / 12h, error O(h⁴) (Abramowitz & Stegun 25.3.6).
 */
export function centralDifference(f: (t: number) => number, h = 1e-3): number {
  return (f(-2 * h) - 8 * f(-h) + 8 * f(h) - f(2 * h)) / (12 * h);
}

/**
 * Derivative of Σ seed · output at `feeds` when the f64 feed `name` moves along `direction`.
 *
 * @param seeds for each output that counts, the weight of each of its elements
 */
export function directionalDerivative(
  graph: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  seeds: Readonly<Record<string, Float64Array>>,
  name: string,
  direction: Float64Array,
): number {
  const at = feeds[name] as Tensor<'f64'>;
  return centralDifference((t) => {
    const data = at.data.map((x, i) => x + t * direction[i]);
    const outputs = interpret(graph, { ...feeds, [name]: tensor('f64', at.shape, data) });
    return Object.entries(seeds).reduce(
      (sum, [output, seed]) => sum + dot(seed, (outputs[output] as Tensor<'f64'>).data),
      0,
    );
  });
}

/** Σ aᵢ bᵢ */
export function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, x, i) => sum + x * b[i], 0);
}

/** Largest |aᵢ − bᵢ|; infinite when the lengths differ or a NaN occurs. */
export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i] - b[i]);
    if (!(d <= largest)) largest = Number.isNaN(d) ? Number.POSITIVE_INFINITY : d;
  }
  return largest;
}
