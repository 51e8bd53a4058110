/**
 * @file Sums behind the figures of maps, a text at a time, so rows are seen once and the bootstrap can draw texts. d width of y.
 *
 * Counted rows leave out position 0, sinks and approximate pairs; the `blog` sums take every paired row, as the authors did.
 */
import { LEFT_OUT, type PairRows } from '../../activations/index.ts';
import type { Rng } from '../../base/index.ts';
import type { Rate } from '../../contracts/index.ts';
import { quantiles } from '../../stats/index.ts';

/** A figure as Σ numerator / Σ denominator over texts. */
export interface Ratio {
  readonly numerator: ArrayLike<number>;
  readonly denominator: ArrayLike<number>;
}

/** Sums of y alone: the denominators. */
export class TargetSums {
  readonly d: number;
  readonly texts: number;
  /** Counted rows of each text. */
  readonly rows: Float64Array;
  /** Σ‖y − E[y|token]‖² over counted rows. */
  readonly aroundToken: Float64Array;
  readonly #sum: Float64Array;
  readonly #squares: Float64Array;
  readonly #allRows: Float64Array;
  readonly #allSum: Float64Array;
  readonly #allSquares: Float64Array;

  constructor(texts: number, d: number) {
    const zeros = (): Float64Array => new Float64Array(texts);
    this.d = d;
    this.texts = texts;
    this.rows = zeros();
    this.aroundToken = zeros();
    this.#sum = new Float64Array(texts * d);
    this.#squares = zeros();
    this.#allRows = zeros();
    this.#allSum = zeros();
    this.#allSquares = zeros();
  }

  /** `tokenMeans` [n,d] = E[y|token] of every row; without it {@link aroundToken} stays 0. */
  add(rows: PairRows, tokenMeans: Float32Array | undefined): void {
    const { d } = this;
    for (let i = 0; i < rows.n; i++) {
      const t = rows.text[i];
      const counts = (rows.flags[i] & LEFT_OUT) === 0;
      let squares = 0;
      let sum = 0;
      let around = 0;
      for (let j = 0; j < d; j++) {
        const y = rows.y[i * d + j];
        sum += y;
        squares += y * y;
        if (!counts) continue;
        this.#sum[t * d + j] = this.#sum[t * d + j] + y;
        if (tokenMeans !== undefined) around += (y - tokenMeans[i * d + j]) ** 2;
      }
      increase(this.#allRows, t, 1);
      increase(this.#allSum, t, sum);
      increase(this.#allSquares, t, squares);
      if (!counts) continue;
      increase(this.rows, t, 1);
      increase(this.#squares, t, squares);
      increase(this.aroundToken, t, around);
    }
  }

  /** Σ‖y − ȳ‖² of each text, ȳ per dimension over all texts. */
  aroundMean(): Float64Array {
    const { d, texts } = this;
    const mean = new Float64Array(d);
    const n = total(this.rows);
    for (let p = 0; p < this.#sum.length; p++) increase(mean, p % d, this.#sum[p] / n);
    const length = mean.reduce((sum, m) => sum + m * m, 0);
    return Float64Array.from({ length: texts }, (_, t) => {
      let cross = 0;
      for (let j = 0; j < d; j++) cross += mean[j] * this.#sum[t * d + j];
      return this.#squares[t] - 2 * cross + this.rows[t] * length;
    });
  }

  /** Σ‖y − m‖² of each text over all its rows, m one number over all rows and dimensions (the authors' FVU). */
  aroundScalar(): Float64Array {
    const numbers = total(this.#allRows) * this.d;
    const mean = total(this.#allSum) / numbers;
    return this.#allSquares.map(
      (q, t) => q - 2 * mean * this.#allSum[t] + this.#allRows[t] * this.d * mean * mean,
    );
  }
}

/** Sums of ŷ against y: the numerators. */
export class MapSums {
  readonly error: Float64Array;
  readonly errorAll: Float64Array;
  readonly cosine: Float64Array;
  readonly cosineCentred: Float64Array;

  constructor(texts: number) {
    this.error = new Float64Array(texts);
    this.errorAll = new Float64Array(texts);
    this.cosine = new Float64Array(texts);
    this.cosineCentred = new Float64Array(texts);
  }

  /** `predicted` [n,d]; `mean` [d] is what centred cosines subtract, nothing without it. */
  add(rows: PairRows, predicted: Float32Array, mean: ArrayLike<number> | undefined): void {
    const d = predicted.length / rows.n;
    for (let i = 0; i < rows.n; i++) {
      const t = rows.text[i];
      let error = 0;
      let uv = 0;
      let uu = 0;
      let vv = 0;
      let uvC = 0;
      let uuC = 0;
      let vvC = 0;
      for (let j = 0; j < d; j++) {
        const u = predicted[i * d + j];
        const v = rows.y[i * d + j];
        const m = mean === undefined ? 0 : mean[j];
        error += (u - v) ** 2;
        uv += u * v;
        uu += u * u;
        vv += v * v;
        uvC += (u - m) * (v - m);
        uuC += (u - m) ** 2;
        vvC += (v - m) ** 2;
      }
      increase(this.errorAll, t, error);
      if ((rows.flags[i] & LEFT_OUT) !== 0) continue;
      increase(this.error, t, error);
      increase(this.cosine, t, cosine(uv, uu, vv));
      increase(this.cosineCentred, t, cosine(uvC, uuC, vvC));
    }
  }
}

/** 0 where a vector has no length (the mean map, centred). */
function cosine(uv: number, uu: number, vv: number): number {
  const length = Math.sqrt(uu * vv);
  return length > 0 ? uv / length : 0;
}

/**
 * Each ratio with a 95 % percentile bootstrap over texts (docs/concepts/method.md#statistics); one draw of texts serves all ratios. n counts the texts that
 * have a denominator. A ratio of nothing is left out.
 */
export function ratioFigures<K extends string>(
  ratios: Readonly<Record<K, Ratio>>,
  rng: Rng,
  resamples = 10_000,
): Partial<Record<K, Rate>> {
  const live = (Object.entries(ratios) as [K, Ratio][]).filter(([, r]) => total(r.denominator) > 0);
  const texts = live[0]?.[1].numerator.length ?? 0;
  const draws = live.map(() => new Float64Array(resamples));
  const scale = texts / 2 ** 32;
  const drawn = new Int32Array(texts);
  for (let s = 0; s < resamples; s++) {
    for (let i = 0; i < texts; i++) drawn[i] = Math.floor(rng.uint32() * scale);
    live.forEach(([, { numerator, denominator }], k) => {
      let a = 0;
      let b = 0;
      for (let i = 0; i < texts; i++) {
        a += numerator[drawn[i]];
        b += denominator[drawn[i]];
      }
      (draws[k] as Float64Array)[s] = b > 0 ? a / b : Number.NaN;
    });
  }
  const out: Partial<Record<K, Rate>> = {};
  live.forEach(([key, { numerator, denominator }], k) => {
    const usable = (draws[k] as Float64Array).filter((v) => !Number.isNaN(v));
    const [lo, hi] = quantiles(usable, [0.025, 0.975]) as [number, number];
    let n = 0;
    for (let i = 0; i < texts; i++) if (denominator[i] > 0) n++;
    out[key] = { value: total(numerator) / total(denominator), n, ci95: [lo, hi] };
  });
  return out;
}

export function total(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
}

export function increase(into: Float64Array, at: number, by: number): void {
  into[at] = into[at] + by;
}
