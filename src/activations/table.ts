/** @file What fits do with streams of rows: choose, hold a part in memory, swap the direction, draw minibatches. */
import { InputError, type Rng } from '../base/index.ts';
import { LEFT_OUT, type PairRows, type PairSource, RowsBuilder, rowOf, type Widths } from './rows.ts';

/** Rows of `source` without any of the flags in `leaveOut` and, with `keep`, only those it says yes to. */
export function selectPairs(
  source: PairSource,
  { leaveOut = LEFT_OUT, keep }: { leaveOut?: number; keep?: (rows: PairRows, i: number) => boolean } = {},
): PairSource {
  return {
    dx: source.dx,
    dy: source.dy,
    rows: async function* () {
      for await (const rows of source.rows()) {
        const chosen: number[] = [];
        for (let i = 0; i < rows.n; i++)
          if (((rows.flags[i] as number) & leaveOut) === 0 && (keep?.(rows, i) ?? true)) chosen.push(i);
        if (chosen.length > 0) yield chosen.length === rows.n ? rows : takeRows(rows, chosen, source);
      }
    },
  };
}

/** The same rows seen from B: x and y exchanged. */
export function swapPairs(source: PairSource): PairSource {
  return {
    dx: source.dy,
    dy: source.dx,
    rows: async function* () {
      for await (const r of source.rows())
        yield { ...r, x: r.y, y: r.x, sourceTokens: r.targetTokens, targetTokens: r.sourceTokens };
    },
  };
}

/** Blocks in memory as a source. */
export function pairTable(dx: number, dy: number, blocks: readonly PairRows[]): PairSource {
  return {
    dx,
    dy,
    rows: async function* () {
      yield* blocks;
    },
  };
}

/**
 * All rows of a source as one block in memory; above `maxRows`, a uniform sample of that many (reservoir sampling, J. Vitter 1985,
 * algorithm R).
 */
export async function collectPairs(
  source: PairSource,
  { maxRows, rng }: { maxRows?: number; rng?: Rng } = {},
): Promise<PairRows> {
  const builder = new RowsBuilder(source);
  let seen = 0;
  for await (const rows of source.rows()) {
    for (let i = 0; i < rows.n; i++, seen++) {
      const full = maxRows !== undefined && builder.n >= maxRows;
      const at = full ? sampled(rng, seen + 1) : builder.n;
      if (full && at >= maxRows) continue;
      const row = rowOf(rows, i, source);
      if (full) builder.put(at, row);
      else builder.add(row);
    }
  }
  return builder.finish();
}

function sampled(rng: Rng | undefined, n: number): number {
  if (rng === undefined) throw new InputError('collectPairs: maxRows needs an rng', { id: 'fit-impossible' });
  return rng.int(n);
}

/** n rows for one optimizer step; the buffers are reused by the next. */
interface Minibatch {
  readonly n: number;
  /** [n,ds] */
  readonly x: Float32Array;
  /** [n,dt] */
  readonly y: Float32Array;
}

/**
 * Minibatches without end, shuffled. Rows are shuffled inside windows of `windowRows` (default 131,072); when the source fits one
 * window it is read once and kept.
 */
export async function* minibatches(
  source: PairSource,
  { batch, rng, windowRows = 131_072 }: { batch: number; rng: Rng; windowRows?: number },
): AsyncGenerator<Minibatch, void, undefined> {
  for (;;) {
    let windows = 0;
    let only: PairRows | undefined;
    for await (const window of windowsOf(source, windowRows)) {
      windows++;
      only = window;
      yield* shuffled(window, source, batch, rng);
    }
    if (only === undefined)
      throw new InputError('map fit: no rows are left to fit on', { id: 'fit-impossible' });
    while (windows === 1) yield* shuffled(only, source, batch, rng);
  }
}

async function* windowsOf(source: PairSource, windowRows: number): AsyncGenerator<PairRows> {
  let held: PairRows[] = [];
  let n = 0;
  for await (const rows of source.rows()) {
    held.push(rows);
    n += rows.n;
    if (n < windowRows) continue;
    yield joinRows(held, source);
    held = [];
    n = 0;
  }
  if (n > 0) yield joinRows(held, source);
}

function* shuffled(
  window: PairRows,
  { dx, dy }: PairSource,
  batch: number,
  rng: Rng,
): Generator<Minibatch, void, undefined> {
  const order = Int32Array.from({ length: window.n }, (_, i) => i);
  for (let i = window.n - 1; i > 0; i--) {
    const j = rng.int(i + 1);
    const held = order[i] as number;
    order[i] = order[j] as number;
    order[j] = held;
  }
  const size = Math.min(batch, window.n);
  const x = new Float32Array(size * dx);
  const y = new Float32Array(size * dy);
  // The rows of an incomplete last batch wait for the next shuffle, so that every step has the same size.
  for (let at = 0; at + size <= window.n; at += size) {
    for (let i = 0; i < size; i++) {
      const row = order[at + i] as number;
      x.set(window.x.subarray(row * dx, (row + 1) * dx), i * dx);
      y.set(window.y.subarray(row * dy, (row + 1) * dy), i * dy);
    }
    yield { n: size, x, y };
  }
}

/** The rows with these indexes, in this order. */
function takeRows(rows: PairRows, chosen: readonly number[], { dx, dy }: Widths): PairRows {
  const pick = (from: Float32Array, d: number): Float32Array => {
    const out = new Float32Array(chosen.length * d);
    chosen.forEach((i, at) => {
      out.set(from.subarray(i * d, (i + 1) * d), at * d);
    });
    return out;
  };
  const ints = (from: Int32Array): Int32Array => Int32Array.from(chosen, (i) => from[i] as number);
  return {
    n: chosen.length,
    x: pick(rows.x, dx),
    y: pick(rows.y, dy),
    sourceTokens: ints(rows.sourceTokens),
    targetTokens: ints(rows.targetTokens),
    text: ints(rows.text),
    position: ints(rows.position),
    flags: Uint8Array.from(chosen, (i) => rows.flags[i] as number),
  };
}

function joinRows(blocks: readonly PairRows[], { dx, dy }: PairSource): PairRows {
  if (blocks.length === 1) return blocks[0] as PairRows;
  const n = blocks.reduce((sum, b) => sum + b.n, 0);
  const floats = (key: 'x' | 'y', d: number): Float32Array => {
    const out = new Float32Array(n * d);
    let at = 0;
    for (const b of blocks) {
      out.set(b[key], at);
      at += b[key].length;
    }
    return out;
  };
  const ints = (key: 'sourceTokens' | 'targetTokens' | 'text' | 'position'): Int32Array => {
    const out = new Int32Array(n);
    let at = 0;
    for (const b of blocks) {
      out.set(b[key], at);
      at += b.n;
    }
    return out;
  };
  const flags = new Uint8Array(n);
  let at = 0;
  for (const b of blocks) {
    flags.set(b.flags, at);
    at += b.n;
  }
  return {
    n,
    x: floats('x', dx),
    y: floats('y', dy),
    sourceTokens: ints('sourceTokens'),
    targetTokens: ints('targetTokens'),
    text: ints('text'),
    position: ints('position'),
    flags,
  };
}
