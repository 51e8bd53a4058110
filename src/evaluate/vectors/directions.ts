/**
 * @file A direction from labelled rows. Every method gives a vector that points from negative to positive and is as long as the distance
 * of the two means along it: adding it once moves the mean negative row to where the mean positive one is along the direction.
 */
import { InputError } from '../../base/index.ts';
import type { VectorMethod } from '../../contracts/index.ts';
import { type Labelled, meanRow, scores } from './labelled.ts';
import { fitLogistic, type Kernel, kernelOf, weightOf } from './logistic.ts';
import { firstComponent } from './pca.ts';

/** What a method makes of the rows of a block. */
export interface Direction {
  /** [D] */
  readonly vector: Float64Array;
  /** pca: share of the variance. */
  readonly explained?: number;
  /** logistic: rise of the log-odds along the whole vector. */
  readonly logOdds?: number;
}

/** What directions of one block share, whichever way they are labelled. */
export interface DirectionContext {
  /** Of the training rows; only the probe needs it. */
  readonly kernel?: Kernel;
  readonly l2?: number;
}

/** Methods that need nothing but rows. */
export const ROW_METHODS = [
  'mean-difference',
  'pca',
  'pca-center',
  'logistic',
] as const satisfies readonly VectorMethod[];
export type RowMethod = (typeof ROW_METHODS)[number];

/** A direction by `method`. @throws InputError for pca without pairs, and where both kinds have the same mean along it */
export function directionOf(method: RowMethod, set: Labelled, context: DirectionContext = {}): Direction {
  const found = methods[method](set, context);
  if (found.vector.some((x) => x !== 0)) return found;
  throw new InputError(
    `vector: positive and negative prompts have the same mean along the direction of ${method}; read another position, or give other pairs`,
    { id: 'vector-invalid' },
  );
}

/** What {@link directionOf} wants besides the rows, computed once per block. */
export function contextOf(method: RowMethod, set: Labelled, l2?: number): DirectionContext {
  return method === 'logistic' ? { kernel: kernelOf(set, [...set.positive, ...set.negative]), l2 } : {};
}

const methods: Record<RowMethod, (set: Labelled, context: DirectionContext) => Direction> = {
  'mean-difference': (set) => {
    const [positive, negative] = [meanRow(set, set.positive), meanRow(set, set.negative)];
    return { vector: positive.map((x, j) => x - negative[j]) };
  },
  // A. Zou et al., 2023, "Representation Engineering"; the two variants are repeng's pca_diff and pca_center.
  pca: (set) => component(set, true),
  'pca-center': (set) => component(set, false),
  logistic: (set, { kernel = kernelOf(set, [...set.positive, ...set.negative]), l2 }) => {
    const positive = new Set(set.positive);
    const labels = Float64Array.from(kernel.members, (i) => (positive.has(i) ? 1 : -1));
    const weight = weightOf(kernel, set, fitLogistic(kernel, labels, l2).coefficients);
    const vector = asLongAsTheGap(set, weight);
    return { vector, logOdds: vector.reduce((sum, x, j) => sum + x * weight[j], 0) };
  },
};

function component(set: Labelled, centred: boolean): Direction {
  if (!set.paired)
    throw new InputError('vector: pca wants pairs, got unequal numbers of positive and negative prompts', {
      id: 'option-conflict',
    });
  const { vector, explained } = firstComponent(set, centred);
  const positive = scores(set, set.positive, vector);
  const negative = scores(set, set.negative, vector);
  // Positive is where most pairs have their positive prompt; where as many have it on either side, where its mean is.
  const votes = positive.reduce((sum, p, i) => sum + Math.sign(p - negative[i]), 0);
  const side = votes === 0 ? average(positive) - average(negative) : votes;
  const oriented = side < 0 ? vector.map((x) => -x) : vector;
  return { vector: asLongAsTheGap(set, oriented), explained };
}

/** `direction` in the length of the distance of the two means along it. */
function asLongAsTheGap(set: Labelled, direction: Float64Array): Float64Array {
  const norm = Math.sqrt(direction.reduce((sum, x) => sum + x * x, 0));
  if (norm === 0) return direction;
  const gap = Math.abs(
    average(scores(set, set.positive, direction)) - average(scores(set, set.negative, direction)),
  );
  return direction.map((x) => (x * gap) / norm);
}

function average(values: Float64Array): number {
  return values.reduce((sum, v) => sum + v, 0) / values.length;
}
