/** @file Rows with labels: which rows of a block are positive and which negative. N rows, D width. */
import type { Rng } from '../../base/index.ts';

/** Rows [N,D] of one block, and those of both kinds by index; `paired`: positive[i] belongs to negative[i]. */
export interface Labelled {
  readonly rows: Float32Array;
  readonly width: number;
  readonly positive: readonly number[];
  readonly negative: readonly number[];
  readonly paired: boolean;
}

/** Row `i`, a window onto the rows. */
export function rowOf({ rows, width }: Pick<Labelled, 'rows' | 'width'>, i: number): Float32Array {
  return rows.subarray(i * width, (i + 1) * width);
}

/** Mean of some rows [D], summed in float64. */
export function meanRow(set: Pick<Labelled, 'rows' | 'width'>, members: readonly number[]): Float64Array {
  const mean = new Float64Array(set.width);
  for (const i of members) {
    const row = rowOf(set, i);
    for (let j = 0; j < mean.length; j++) mean[j] += row[j];
  }
  return mean.map((x) => x / members.length);
}

/** Scores h·v / ‖v‖ of some rows, in float64. */
export function scores(
  set: Pick<Labelled, 'rows' | 'width'>,
  members: readonly number[],
  v: ArrayLike<number>,
): Float64Array {
  let squares = 0;
  for (let j = 0; j < v.length; j++) squares += v[j] ** 2;
  const norm = Math.sqrt(squares);
  return Float64Array.from(members, (i) => {
    const row = rowOf(set, i);
    let sum = 0;
    for (let j = 0; j < row.length; j++) sum += row[j] * v[j];
    return sum / norm;
  });
}

/**
 * The same rows with half of the labels swapped at random: half of the pairs change sides; of unpaired rows each kind gets its number,
 * drawn from all.
 */
export function shuffled(set: Labelled, rng: Rng): Labelled {
  const { positive, negative, paired } = set;
  if (!paired) {
    const all = rng.shuffle([...positive, ...negative]);
    return { ...set, positive: all.slice(0, positive.length), negative: all.slice(positive.length) };
  }
  const order = rng.shuffle(positive.map((_, i) => i));
  const swapped = new Set(order.slice(0, Math.floor((order.length + rng.int(2)) / 2)));
  const pick = (own: readonly number[], other: readonly number[]): number[] =>
    own.map((x, i) => (swapped.has(i) ? other[i] : x));
  return { ...set, positive: pick(positive, negative), negative: pick(negative, positive) };
}
