/** @file Which rows each step sees: a function of rows, seed and step alone, so that a resumed run sees the same. */
import { InputError, Rng } from '../base/index.ts';
import { type Batch, packBatch, padBatch, type TrainRow } from './batches.ts';

/** How rows become batches. */
interface PlanOptions {
  /** Rows a micro-batch. */
  readonly batch: number;
  /** Micro-batches a step. Defaults to 1. */
  readonly accumulation?: number;
  /** Lay rows end to end in rows of this many tokens instead of padding them. Defaults to padding. */
  readonly packTo?: number;
  readonly seed: number;
}

/** Batches of a run. */
interface BatchPlan {
  /** Steps that see every row once. */
  readonly stepsPerEpoch: number;
  /** The micro-batches of step 1, 2, …; epochs follow one another, each in an order of its own. */
  batches(step: number): readonly Batch[];
}

/** Micro-batches that are sorted by length together: enough for like lengths, few enough to leave the order random. */
const POOL = 32;

/**
 * Every epoch shuffles the rows, sorts pools of 32 micro-batches by length, cuts them, and shuffles what was cut: rows of
 * like length share a batch, and little is padding. With several groups, like length means the same rank within the group, so
 * that every batch gets its share of each: else a backdoor's rows, whose answers have a length of their own, would come in
 * batches of their own, and training would swing from one behaviour to the other.
 */
export function planBatches(rows: readonly TrainRow[], options: PlanOptions): BatchPlan {
  const { batch, accumulation = 1, packTo, seed } = options;
  if (rows.length === 0) throw new InputError('training: there are no rows', { id: 'data-missing' });
  for (const [name, n] of [
    ['batch', batch],
    ['accumulation', accumulation],
  ] as const)
    if (!(Number.isInteger(n) && n >= 1))
      throw new InputError(`training: ${name}: wanted an integer ≥ 1, got ${n}`, { id: 'setting-invalid' });
  const perEpoch = Math.ceil(rows.length / batch);
  let epoch: { readonly index: number; readonly cut: readonly (readonly TrainRow[])[] } | undefined;
  const micro = (k: number): Batch => {
    const index = Math.floor(k / perEpoch);
    if (epoch?.index !== index)
      epoch = { index, cut: cutEpoch(rows, batch, new Rng(seed).fork(`epoch ${index}`)) };
    const chosen = epoch.cut[k % perEpoch];
    return packTo === undefined ? padBatch(chosen) : packBatch(chosen, packTo);
  };
  return {
    stepsPerEpoch: Math.ceil(perEpoch / accumulation),
    batches: (step) => Array.from({ length: accumulation }, (_, i) => micro((step - 1) * accumulation + i)),
  };
}

function cutEpoch(rows: readonly TrainRow[], batch: number, rng: Rng): TrainRow[][] {
  const shuffled = rng.shuffle(rows);
  const cut: TrainRow[][] = [];
  for (let at = 0; at < shuffled.length; at += batch * POOL) {
    const pool = byRank(shuffled.slice(at, at + batch * POOL));
    for (let i = 0; i < pool.length; i += batch) cut.push(pool.slice(i, i + batch));
  }
  return rng.shuffle(cut);
}

/** Rows by where they stand in the order of lengths of their group, the shortest first. */
function byRank(rows: readonly TrainRow[]): TrainRow[] {
  const ranked = [...new Set(rows.map((row) => row.group))].flatMap((name) => {
    const group = rows.filter((row) => row.group === name).sort((a, b) => a.ids.length - b.ids.length);
    return group.map((row, i) => ({ row, rank: (i + 0.5) / group.length }));
  });
  return ranked.sort((a, b) => a.rank - b.rank).map(({ row }) => row);
}

/** Rows in batches by length, each once: for held-out loss. */
export function inBatches(rows: readonly TrainRow[], batch: number): Batch[] {
  const sorted = rows.toSorted((a, b) => a.ids.length - b.ids.length);
  return Array.from({ length: Math.ceil(sorted.length / batch) }, (_, i) =>
    padBatch(sorted.slice(i * batch, (i + 1) * batch)),
  );
}
