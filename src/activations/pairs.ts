/**
 * @file Token rows (x, y): x [ds] = what model A had at a token, y [dt] = what B had at the token that pairs with it. Streams of
 * blocks of rows, so memory does not grow with their number; what a row is not good for is flagged, and consumers choose.
 */
import { CrosspatchError, InputError } from '../base/index.ts';
import type { CapturedText } from './capture.ts';
import type { PairedText } from './texts.ts';

/** Bits of {@link PairRows.flags}. */
export const ROW = {
  /** Position 0 of the target: its norm dwarfs all others. */
  first: 1,
  /** Norm above `sinkRatio` × median, in x or in y. */
  sink: 2,
  /** The tokens do not end at the same character. */
  approximate: 4,
  /** Inside the span of the tag. */
  span: 8,
} as const;

/** What a fit leaves out by default. */
export const LEFT_OUT = ROW.first | ROW.sink | ROW.approximate;

/** A block of n rows. */
export interface PairRows {
  readonly n: number;
  /** [n,ds] */
  readonly x: Float32Array;
  /** [n,dt] */
  readonly y: Float32Array;
  readonly sourceTokens: Int32Array;
  readonly targetTokens: Int32Array;
  /** Index of the text of each row. */
  readonly text: Int32Array;
  /** Position in the target's tokens. */
  readonly position: Int32Array;
  readonly flags: Uint8Array;
}

/** Rows that can be streamed again and again, always in the same order and the same blocks. */
export interface PairSource {
  readonly dx: number;
  readonly dy: number;
  rows(): AsyncIterable<PairRows>;
}

/** Tokens of the target by what became of them (`results.json`, `pairing`). */
export interface PairCounts {
  coinciding: number;
  approximated: number;
  dropped: number;
  first: number;
  sinks: number;
  rows: number;
}

/** Options of {@link pairStream}. */
interface PairOptions {
  readonly dx: number;
  readonly dy: number;
  /** A row is a sink above this × the median norm; false = no row is. Defaults to 10. */
  readonly sinkRatio?: number | false;
  /** Rows of a block. Defaults to 2048. */
  readonly blockRows?: number;
  /** Added to as rows go by. */
  readonly counts?: PairCounts;
}

/** Rows behind the medians of the norms. */
const REFERENCE_ROWS = 4096;

/** Counts at zero. */
export function noCounts(): PairCounts {
  return { coinciding: 0, approximated: 0, dropped: 0, first: 0, sinks: 0, rows: 0 };
}

/**
 * Pair two captures (one hook each, [T,D] a text) of the same texts in the same order. The median norms are those of the first
 * 4,096 rows that are not at position 0; those rows are held until then.
 */
export async function* pairStream(
  texts: readonly PairedText[],
  source: AsyncIterable<CapturedText>,
  target: AsyncIterable<CapturedText>,
  options: PairOptions,
): AsyncGenerator<PairRows, void, undefined> {
  const { dx, dy, sinkRatio = 10, blockRows = 2048, counts = noCounts() } = options;
  const blocks = blocksOf(texts, source, target, dx, dy, blockRows, counts);
  if (sinkRatio === false) yield* blocks;
  else yield* withSinks(blocks, dx, dy, sinkRatio, counts);
}

async function* withSinks(
  blocks: AsyncIterable<PairRows>,
  dx: number,
  dy: number,
  ratio: number,
  counts: PairCounts,
): AsyncGenerator<PairRows, void, undefined> {
  const held: PairRows[] = [];
  let limits: readonly [number, number] | undefined;
  let seen = 0;
  for await (const rows of blocks) {
    if (limits !== undefined) {
      yield markSinks(rows, dx, dy, limits, counts);
      continue;
    }
    held.push(rows);
    seen += rows.n;
    if (seen < REFERENCE_ROWS) continue;
    limits = sinkLimits(held, dx, dy, ratio);
    for (const before of held.splice(0)) yield markSinks(before, dx, dy, limits, counts);
  }
  limits ??= sinkLimits(held, dx, dy, ratio);
  for (const before of held) yield markSinks(before, dx, dy, limits, counts);
}

async function* blocksOf(
  texts: readonly PairedText[],
  source: AsyncIterable<CapturedText>,
  target: AsyncIterable<CapturedText>,
  dx: number,
  dy: number,
  blockRows: number,
  counts: PairCounts,
): AsyncGenerator<PairRows, void, undefined> {
  const ys = target[Symbol.asyncIterator]();
  let builder = new RowsBuilder(dx, dy);
  for await (const a of source) {
    const b = await ys.next();
    if (b.done || b.value.index !== a.index)
      throw new CrosspatchError('pairing: the two captures do not hold the same texts in the same order', {
        id: 'data-invalid',
      });
    const text = texts[a.index] as PairedText;
    checkSizes(text, a.hidden.length / dx, b.value.hidden.length / dy);
    addText(builder, text, a.index, a.hidden, b.value.hidden, counts);
    if (builder.n < blockRows) continue;
    yield builder.finish();
    builder = new RowsBuilder(dx, dy);
  }
  if (builder.n > 0) yield builder.finish();
}

function addText(
  builder: RowsBuilder,
  text: PairedText,
  index: number,
  x: Float32Array,
  y: Float32Array,
  counts: PairCounts,
): void {
  const { dx, dy } = builder;
  text.target.forEach((token, t) => {
    const from = text.alignment ? (text.alignment.sourceOf[t] as number) : t;
    const flag = text.alignment?.flags[t] ?? 'coincide';
    if (flag === 'dropped') counts.dropped++;
    else if (flag === 'approximate') counts.approximated++;
    else counts.coinciding++;
    if (from < 0) return;
    counts.rows++;
    if (t === 0) counts.first++;
    const inSpan = text.span !== undefined && t >= text.span.start && t < text.span.end;
    builder.add(
      x.subarray(from * dx, (from + 1) * dx),
      y.subarray(t * dy, (t + 1) * dy),
      text.source[from] as number,
      token,
      index,
      t,
      (t === 0 ? ROW.first : 0) | (flag === 'approximate' ? ROW.approximate : 0) | (inSpan ? ROW.span : 0),
    );
  });
}

function checkSizes(text: PairedText, sourceRows: number, targetRows: number): void {
  if (sourceRows !== text.source.length || targetRows !== text.target.length)
    throw new CrosspatchError(
      `pairing: text ${text.id} has ${text.source.length} and ${text.target.length} tokens, the captures hold ${sourceRows} and ${targetRows}`,
      { id: 'data-invalid' },
    );
  if (text.alignment === undefined && sourceRows !== targetRows)
    throw new InputError(
      `pairing: text ${text.id} has ${sourceRows} tokens in the source and ${targetRows} in the target and no alignment; make it with pairText`,
      { id: 'data-invalid' },
    );
}

/** Grows buffers by doubling. */
export class RowsBuilder {
  readonly dx: number;
  readonly dy: number;
  n = 0;
  #x: Float32Array;
  #y: Float32Array;
  readonly #sourceTokens: number[] = [];
  readonly #targetTokens: number[] = [];
  readonly #text: number[] = [];
  readonly #position: number[] = [];
  readonly #flags: number[] = [];

  constructor(dx: number, dy: number) {
    this.dx = dx;
    this.dy = dy;
    this.#x = new Float32Array(256 * dx);
    this.#y = new Float32Array(256 * dy);
  }

  add(
    x: Float32Array,
    y: Float32Array,
    sourceToken: number,
    targetToken: number,
    text: number,
    position: number,
    flags: number,
  ): void {
    if ((this.n + 1) * this.dx > this.#x.length) {
      this.#x = doubled(this.#x);
      this.#y = doubled(this.#y);
    }
    this.put(this.n, x, y, sourceToken, targetToken, text, position, flags);
    this.n++;
  }

  /** Write row `at` (0 … n). */
  put(
    at: number,
    x: Float32Array,
    y: Float32Array,
    sourceToken: number,
    targetToken: number,
    text: number,
    position: number,
    flags: number,
  ): void {
    this.#x.set(x, at * this.dx);
    this.#y.set(y, at * this.dy);
    this.#sourceTokens[at] = sourceToken;
    this.#targetTokens[at] = targetToken;
    this.#text[at] = text;
    this.#position[at] = position;
    this.#flags[at] = flags;
  }

  finish(): PairRows {
    return {
      n: this.n,
      x: this.#x.slice(0, this.n * this.dx),
      y: this.#y.slice(0, this.n * this.dy),
      sourceTokens: Int32Array.from(this.#sourceTokens),
      targetTokens: Int32Array.from(this.#targetTokens),
      text: Int32Array.from(this.#text),
      position: Int32Array.from(this.#position),
      flags: Uint8Array.from(this.#flags),
    };
  }
}

function doubled(data: Float32Array): Float32Array {
  const out = new Float32Array(data.length * 2);
  out.set(data);
  return out;
}

/** Squared norms above which x and y are sinks. */
function sinkLimits(blocks: readonly PairRows[], dx: number, dy: number, ratio: number): [number, number] {
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
  return [limit(norms('x', dx)), limit(norms('y', dy))];
}

function markSinks(
  rows: PairRows,
  dx: number,
  dy: number,
  [limitX, limitY]: readonly [number, number],
  counts: PairCounts,
): PairRows {
  for (let i = 0; i < rows.n; i++) {
    if (squaredNorm(rows.x, i, dx) <= limitX && squaredNorm(rows.y, i, dy) <= limitY) continue;
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
