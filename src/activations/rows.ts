/**
 * @file Token rows (x, y): x [ds] = what model A had at a token, y [dt] = what B had at the token that pairs with it. Streams of
 * blocks of rows, so memory does not grow with their number; what a row is not good for is flagged, and consumers choose.
 */

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

/** One row of a block. */
export interface PairRow {
  /** [ds] */
  readonly x: Float32Array;
  /** [dt] */
  readonly y: Float32Array;
  readonly sourceToken: number;
  readonly targetToken: number;
  readonly text: number;
  readonly position: number;
  readonly flags: number;
}

/** How wide x and y are. */
export interface Widths {
  readonly dx: number;
  readonly dy: number;
}

/** Rows that can be streamed again and again, always in the same order and the same blocks. */
export interface PairSource extends Widths {
  rows(): AsyncIterable<PairRows>;
}

/** Row `i` of a block, views on its numbers. */
export function rowOf(rows: PairRows, i: number, { dx, dy }: Widths): PairRow {
  return {
    x: rows.x.subarray(i * dx, (i + 1) * dx),
    y: rows.y.subarray(i * dy, (i + 1) * dy),
    sourceToken: rows.sourceTokens[i] as number,
    targetToken: rows.targetTokens[i] as number,
    text: rows.text[i] as number,
    position: rows.position[i] as number,
    flags: rows.flags[i] as number,
  };
}

/** Grows buffers by doubling. */
export class RowsBuilder implements Widths {
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

  constructor({ dx, dy }: Widths) {
    this.dx = dx;
    this.dy = dy;
    this.#x = new Float32Array(256 * dx);
    this.#y = new Float32Array(256 * dy);
  }

  add(row: PairRow): void {
    if ((this.n + 1) * this.dx > this.#x.length) {
      this.#x = doubled(this.#x);
      this.#y = doubled(this.#y);
    }
    this.put(this.n, row);
    this.n++;
  }

  /** Write row `at` (0 … n). */
  put(at: number, { x, y, sourceToken, targetToken, text, position, flags }: PairRow): void {
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
