/**
 * @file `random`: ŷ = ȳ + s C_y^½ Q C_x^-½ (x − x̄), Q a random orthogonal matrix, s such that ŷ varies as much as y (docs/concepts/method.md#control-maps).
 * Right mean, right covariance, wrong directions: what noise of the right shape does.
 */
import { affineOf } from './affine.ts';
import { type FitContext, type FitData, type Fitted, leftOut } from './fit.ts';
import {
  biasThroughMeans,
  type Gram,
  matmul,
  randomOrthogonal,
  symmetricEigen,
  symmetricFunction,
} from './linalg.ts';
import { momentsOf } from './moments.ts';

/** Directions with less than this share of the largest variance are noise and are not whitened. */
const FLOOR = 1e-9;

export async function fitRandom(data: FitData, _settings: unknown, context: FitContext): Promise<Fitted> {
  const { gram, seconds } = await momentsOf(data.train, leftOut(context.fit), context);
  const { dx, dy } = gram;
  const covX = covariance(gram.xx, gram.count);
  const covY = covariance(gram.yy as Float64Array, gram.count);
  const whiten = power(covX, dx, -0.5);
  const colour = power(covY, dy, 0.5);
  const q = randomOrthogonal(dy, dx, context.rng.fork('random map'));
  const weight = matmul(matmul(colour, q, dy, dy, dx), whiten, dy, dx, dx);
  const scale = Math.sqrt(trace(covY, dy) / outputVariance(weight, covX, dx, dy));
  for (let p = 0; p < weight.length; p++) weight[p] = weight[p] * scale;
  return {
    body: affineOf({ weight, bias: biasThroughMeans(weight, gram) }, dx, dy),
    rows: gram.count,
    seconds,
    settings: {},
  };
}

function covariance(scatter: Gram['xx'], n: number): Float64Array {
  return scatter.map((v) => v / n);
}

function power(matrix: Float64Array, n: number, exponent: number): Float64Array {
  const eigen = symmetricEigen(matrix, n);
  const least = FLOOR * eigen.values[0];
  return symmetricFunction(eigen, (v) => (v > least ? v ** exponent : 0));
}

function trace(matrix: Float64Array, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += matrix[i * n + i];
  return sum;
}

/** tr(W C Wᵀ). */
function outputVariance(weight: Float64Array, cov: Float64Array, dx: number, dy: number): number {
  const product = matmul(weight, cov, dy, dx, dx);
  return product.reduce((sum, v, p) => sum + v * weight[p], 0);
}
