/**
 * @file The lookup for triggers of several tokens: the target's activations at a span, predicted from the bag of the span's tokens by ridge
 * regression on labelled training prompts. It knows which words stand there, not in which order and not what the source makes of them.
 * D width, N labelled spans.
 */
import { cholesky, solveCholesky } from '../../maps/index.ts';
import { Spans } from '../arms/spans.ts';
import { alignRows, type ContrastCase, TAGGED, type TaggedPrompt } from '../subject/cases.ts';

/** λ tried, in units of the mean of the kernel's diagonal. */
const LAMBDAS = [1e-3, 1e-2, 0.1, 1, 10];

/**
 * Predicted spans of `cases` in every state. Undefined where each of their tags is among the labelled ones: then the prediction is that
 * tag's mean, which the static arm is already.
 */
export function bagSpans(labelled: Spans, cases: readonly ContrastCase[]): Spans | undefined {
  const known = TAGGED.flatMap((state) =>
    labelled.cases.map((c) => ({ prompt: c.states[state], rows: labelled.of(c, state) })),
  );
  const tags = new Set(known.map(({ prompt }) => prompt.tag));
  if (cases.every((c) => tags.has(c.states.bad.tag) && tags.has(c.states.safe.tag))) return undefined;
  const ridge = new BagRidge(known, labelled.width);
  const of = (state: (typeof TAGGED)[number]): Float32Array[] =>
    cases.map((c) => ridge.predict(c.states[state]));
  return new Spans(labelled.width, cases, { bad: of('bad'), safe: of('safe'), other: of('other') });
}

/** A span with its activations. */
export interface LabelledSpan {
  readonly prompt: Pick<TaggedPrompt, 'ids' | 'positions' | 'tag'>;
  /** [span, D]. */
  readonly rows: Float32Array;
}

/**
 * Ridge regression in its dual form: ŷ = ȳ + k(x)ᵀ (K + λI)⁻¹ (Y − ȳ), K the kernel of centred bags (counts by token). λ is the one with
 * the least error on tags left out one at a time. C. Saunders, A. Gammerman & V. Vovk, ICML 1998.
 */
export class BagRidge {
  readonly #spans: readonly LabelledSpan[];
  readonly #width: number;
  readonly #bags: readonly Bag[];
  readonly #kernel: Float64Array;
  /** Mean of the uncentred kernel's rows, and of all of it. */
  readonly #means: Float64Array;
  readonly #mean: number;
  /** By the length of the span that is predicted. */
  readonly #fits = new Map<number, BagFit>();

  constructor(spans: readonly LabelledSpan[], width: number) {
    const n = spans.length;
    this.#spans = spans;
    this.#width = width;
    this.#bags = spans.map(({ prompt }) => bagOf(prompt));
    const raw = new Float64Array(n * n);
    for (let i = 0; i < n; i++)
      for (let j = 0; j <= i; j++) raw[i * n + j] = raw[j * n + i] = overlap(this.#bags[i], this.#bags[j]);
    const rowMean = (i: number): number => raw.subarray(i * n, (i + 1) * n).reduce((a, b) => a + b, 0) / n;
    this.#means = Float64Array.from({ length: n }, (_, i) => rowMean(i));
    this.#mean = this.#means.reduce((a, b) => a + b, 0) / n;
    this.#kernel = raw.map((x, at) => x - this.#means[Math.floor(at / n)] - this.#means[at % n] + this.#mean);
  }

  /** [span, D] for a span nobody saw. */
  predict(prompt: LabelledSpan['prompt']): Float32Array {
    const n = this.#spans.length;
    const { mean, weights } = this.#fit(prompt.positions.length);
    const bag = bagOf(prompt);
    const own = this.#bags.map((other) => overlap(bag, other));
    const ownMean = own.reduce((a, b) => a + b, 0) / n;
    const out = Float64Array.from(mean);
    for (let i = 0; i < n; i++) {
      const k = own[i] - ownMean - this.#means[i] + this.#mean;
      for (let j = 0; j < out.length; j++) out[j] += k * weights[i * out.length + j];
    }
    return Float32Array.from(out);
  }

  /** λ chosen for spans of this many tokens, in units of the mean of the kernel's diagonal. */
  lambda(length: number): number {
    return this.#fit(length).lambda;
  }

  #fit(length: number): BagFit {
    const found = this.#fits.get(length) ?? this.#solve(length);
    this.#fits.set(length, found);
    return found;
  }

  #solve(length: number): BagFit {
    const n = this.#spans.length;
    const columns = length * this.#width;
    const rows = this.#spans.map((span) => alignRows(span.rows, length, this.#width));
    const mean = new Float64Array(columns);
    for (const row of rows) for (let j = 0; j < columns; j++) mean[j] += row[j] / n;
    const y = new Float64Array(n * columns);
    for (const [i, row] of rows.entries())
      for (let j = 0; j < columns; j++) y[i * columns + j] = row[j] - mean[j];
    const scale = this.#kernel.reduce((sum, x, at) => sum + (at % (n + 1) === 0 ? x : 0), 0) / n;
    if (scale === 0) return { mean, weights: new Float64Array(n * columns), lambda: 1 };
    const groups = groupsOf(this.#spans.map(({ prompt }) => prompt.tag));
    const inverses = LAMBDAS.map((lambda) => inverseOf(this.#kernel, n, lambda * scale));
    const gram = products(y, n, columns);
    const errors = inverses.map((inverse) => leftOutError(inverse, gram, groups, n));
    const best = errors.indexOf(Math.min(...errors));
    const weights = new Float64Array(n * columns);
    for (let i = 0; i < n; i++)
      for (let k = 0; k < n; k++) {
        const a = inverses[best][i * n + k];
        for (let j = 0; j < columns; j++) weights[i * columns + j] += a * y[k * columns + j];
      }
    return { mean, weights, lambda: LAMBDAS[best] };
  }
}

interface BagFit {
  readonly mean: Float64Array;
  /** (K + λI)⁻¹ (Y − ȳ) [N, span·D]. */
  readonly weights: Float64Array;
  readonly lambda: number;
}

/** Counts by token id. */
type Bag = ReadonlyMap<number, number>;

function bagOf({ ids, positions }: LabelledSpan['prompt']): Bag {
  const bag = new Map<number, number>();
  for (const p of positions) bag.set(ids[p], (bag.get(ids[p]) ?? 0) + 1);
  return bag;
}

function overlap(a: Bag, b: Bag): number {
  let sum = 0;
  for (const [id, count] of a) sum += count * (b.get(id) ?? 0);
  return sum;
}

/** Indices of the spans of each tag. */
function groupsOf(tags: readonly string[]): number[][] {
  const groups = new Map<string, number[]>();
  for (const [i, tag] of tags.entries()) groups.set(tag, [...(groups.get(tag) ?? []), i]);
  return [...groups.values()];
}

/** (K + λI)⁻¹ [N×N]. */
function inverseOf(kernel: Float64Array, n: number, lambda: number): Float64Array {
  const shifted = kernel.slice();
  const identity = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    shifted[i * n + i] += lambda;
    identity[i * n + i] = 1;
  }
  return solveCholesky(cholesky(shifted, n), identity, n, n);
}

/** Y Yᵀ [N×N]. */
function products(y: Float64Array, n: number, columns: number): Float64Array {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let k = 0; k <= i; k++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += y[i * columns + j] * y[k * columns + j];
      out[i * n + k] = out[k * n + i] = sum;
    }
  return out;
}

/**
 * Squared error on the rows of each group when the fit has not seen them, summed over groups, from one inverse G of all rows: the residual
 * of group g is (G_gg)⁻¹ (G Y)_g. `gram` is Y Yᵀ, so that its length is the trace of (G_gg)⁻¹ G_g YYᵀ G_gᵀ (G_gg)⁻¹.
 */
function leftOutError(
  inverse: Float64Array,
  gram: Float64Array,
  groups: readonly (readonly number[])[],
  n: number,
): number {
  let total = 0;
  for (const group of groups) {
    const m = group.length;
    const own = new Float64Array(m * m);
    const all = new Float64Array(m * n);
    for (const [a, i] of group.entries()) {
      for (const [b, j] of group.entries()) own[a * m + b] = inverse[i * n + j];
      all.set(inverse.subarray(i * n, (i + 1) * n), a * n);
    }
    const residual = solveCholesky(cholesky(own, m), all, m, n);
    for (let a = 0; a < m; a++)
      for (let i = 0; i < n; i++) {
        const left = residual[a * n + i];
        if (left === 0) continue;
        let sum = 0;
        for (let j = 0; j < n; j++) sum += residual[a * n + j] * gram[i * n + j];
        total += left * sum;
      }
  }
  return total;
}
