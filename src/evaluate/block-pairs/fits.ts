/**
 * @file Cheap scores of a pair of blocks from rows alone: how much of the target's a ridge map explains on other prompts, and how alike the
 * two spaces are (CKA). Products in float64. N rows, D width.
 */
import { cholesky, type MatmulTN, solveCholesky } from '../../maps/index.ts';

/** λ of the ridge: this × rows, on dimensions of unit variance. */
const LAMBDA = 1e-3;

/** A source block made ready for many target blocks. */
export interface SourceSide {
  readonly centred: Centred;
  /** (Cov + λ diag(var))⁻¹ [D×D]. */
  readonly inverse: Float64Array;
  /** Rows of other prompts, centred on the mean of the rows of fits, transposed [D×N]. */
  readonly testT: Float64Array;
}

/** Rows less their mean. */
export interface Centred {
  /** [N×D] */
  readonly rows: Float64Array;
  readonly mean: Float64Array;
  readonly width: number;
  readonly n: number;
  /** HSIC of the space with itself. */
  readonly self: number;
  readonly kernel: KernelSums;
}

/** Of the kernel K = XXᵀ without its diagonal: what the unbiased HSIC needs besides ‖XᵀY‖². */
interface KernelSums {
  readonly diagonal: Float64Array;
  /** Σ_j K_ij, j ≠ i. */
  readonly rows: Float64Array;
  readonly total: number;
}

/** Centre rows [N×D] and take what CKA wants of them. */
export async function centre(data: Float32Array, width: number, matmulTN: MatmulTN): Promise<Centred> {
  const n = data.length / width;
  const mean = new Float64Array(width);
  for (let at = 0; at < data.length; at++) mean[at % width] += data[at] / n;
  const rows = centredOn(data, mean);
  const kernel = kernelSums(rows, width);
  const square = squares(await matmulTN(rows, rows, n, width, width));
  return { rows, mean, width, n, kernel, self: hsic(square, kernel, kernel) };
}

/** A source block with its ridge inverse. Rows of `test` are of other prompts. */
export async function sourceSide(
  train: Float32Array,
  test: Float32Array,
  width: number,
  matmulTN: MatmulTN,
): Promise<SourceSide> {
  const centred = await centre(train, width, matmulTN);
  const { n, rows, mean } = centred;
  const xx = Float64Array.from(await matmulTN(rows, rows, n, width, width));
  const spread = Float64Array.from({ length: width }, (_, j) => xx[j * width + j]);
  // A dimension that hardly moves is penalised like one of a millionth of the mean variance.
  const floor = (1e-6 * spread.reduce((a, b) => a + b, 0)) / width || 1;
  const identity = new Float64Array(width * width);
  for (let j = 0; j < width; j++) {
    xx[j * width + j] += LAMBDA * Math.max(spread[j], floor);
    identity[j * width + j] = 1;
  }
  const inverse = solveCholesky(cholesky(xx, width), identity, width, width);
  return { centred, inverse, testT: transposed(centredOn(test, mean), width) };
}

/** What one pair of blocks comes to. */
export interface PairFit {
  /** 1 − Σ‖y − ŷ‖² / Σ‖y − ȳ‖² on other prompts, ȳ the mean of the rows of the fit. */
  readonly r2: number;
  /** Debiased linear CKA, −1 to 1 (L. Song et al., JMLR 2012, for HSIC; S. Kornblith et al., ICML 2019, for CKA). */
  readonly cka: number;
  /** W [D_source×D_target] of ŷ = (x − x̄) W + ȳ. */
  readonly weight: Float64Array;
}

/** Ridge and CKA of a pair. `test`: the target's rows of other prompts [N×D_target]. */
export async function fitPair(
  { centred: x, inverse, testT }: SourceSide,
  y: Centred,
  test: Float32Array,
  matmulTN: MatmulTN,
): Promise<PairFit> {
  const xy = Float64Array.from(await matmulTN(x.rows, y.rows, x.n, x.width, y.width));
  const weight = Float64Array.from(await matmulTN(inverse, xy, x.width, x.width, y.width));
  const predicted = await matmulTN(testT, weight, x.width, test.length / y.width, y.width);
  const wanted = centredOn(test, y.mean);
  let error = 0;
  for (let at = 0; at < wanted.length; at++) error += (wanted[at] - predicted[at]) ** 2;
  return { r2: 1 - error / squares(wanted), cka: ckaOf(squares(xy), x, y), weight };
}

/** Debiased linear CKA of two sets of rows; NaN where one does not vary. */
export async function cka(x: Centred, y: Centred, matmulTN: MatmulTN): Promise<number> {
  return ckaOf(squares(await matmulTN(x.rows, y.rows, x.n, x.width, y.width)), x, y);
}

function ckaOf(cross: number, x: Centred, y: Centred): number {
  return hsic(cross, x.kernel, y.kernel) / Math.sqrt(x.self * y.self);
}

/**
 * Unbiased HSIC of linear kernels, their diagonals left out: (tr K̃L̃ + 1ᵀK̃1·1ᵀL̃1/((n−1)(n−2)) − 2·1ᵀK̃L̃1/(n−2)) / (n(n−3)). `cross` is
 * ‖XᵀY‖², the trace with the diagonals.
 */
function hsic(cross: number, k: KernelSums, l: KernelSums): number {
  const n = k.diagonal.length;
  const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, v, i) => sum + v * b[i], 0);
  const trace = cross - dot(k.diagonal, l.diagonal);
  const means = (k.total * l.total) / ((n - 1) * (n - 2));
  return (trace + means - (2 * dot(k.rows, l.rows)) / (n - 2)) / (n * (n - 3));
}

function kernelSums(rows: Float64Array, width: number): KernelSums {
  const n = rows.length / width;
  const sum = new Float64Array(width);
  for (let at = 0; at < rows.length; at++) sum[at % width] += rows[at];
  const diagonal = new Float64Array(n);
  const sums = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let [own, all] = [0, 0];
    for (let j = 0; j < width; j++) {
      const v = rows[i * width + j];
      own += v * v;
      all += v * sum[j];
    }
    diagonal[i] = own;
    sums[i] = all - own;
  }
  return { diagonal, rows: sums, total: sums.reduce((a, b) => a + b, 0) };
}

function centredOn(data: Float32Array, mean: Float64Array): Float64Array {
  return Float64Array.from(data, (v, at) => v - mean[at % mean.length]);
}

function transposed(data: Float64Array, width: number): Float64Array {
  const n = data.length / width;
  const out = new Float64Array(data.length);
  for (let i = 0; i < n; i++) for (let j = 0; j < width; j++) out[j * n + i] = data[i * width + j];
  return out;
}

function squares(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] ** 2;
  return sum;
}
