/** @file Rows whose norm dwarfs the others' (attention sinks), flagged as they stream by. */
import { type PairRows, ROW, type Widths } from './rows.ts';

/** Rows that the medians of the norms are taken over. */
const REFERENCE_ROWS = 4096;

/**
 * The blocks with their sinks flagged and counted. The median norms are those of the first 4,096 rows that are not at position 0;
 * those rows are held until then.
 */
export async function* withSinks(
  blocks: AsyncIterable<PairRows>,
  widths: Widths,
  ratio: number,
  counts: { sinks: number },
): AsyncGenerator<PairRows, void, undefined> {
  const held: PairRows[] = [];
  let limits: SinkLimits | undefined;
  let seen = 0;
  for await (const rows of blocks) {
    if (limits !== undefined) {
      yield markSinks(rows, limits, counts);
      continue;
    }
    held.push(rows);
    seen += rows.n;
    if (seen < REFERENCE_ROWS) continue;
    limits = sinkLimits(held, widths, ratio);
    for (const before of held.splice(0)) yield markSinks(before, limits, counts);
  }
  limits ??= sinkLimits(held, widths, ratio);
  for (const before of held) yield markSinks(before, limits, counts);
}

/** Squared norms above which x and y are sinks. */
interface SinkLimits extends Widths {
  readonly x: number;
  readonly y: number;
}

function sinkLimits(blocks: readonly PairRows[], { dx, dy }: Widths, ratio: number): SinkLimits {
  const norms = (data: 'x' | 'y', d: number): number[] =>
    blocks.flatMap((rows) =>
      Array.from({ length: rows.n }, (_, i) => i)
        .filter((i) => ((rows.flags[i] as number) & ROW.first) === 0)
        .map((i) => Math.sqrt(squaredNorm(rows[data], i, d))),
    );
  const limit = (values: number[]): number => {
    if (values.length === 0) return Number.POSITIVE_INFINITY;
    const sorted = Float64Array.from(values).sort();
    return (ratio * (sorted[Math.floor(sorted.length / 2)] as number)) ** 2;
  };
  return { dx, dy, x: limit(norms('x', dx)), y: limit(norms('y', dy)) };
}

function markSinks(rows: PairRows, limits: SinkLimits, counts: { sinks: number }): PairRows {
  const { dx, dy } = limits;
  for (let i = 0; i < rows.n; i++) {
    if (squaredNorm(rows.x, i, dx) <= limits.x && squaredNorm(rows.y, i, dy) <= limits.y) continue;
    rows.flags[i] = (rows.flags[i] as number) | ROW.sink;
    counts.sinks++;
  }
  return rows;
}

function squaredNorm(data: Float32Array, row: number, d: number): number {
  let sum = 0;
  for (let p = row * d; p < (row + 1) * d; p++) sum += (data[p] as number) ** 2;
  return sum;
}
