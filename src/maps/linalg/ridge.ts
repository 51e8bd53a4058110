/**
 * @file The closed-form affine map of docs/concepts/method.md#maps: min over W̃ of (1/n)‖Y_c − X̃ W̃‖² + λ‖W̃‖², X̃ = X centred and divided by
 * max(σ, floor), Y_c = Y centred, bias free; folded back to ŷ = W x + b on raw activations.
 */
import { cholesky, solveCholesky } from './cholesky.ts';
import { symmetricEigen } from './eigen.ts';
import type { Gram } from './gram.ts';
import { addProduct, flipped, transpose, view } from './product.ts';

/** ŷ = W x + b. */
export interface AffineFit {
  /** Ridge strength it was fitted with. */
  readonly lambda: number;
  /** W [dy×dx], row-major. */
  readonly weight: Float64Array;
  /** b [dy] */
  readonly bias: Float64Array;
}

/** Options of {@link ridge}. */
export interface RidgeOptions {
  /** Least σ a dimension of x is divided by. Defaults to 1e-6 × the largest σ. */
  readonly floor?: number;
  /** `eigen` shares one decomposition among all λ; `cholesky` factors once a λ and needs λ > 0. Defaults to `eigen`. */
  readonly method?: 'eigen' | 'cholesky';
}

/** One fit per λ ≥ 0, in the order given. λ = 0 is the unregularised least-squares fit (of minimum norm where X̃ is rank deficient). */
export function ridge(gram: Gram, lambdas: readonly number[], options: RidgeOptions = {}): AffineFit[] {
  const { dx, dy, count } = gram;
  if (count < 2) throw new RangeError(`ridge: wanted at least 2 rows, got ${count}`);
  for (const lambda of lambdas)
    if (!(lambda >= 0 && lambda < Number.POSITIVE_INFINITY))
      throw new RangeError(`ridge: wanted λ ≥ 0, got ${lambda}`);
  const sigma = gram.deviationX();
  const floor = options.floor ?? 1e-6 * sigma.reduce((a, b) => Math.max(a, b), 0);
  const scale = sigma.map((s) => 1 / Math.max(s, floor, Number.MIN_VALUE * 2 ** 60));
  const xx = new Float64Array(dx * dx); // X̃ᵀX̃ / n
  const xy = new Float64Array(dx * dy); // X̃ᵀY_c / n
  for (let i = 0; i < dx; i++) {
    for (let j = 0; j < dx; j++) xx[i * dx + j] = (gram.xx[i * dx + j] * scale[i] * scale[j]) / count;
    for (let j = 0; j < dy; j++) xy[i * dy + j] = (gram.xy[i * dy + j] * scale[i]) / count;
  }
  const solve = options.method === 'cholesky' ? byCholesky(xx, xy, dx, dy) : byEigen(xx, xy, dx, dy);
  return lambdas.map((lambda) => {
    const weight = transpose(solve(lambda), dx, dy);
    for (let p = 0; p < weight.length; p++) weight[p] = weight[p] * scale[p % dx];
    return { lambda, weight, bias: biasThroughMeans(weight, gram) };
  });
}

/** W̃(λ) = Q diag(1/(Λ + λ)) Qᵀ X̃ᵀY_c/n. [dx×dy] */
function byEigen(
  xx: Float64Array,
  xy: Float64Array,
  dx: number,
  dy: number,
): (lambda: number) => Float64Array {
  const { values, vectors } = symmetricEigen(xx, dx);
  const rotated = new Float64Array(dx * dy);
  addProduct(1, view(vectors, dx), view(xy, dy), view(rotated, dy), dx, dy, dx);
  const noise = dx * Number.EPSILON * values[0];
  return (lambda) => {
    const scaled = rotated.slice();
    for (let k = 0; k < dx; k++) {
      const shrink = values[k] > noise ? 1 / (values[k] + lambda) : lambda > noise ? 1 / lambda : 0;
      for (let j = k * dy; j < (k + 1) * dy; j++) scaled[j] = scaled[j] * shrink;
    }
    const out = new Float64Array(dx * dy);
    addProduct(1, flipped(view(vectors, dx)), view(scaled, dy), view(out, dy), dx, dy, dx);
    return out;
  };
}

/** (X̃ᵀX̃/n + λI)⁻¹ X̃ᵀY_c/n. [dx×dy] */
function byCholesky(
  xx: Float64Array,
  xy: Float64Array,
  dx: number,
  dy: number,
): (lambda: number) => Float64Array {
  return (lambda) => {
    const shifted = xx.slice();
    for (let i = 0; i < dx; i++) shifted[i * dx + i] = shifted[i * dx + i] + lambda;
    return solveCholesky(cholesky(shifted, dx), xy, dx, dy);
  };
}

/** b = ȳ − W x̄: the best offset for a given W. */
export function biasThroughMeans(weight: Float64Array, gram: Gram): Float64Array {
  return gram.meanY.map((mean, j) => {
    let sum = mean;
    for (let i = 0; i < gram.dx; i++) sum -= weight[j * gram.dx + i] * gram.meanX[i];
    return sum;
  });
}

/** How an affine map does on rows known only by their moments. */
export interface AffineError {
  /** Σ‖ŷ − y‖² / (d n) */
  readonly mse: number;
  /** Σ‖ŷ − y‖² / Σ‖y − ȳ‖² */
  readonly fvu: number;
  /** Mean over dimensions of Σ(ŷ_j − y_j)² / Σ(y_j − ȳ_j)², dimensions that never vary left out: the score that chooses λ. */
  readonly standardised: number;
  /** Σ(ŷ_j − y_j)² of each dimension. [dy] */
  readonly squares: Float64Array;
}

/**
 * Exact error of ŷ = W x + b over the rows of `gram` (validation rows, say) without seeing them again:
 * Σ(ŷ_j − y_j)² = w_j C_xx w_jᵀ − 2 w_j c_xy,j + c_yy,j + n (W x̄ + b − ȳ)_j².
 */
export function affineError(fit: Pick<AffineFit, 'weight' | 'bias'>, gram: Gram): AffineError {
  const { dx, dy, count } = gram;
  const product = new Float64Array(dy * dx); // W C_xx
  addProduct(1, view(fit.weight, dx), view(gram.xx, dx), view(product, dx), dy, dx, dx);
  const best = biasThroughMeans(fit.weight, gram);
  const squares = gram.yyDiagonal.map((yy, j) => {
    let sum = yy + count * (fit.bias[j] - best[j]) ** 2;
    for (let i = 0; i < dx; i++) {
      const w = fit.weight[j * dx + i];
      sum += w * (product[j * dx + i] - 2 * gram.xy[i * dy + j]);
    }
    return Math.max(0, sum);
  });
  let error = 0;
  let spread = 0;
  let ratios = 0;
  let live = 0;
  for (let j = 0; j < dy; j++) {
    error += squares[j];
    spread += gram.yyDiagonal[j];
    if (gram.yyDiagonal[j] > 0) {
      ratios += squares[j] / gram.yyDiagonal[j];
      live++;
    }
  }
  return { mse: error / (dy * count), fvu: error / spread, standardised: ratios / live, squares };
}
