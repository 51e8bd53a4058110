/** @file Seeded percentile bootstrap of a mean, flat or over nested levels. B. Efron & R. Tibshirani, 1993, §13.3. */
import type { Rng } from '../base/index.ts';
import { mean, quantiles } from './describe.ts';
import type { Estimate } from './proportions.ts';

/** How much to resample. */
interface BootstrapOptions {
  /** Resamples drawn. Defaults to 10 000. */
  readonly resamples?: number;
  /** Coverage of the interval. Defaults to 0.95 (then the name `ci95` is true). */
  readonly level?: number;
}

/** Levels of grouping, outermost first, e.g. `[seed][family][prompt]`: arrays of numbers at the bottom. */
type Nested = readonly number[] | readonly Nested[];

/** Mean of `values` with a percentile interval. One value gives a point; none gives NaN throughout (`null` in JSON). */
export function bootstrapMean(values: ArrayLike<number>, rng: Rng, options: BootstrapOptions = {}): Estimate {
  const data = Float64Array.from(values);
  return percentile(mean(data), data.length, () => resampledMean(data, rng), options);
}

/** Any figure of `units`, which are drawn anew with replacement; draws of which it is no number are left out of the interval. */
export function bootstrapFigure<T>(
  units: readonly T[],
  figure: (units: readonly T[]) => number,
  rng: Rng,
  options: BootstrapOptions = {},
): Estimate {
  const redrawn = (): number => figure(units.map(() => units[rng.int(units.length)]));
  return percentile(figure(units), units.length, redrawn, options);
}

/**
 * Mean over nested levels: the mean of the means, each unit of a level weighing the same, resampled with replacement at every
 * level (fine-tuning seed, then task family, then prompt), so the interval carries the variation between seeds, not only between
 * prompts. `n` counts the numbers at the bottom. A level with a single unit adds no variation.
 */
export function hierarchicalBootstrap(groups: Nested, rng: Rng, options: BootstrapOptions = {}): Estimate {
  const tree = build(groups);
  return percentile(treeMean(tree), leaves(tree), () => resampledTreeMean(tree, rng), options);
}

type Tree = Float64Array | readonly Tree[];

function build(node: Nested): Tree {
  if (isFlat(node)) return Float64Array.from(node);
  const children = node.map(build);
  if (children.some((child) => child.length === 0))
    throw new RangeError('hierarchicalBootstrap: an inner group is empty; leave it out');
  return children;
}

function isFlat(node: Nested): node is readonly number[] {
  return node.length === 0 || typeof node[0] === 'number';
}

function leaves(tree: Tree): number {
  return tree instanceof Float64Array ? tree.length : tree.reduce((n, child) => n + leaves(child), 0);
}

function treeMean(tree: Tree): number {
  return tree instanceof Float64Array ? mean(tree) : mean(tree.map(treeMean));
}

function resampledTreeMean(tree: Tree, rng: Rng): number {
  if (tree instanceof Float64Array) return resampledMean(tree, rng);
  let total = 0;
  for (let i = 0; i < tree.length; i++) total += resampledTreeMean(tree[rng.int(tree.length)], rng);
  return total / tree.length;
}

/** One draw of n with replacement. A 32-bit draw scaled to n is biased by less than n/2³², far below the bootstrap's own error. */
function resampledMean(data: Float64Array, rng: Rng): number {
  const n = data.length;
  const scale = n / 2 ** 32;
  let total = 0;
  for (let i = 0; i < n; i++) total += data[Math.floor(rng.uint32() * scale)];
  return total / n;
}

function percentile(value: number, n: number, draw: () => number, options: BootstrapOptions): Estimate {
  const { resamples = 10_000, level = 0.95 } = options;
  if (!(Number.isInteger(resamples) && resamples >= 1))
    throw new RangeError(`bootstrap: wanted resamples ≥ 1, got ${resamples}`);
  if (!(level > 0 && level < 1)) throw new RangeError(`bootstrap: wanted 0 < level < 1, got ${level}`);
  if (n === 0) return { value: Number.NaN, n, ci95: [Number.NaN, Number.NaN] };
  const means = new Float64Array(resamples);
  for (let i = 0; i < resamples; i++) means[i] = draw();
  const [low, high] = quantiles(means.filter(Number.isFinite), [(1 - level) / 2, (1 + level) / 2]);
  return { value, n, ci95: [low, high] };
}
