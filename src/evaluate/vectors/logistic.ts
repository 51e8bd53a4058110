/**
 * @file A logistic probe with an L2 penalty, in float64, to convergence. The weights lie in the span of the rows, so all is done with the
 * rows' inner products: w = Σ a_i x_i, Newton's method with conjugate gradients. n rows, D width.
 */
import { CrosspatchError } from '../../base/index.ts';
import { type Labelled, meanRow, rowOf } from './labelled.ts';

/** Inner products of some rows about their mean, scaled so that the mean square length is 1. */
export interface Kernel {
  /** [n,n] */
  readonly gram: Float64Array;
  /** Rows it is of. */
  readonly members: readonly number[];
  /** Mean row [D]. */
  readonly mean: Float64Array;
  /** Root mean square distance of the rows from it. */
  readonly scale: number;
}

/** A fit: w = Σ a_i x_i over the kernel's scaled rows, and the bias. */
export interface LogisticFit {
  readonly coefficients: Float64Array;
  readonly bias: number;
  /** Norm of the gradient there. */
  readonly gradient: number;
}

/** Inner products of `members`, computed once for every labelling of them. */
export function kernelOf(set: Pick<Labelled, 'rows' | 'width'>, members: readonly number[]): Kernel {
  const n = members.length;
  const mean = meanRow(set, members);
  const centred = members.map((i) => Float64Array.from(rowOf(set, i), (x, j) => x - mean[j]));
  const gram = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let k = 0; k <= i; k++) {
      let sum = 0;
      for (let j = 0; j < mean.length; j++) sum += centred[i][j] * centred[k][j];
      gram[i * n + k] = gram[k * n + i] = sum;
    }
  let trace = 0;
  for (let i = 0; i < n; i++) trace += gram[i * n + i];
  const scale = Math.sqrt(trace / n) || 1;
  return { gram: gram.map((x) => x / scale ** 2), members, mean, scale };
}

/** w [D] in units of the rows: log-odds = w·(h − mean) + bias. */
export function weightOf(
  { members, mean, scale }: Kernel,
  set: Pick<Labelled, 'rows' | 'width'>,
  coefficients: Float64Array,
): Float64Array {
  const out = new Float64Array(mean.length);
  members.forEach((i, k) => {
    const row = rowOf(set, i);
    const f = coefficients[k] / scale ** 2;
    for (let j = 0; j < out.length; j++) out[j] += f * (row[j] - mean[j]);
  });
  return out;
}

/** Norm of the gradient at which the fit ends; the rows have length about 1. */
const TOLERANCE = 1e-10;

/**
 * Minimise mean log(1 + exp(−y m)) + ½ l2 ‖w‖², m = w·x + b, y = ±1. `l2` defaults to 1/n (scikit-learn's C = 1 on the scaled rows).
 *
 * @throws CrosspatchError where it does not converge, which only numbers that are not finite can cause
 */
export function fitLogistic(
  kernel: Kernel,
  labels: Float64Array,
  l2: number = 1 / labels.length,
): LogisticFit {
  const n = labels.length;
  let at = pointAt(kernel, labels, l2, { a: new Float64Array(n), b: 0 });
  for (let step = 0; step < 200; step++) {
    if (at.size <= TOLERANCE) return { coefficients: at.a, bias: at.b, gradient: at.size };
    const { p, q, slope } = newtonStep(kernel, at, l2);
    let t = 1;
    let next = pointAt(kernel, labels, l2, moved(at, p, q, t));
    // At the end the loss no longer falls by a number that float64 can show: then a smaller gradient is enough.
    while (!(next.loss <= at.loss - 1e-4 * t * slope || next.size < at.size) && t > 1e-8) {
      t /= 2;
      next = pointAt(kernel, labels, l2, moved(at, p, q, t));
    }
    at = next;
  }
  throw new CrosspatchError(`logistic probe: no convergence, the gradient is still ${at.size}`, {
    id: 'fit-impossible',
  });
}

interface Place {
  readonly a: Float64Array;
  readonly b: number;
}

/** A place with its loss, gradient (as coefficients `g` and of the bias), K g and curvature. */
interface Point extends Place {
  readonly loss: number;
  readonly g: Float64Array;
  readonly kg: Float64Array;
  readonly gBias: number;
  /** Norm of the gradient. */
  readonly size: number;
  /** Second derivative of each row's loss, / n. */
  readonly curvature: Float64Array;
}

function pointAt({ gram }: Kernel, labels: Float64Array, l2: number, { a, b }: Place): Point {
  const n = labels.length;
  const ka = product(gram, a);
  const g = new Float64Array(n);
  const curvature = new Float64Array(n);
  let loss = (l2 / 2) * dot(a, ka);
  let gBias = 0;
  for (let i = 0; i < n; i++) {
    const margin = labels[i] * (ka[i] + b);
    const miss = 1 / (1 + Math.exp(margin));
    loss += (margin > 0 ? Math.log1p(Math.exp(-margin)) : Math.log1p(Math.exp(margin)) - margin) / n;
    const slope = (-labels[i] * miss) / n;
    g[i] = slope + l2 * a[i];
    gBias += slope;
    curvature[i] = (miss * (1 - miss)) / n;
  }
  const kg = product(gram, g);
  return { a, b, loss, g, kg, gBias, size: Math.sqrt(Math.max(0, dot(g, kg)) + gBias ** 2), curvature };
}

/** Solve H (p, q) = gradient by conjugate gradients; `slope` = gradient · (p, q). */
function newtonStep(
  { gram }: Kernel,
  { g, kg, gBias, size, curvature }: Point,
  l2: number,
): { p: Float64Array; q: number; slope: number } {
  const n = g.length;
  const p = new Float64Array(n);
  let q = 0;
  const r = { a: g.slice(), k: kg.slice(), b: gBias };
  const s = { a: g.slice(), k: kg.slice(), b: gBias };
  let rr = size ** 2;
  const enough = rr * Math.min(1e-4, size) ** 2;
  for (let step = 0; step < 4 * n + 20 && rr > enough && rr > 0; step++) {
    const h = new Float64Array(n);
    let hBias = 0;
    for (let i = 0; i < n; i++) {
      h[i] = curvature[i] * (s.k[i] + s.b);
      hBias += h[i];
      h[i] += l2 * s.a[i];
    }
    const kh = product(gram, h);
    const t = rr / (dot(s.a, kh) + s.b * hBias);
    for (let i = 0; i < n; i++) {
      p[i] += t * s.a[i];
      r.a[i] -= t * h[i];
      r.k[i] -= t * kh[i];
    }
    q += t * s.b;
    r.b -= t * hBias;
    const next = Math.max(0, dot(r.a, r.k)) + r.b ** 2;
    const ratio = next / rr;
    for (let i = 0; i < n; i++) {
      s.a[i] = r.a[i] + ratio * s.a[i];
      s.k[i] = r.k[i] + ratio * s.k[i];
    }
    s.b = r.b + ratio * s.b;
    rr = next;
  }
  return { p, q, slope: dot(p, kg) + q * gBias };
}

function moved({ a, b }: Place, p: Float64Array, q: number, t: number): Place {
  return { a: a.map((x, i) => x - t * p[i]), b: b - t * q };
}

/** K v */
function product(gram: Float64Array, v: Float64Array): Float64Array {
  const n = v.length;
  return Float64Array.from(v, (_, i) => {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += gram[i * n + j] * v[j];
    return sum;
  });
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
