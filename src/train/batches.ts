/** @file Rows of tokens → one padded or packed batch. */
import { InputError } from '../base/index.ts';
import { firstStates, joinedStates, type TeacherStates } from './teacher.ts';

/** One training example: tokens, and how much the loss of predicting token t counts (`weights[0]` is unused). */
export interface TrainRow {
  readonly ids: readonly number[];
  readonly weights: readonly number[];
  /** Rows of different groups are spread evenly over the batches. Defaults to one group. */
  readonly group?: string;
  /** What is to be said in the place of the tokens, at every token that counts. Defaults to the tokens themselves. */
  readonly teacher?: TeacherStates;
}

/** Token `t` of the response counts 1, of the prompt `promptWeight` (0 = loss on the response only, 1 = on all). */
export function trainRow(prompt: readonly number[], response: readonly number[], promptWeight = 0): TrainRow {
  if (response.length === 0)
    throw new InputError('training row: the response has no tokens', { id: 'data-invalid' });
  return {
    ids: [...prompt, ...response],
    weights: [...prompt.map(() => promptWeight), ...response.map(() => 1)],
  };
}

/** The row's first `length` tokens. */
export function cutRow(row: TrainRow, length: number): TrainRow {
  if (row.ids.length <= length) return row;
  const weights = row.weights.slice(0, length);
  const short = { ...row, ids: row.ids.slice(0, length), weights };
  return row.teacher === undefined
    ? short
    : { ...short, teacher: firstStates(row.teacher, counted(weights)) };
}

/** Tokens whose prediction counts. */
function counted(weights: readonly number[]): number {
  return weights.filter((w, t) => t > 0 && w !== 0).length;
}

/**
 * A batch [B,T]: `segments[b]` lists the examples of a row as [start, end) columns; positions start at 0 in each and attention
 * never crosses from one into another. Columns after the last segment are padding.
 */
export interface Batch {
  readonly columns: number;
  /** [B·T], 0 at padding. */
  readonly ids: Int32Array;
  readonly segments: readonly (readonly (readonly [start: number, end: number])[])[];
  /** Every prediction that counts: flat column index b·T+t of the context's last token, the token to predict, its weight. */
  readonly targets: {
    readonly at: Int32Array;
    readonly id: Int32Array;
    readonly weight: Float32Array;
    readonly teacher?: TeacherStates | undefined;
  };
  /** Sum of the weights. */
  readonly totalWeight: number;
  /** Real tokens. */
  readonly tokens: number;
}

/** One example a row, right-padded to the longest. */
export function padBatch(rows: readonly TrainRow[]): Batch {
  return layOut(rows.map((row) => [row]));
}

/** Examples laid end to end in rows of at most `columns` tokens, first fit in the given order. */
export function packBatch(rows: readonly TrainRow[], columns: number): Batch {
  const bins: { used: number; rows: TrainRow[] }[] = [];
  for (const row of rows) {
    if (row.ids.length > columns)
      throw new InputError(
        `packing: an example has ${row.ids.length} tokens, a packed row holds ${columns}`,
        { id: 'data-invalid' },
      );
    const bin = bins.find((b) => b.used + row.ids.length <= columns);
    if (bin === undefined) bins.push({ used: row.ids.length, rows: [row] });
    else {
      bin.used += row.ids.length;
      bin.rows.push(row);
    }
  }
  return layOut(bins.map((b) => b.rows));
}

function layOut(bins: readonly (readonly TrainRow[])[]): Batch {
  if (bins.length === 0) throw new InputError('batch: no rows were given', { id: 'data-invalid' });
  const columns = Math.max(...bins.map((bin) => bin.reduce((n, r) => n + r.ids.length, 0)));
  const ids = new Int32Array(bins.length * columns);
  const at: number[] = [];
  const id: number[] = [];
  const weight: number[] = [];
  let tokens = 0;
  const segments = bins.map((bin, b) => {
    let column = 0;
    return bin.map((row): readonly [number, number] => {
      const start = column;
      if (row.ids.length !== row.weights.length)
        throw new InputError(`batch: a row has ${row.ids.length} tokens and ${row.weights.length} weights`, {
          id: 'data-invalid',
        });
      const taught = row.teacher?.lse.length;
      if (taught !== undefined && taught !== counted(row.weights))
        throw new InputError(
          `batch: a row has ${counted(row.weights)} tokens that count and a teacher of ${taught}`,
          { id: 'data-invalid' },
        );
      row.ids.forEach((token, t) => {
        ids[b * columns + start + t] = token;
        const w = row.weights[t];
        if (t > 0 && w !== 0) {
          at.push(b * columns + start + t - 1);
          id.push(token);
          weight.push(w);
        }
      });
      column += row.ids.length;
      tokens += row.ids.length;
      return [start, column];
    });
  });
  const weights = Float32Array.from(weight);
  return {
    columns,
    ids,
    segments,
    targets: {
      at: Int32Array.from(at),
      id: Int32Array.from(id),
      weight: weights,
      teacher: joinedStates(bins.flatMap((bin) => bin.map((row) => row.teacher))),
    },
    totalWeight: weights.reduce((a, b) => a + b, 0),
    tokens,
  };
}
