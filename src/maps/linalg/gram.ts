/**
 * @file Streamed second moments of paired activations: all a linear map, its score, or a whitening needs of any number of rows.
 * Each block of rows is centred on its own mean in float64 and merged by the pairwise update of T. Chan, G. Golub & R. LeVeque
 * (1979), so large means (a residual stream's usual state) cost no digits.
 */
import { type MatmulTN, matmulTN } from './product.ts';

/** Options of a {@link Gram}. */
export interface GramOptions {
  /** Keep the whole of YᵀY (for a reverse fit, CKA, whitening of Y), not only its diagonal. Defaults to false. */
  readonly fullY?: boolean;
  /** Engine for the products Xᵀ Y. Defaults to plain float64 loops. */
  readonly matmulTN?: MatmulTN;
}

const CHUNK = 1024; // rows a product

/** Means and centred second moments of rows (x, y), x of width `dx`, y of width `dy`. Same blocks in the same order: same bits. */
export class Gram {
  readonly dx: number;
  readonly dy: number;
  /** Rows seen. */
  count = 0;
  /** x̄ [dx] */
  readonly meanX: Float64Array;
  /** ȳ [dy] */
  readonly meanY: Float64Array;
  /** Σ (x−x̄)(x−x̄)ᵀ [dx×dx] */
  readonly xx: Float64Array;
  /** Σ (x−x̄)(y−ȳ)ᵀ [dx×dy] */
  readonly xy: Float64Array;
  /** Σ (y_j−ȳ_j)² [dy] */
  readonly yyDiagonal: Float64Array;
  /** Σ (y−ȳ)(y−ȳ)ᵀ [dy×dy], with `fullY`. */
  readonly yy: Float64Array | undefined;
  readonly #matmulTN: MatmulTN;

  constructor(dx: number, dy: number, options: GramOptions = {}) {
    this.dx = dx;
    this.dy = dy;
    this.meanX = new Float64Array(dx);
    this.meanY = new Float64Array(dy);
    this.xx = new Float64Array(dx * dx);
    this.xy = new Float64Array(dx * dy);
    this.yyDiagonal = new Float64Array(dy);
    this.yy = options.fullY ? new Float64Array(dy * dy) : undefined;
    this.#matmulTN = options.matmulTN ?? matmulTN;
  }

  /**
   * Add rows X [n×dx], Y [n×dy]; with `mask` [n] only those where it is not 0. Await each call before the next. Throws on a size
   * that does not fit and on numbers that are not finite.
   */
  async add(x: Float32Array, y: Float32Array, mask?: ArrayLike<number | boolean>): Promise<void> {
    const rows = x.length / this.dx;
    if (!Number.isInteger(rows) || y.length !== rows * this.dy || (mask && mask.length !== rows))
      throw new RangeError(
        `Gram.add: wanted X [n×${this.dx}], Y [n×${this.dy}] and a mask [n], got ${x.length}, ${y.length} and ${mask?.length ?? 'no mask'}`,
      );
    const kept: number[] = [];
    for (let i = 0; i < rows; i++) if (mask === undefined || mask[i]) kept.push(i);
    for (let start = 0; start < kept.length; start += CHUNK)
      await this.#addChunk(x, y, kept.slice(start, start + CHUNK));
  }

  async #addChunk(x: Float32Array, y: Float32Array, rows: readonly number[]): Promise<void> {
    const block = new Gram(this.dx, this.dy, { fullY: this.yy !== undefined });
    block.count = rows.length;
    const xc = centre(x, this.dx, rows, block.meanX);
    const yc = centre(y, this.dy, rows, block.meanY);
    if (!block.meanX.every(Number.isFinite) || !block.meanY.every(Number.isFinite))
      throw new RangeError('Gram.add: an activation is not finite');
    block.xx.set(await this.#matmulTN(xc, xc, rows.length, this.dx, this.dx));
    block.xy.set(await this.#matmulTN(xc, yc, rows.length, this.dx, this.dy));
    block.yy?.set(await this.#matmulTN(yc, yc, rows.length, this.dy, this.dy));
    for (let i = 0; i < yc.length; i++) {
      const j = i % this.dy;
      block.yyDiagonal[j] = block.yyDiagonal[j] + yc[i] * yc[i];
    }
    this.merge(block);
  }

  /** Add all rows that `other` has seen. */
  merge(other: Gram): void {
    if (other.dx !== this.dx || other.dy !== this.dy || (this.yy && !other.yy))
      throw new RangeError(
        `Gram.merge: wanted ${this.dx}→${this.dy}${this.yy ? ' with fullY' : ''}, got ${other.dx}→${other.dy}`,
      );
    if (other.count === 0) return;
    const total = this.count + other.count;
    const weight = (this.count * other.count) / total;
    const gapX = other.meanX.map((m, i) => m - this.meanX[i]);
    const gapY = other.meanY.map((m, i) => m - this.meanY[i]);
    addOuter(this.xx, other.xx, gapX, gapX, weight);
    addOuter(this.xy, other.xy, gapX, gapY, weight);
    if (this.yy && other.yy) addOuter(this.yy, other.yy, gapY, gapY, weight);
    for (let j = 0; j < this.dy; j++)
      this.yyDiagonal[j] = this.yyDiagonal[j] + other.yyDiagonal[j] + weight * gapY[j] ** 2;
    const share = other.count / total;
    for (let i = 0; i < this.dx; i++) this.meanX[i] = this.meanX[i] + share * gapX[i];
    for (let j = 0; j < this.dy; j++) this.meanY[j] = this.meanY[j] + share * gapY[j];
    this.count = total;
  }

  /** The same moments with x and y exchanged, for a fit in the other direction. Needs `fullY`. */
  swapped(): Gram {
    if (!this.yy) throw new RangeError('Gram.swapped: wanted a Gram made with fullY');
    const out = new Gram(this.dy, this.dx, { fullY: true, matmulTN: this.#matmulTN });
    out.count = this.count;
    out.meanX.set(this.meanY);
    out.meanY.set(this.meanX);
    out.xx.set(this.yy);
    out.yy?.set(this.xx);
    for (let i = 0; i < this.dx; i++) {
      out.yyDiagonal[i] = this.xx[i * this.dx + i]!;
      for (let j = 0; j < this.dy; j++) out.xy[j * this.dx + i] = this.xy[i * this.dy + j]!;
    }
    return out;
  }

  /** Standard deviation of each x dimension (divisor n). [dx] */
  deviationX(): Float64Array {
    return this.meanX.map((_, i) => Math.sqrt(Math.max(0, this.xx[i * this.dx + i]) / this.count));
  }
}

/** The chosen rows less their mean, which is written to `mean`. [rows×width] */
function centre(
  data: Float32Array,
  width: number,
  rows: readonly number[],
  mean: Float64Array,
): Float64Array {
  for (const row of rows) for (let j = 0, p = row * width; j < width; j++, p++) mean[j] = mean[j] + data[p];
  for (let j = 0; j < width; j++) mean[j] = mean[j] / rows.length;
  const out = new Float64Array(rows.length * width);
  rows.forEach((row, i) => {
    for (let j = 0, p = row * width, q = i * width; j < width; j++, p++, q++) out[q] = data[p] - mean[j];
  });
  return out;
}

/** a += b + weight · u vᵀ. */
function addOuter(a: Float64Array, b: Float64Array, u: Float64Array, v: Float64Array, weight: number): void {
  for (let i = 0, p = 0; i < u.length; i++) {
    const w = weight * u[i];
    for (let j = 0; j < v.length; j++, p++) a[p] = a[p] + b[p] + w * v[j];
  }
}
