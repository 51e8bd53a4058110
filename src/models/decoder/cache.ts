/** @file Keys and values of past tokens, one preallocated pair per block, written in place. */
import { CrosspatchError } from '../../base/index.ts';
import { type Handle, handle } from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import { Buffers } from './buffers.ts';
import type { KeysValues, Stretch } from './stretch.ts';

/** Columns are added in steps of this many positions, so shapes (and ONNX Runtime's plans) change seldom. */
const STEP = 64;

interface Store {
  k: Float32Array;
  v: Float32Array;
  handles: KeysValues;
}

/**
 * Cache of a batch: row b holds `lengths[b]` tokens; block i's keys are [B, capacity, K·E]. What lies after a row's tokens is
 * finite and never attended to. Caches selected from one another share the memory that {@link KvCache.release} gives back.
 */
export class KvCache {
  readonly #config: ModelConfig;
  readonly #width: number;
  /** Made when a block first writes or reads. */
  readonly #stores: (Store | undefined)[];
  readonly #lengths: number[];
  readonly #feeds: Record<string, Handle>[] = [];
  readonly #buffers: Buffers;
  #capacity: number;

  constructor(c: ModelConfig, batch: number, expectedTokens: number, buffers = new Buffers()) {
    this.#buffers = buffers;
    this.#config = c;
    this.#width = c.nKvHeads * c.headDim;
    this.#capacity = Math.ceil(Math.max(1, expectedTokens) / STEP) * STEP;
    this.#lengths = Array.from({ length: batch }, () => 0);
    this.#stores = c.blocks.map(() => undefined);
  }

  get batch(): number {
    return this.#lengths.length;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Tokens held, a row. */
  get lengths(): readonly number[] {
    return this.#lengths;
  }

  #allocate(): Store {
    const size = this.batch * this.#capacity * this.#width;
    return this.#storeOf(this.#buffers.take(size), this.#buffers.take(size), this.batch);
  }

  #storeOf(k: Float32Array, v: Float32Array, batch: number): Store {
    const shape = [batch, this.#capacity, this.#width];
    return {
      k,
      v,
      handles: { k: handle({ dtype: 'f32', shape, data: k }), v: handle({ dtype: 'f32', shape, data: v }) },
    };
  }

  /** Room for `more` further tokens in every row. */
  reserve(more: number): void {
    const needed = Math.max(...this.#lengths, 0) + more;
    if (needed <= this.#capacity) return;
    const from = this.#capacity;
    this.#capacity = Math.ceil(needed / STEP) * STEP;
    this.#replace(
      from,
      this.#lengths.map((_, b) => b),
    );
  }

  /**
   * Write what blocks `from`…`to`−1 have made of `columns` new tokens, `counts[b]` of them real, after the tokens already held: kv
   * [B,T,(to−from)·2·K·E], at every token the keys and the values of each block.
   */
  write({ from, to }: Stretch, kv: Float32Array, columns: number, counts: readonly number[]): void {
    const w = this.#width;
    const stride = 2 * (to - from) * w;
    for (let i = from; i < to; i++) {
      const { k, v } = this.#store(i);
      for (let b = 0; b < this.batch; b++) {
        let source = b * columns * stride + 2 * (i - from) * w;
        let target = (b * this.#capacity + (this.#lengths[b] as number)) * w;
        for (let t = 0; t < (counts[b] as number); t++, source += stride, target += w) {
          // By hand: rows are short, and a view a row costs more than copying it.
          for (let j = 0; j < w; j++) {
            k[target + j] = kv[source + j] as number;
            v[target + j] = kv[source + w + j] as number;
          }
        }
      }
    }
  }

  /** After all blocks have written: the new tokens count as held. */
  advance(counts: readonly number[]): void {
    counts.forEach((n, b) => {
      this.#lengths[b] = (this.#lengths[b] as number) + n;
    });
  }

  /** Keys and values of block `layer`, [B, capacity, K·E]. */
  past(layer: number): KeysValues {
    return this.#store(layer).handles;
  }

  /** An object for what the blocks from `from` on are fed, to be set again every pass: its keys stay, which is quicker than a new one. */
  feeds(from: number): Record<string, Handle> {
    return (this.#feeds[from] ??= {});
  }

  /**
   * Keep only these rows, in this order. In place, where no row moves to a higher index (rows that leave are best replaced by
   * the last ones, see {@link withoutRows}): only rows that move are copied.
   */
  keep(rows: readonly number[]): void {
    const lengths = rows.map((b) => this.#lengths[b] as number);
    if (rows.some((from, to) => from < to)) {
      this.#replace(this.#capacity, rows, lengths);
      return;
    }
    const stride = this.#capacity * this.#width;
    const size = rows.length * stride;
    this.#stores.forEach((store, i) => {
      if (store === undefined) return;
      rows.forEach((from, to) => {
        if (from === to) return;
        const end = from * stride + (lengths[to] as number) * this.#width;
        store.k.copyWithin(to * stride, from * stride, end);
        store.v.copyWithin(to * stride, from * stride, end);
      });
      this.#stores[i] = this.#storeOf(store.k.subarray(0, size), store.v.subarray(0, size), rows.length);
    });
    this.#lengths.splice(0, this.#lengths.length, ...lengths);
  }

  /**
   * The rows of another cache of this model after this one's, all blocks. The rows held already are copied only where the memory has no room
   * behind them, which then grows by half again, or where the other's rows are longer.
   */
  append(other: KvCache): void {
    const before = this.batch;
    const rows = before + other.batch;
    this.#lengths.push(...other.#lengths);
    this.reserve(0);
    const stride = this.#capacity * this.#width;
    this.#stores.forEach((store, i) => {
      if (store === undefined) return;
      const [k, v] = [store.k, store.v].map((held) => this.#roomFor(held, before * stride, rows * stride));
      this.#stores[i] = this.#storeOf(k as Float32Array, v as Float32Array, rows);
    });
    const w = this.#width;
    other.#stores.forEach((theirs, i) => {
      if (theirs === undefined) return;
      const mine = this.#store(i);
      other.#lengths.forEach((n, b) => {
        const start = b * other.#capacity * w;
        const to = (before + b) * stride;
        mine.k.set(theirs.k.subarray(start, start + n * w), to);
        mine.v.set(theirs.v.subarray(start, start + n * w), to);
      });
    });
  }

  /** `held` with `used` numbers in it, as `wanted` numbers: in place where its memory goes on so far. */
  #roomFor(held: Float32Array, used: number, wanted: number): Float32Array {
    const whole = new Float32Array(held.buffer as ArrayBuffer, held.byteOffset);
    if (whole.length >= wanted) return whole.subarray(0, wanted);
    const next = this.#buffers.take(Math.ceil(1.5 * wanted)).subarray(0, wanted);
    next.set(held.subarray(0, used));
    this.#buffers.give(held);
    return next;
  }

  /**
   * A new cache of `rows` of this one, in this order, a row as often as it is named. Only blocks from…to−1 are copied; the
   * others begin with anything, to be filled by {@link take} or by running them.
   */
  select(rows: readonly number[], from = 0, to: number = this.#stores.length): KvCache {
    const copy = new KvCache(this.#config, rows.length, this.#capacity, this.#buffers);
    rows.forEach((row, b) => {
      copy.#lengths[b] = this.#lengths[row] as number;
    });
    copy.take(this, rows, from, to);
    return copy;
  }

  /** Copy blocks from…to−1 of `rows` of another cache, up to this cache's own lengths, whatever the other has rewound to. */
  take(other: KvCache, rows: readonly number[], from: number, to: number): void {
    const w = this.#width;
    for (let i = from; i < to; i++) {
      const mine = this.#store(i);
      const theirs = other.#store(i);
      rows.forEach((row, b) => {
        const n = (this.#lengths[b] as number) * w;
        const start = row * other.#capacity * w;
        mine.k.set(theirs.k.subarray(start, start + n), b * this.#capacity * w);
        mine.v.set(theirs.v.subarray(start, start + n), b * this.#capacity * w);
      });
    }
  }

  /** Put rows 0…n−1 of another cache of this model in the place of `rows` of this one, all blocks. */
  put(other: KvCache, rows: readonly number[]): void {
    rows.forEach((row, b) => {
      this.#lengths[row] = other.#lengths[b] as number;
    });
    this.reserve(0);
    const w = this.#width;
    other.#stores.forEach((theirs, i) => {
      if (theirs === undefined) return;
      const mine = this.#store(i);
      rows.forEach((row, b) => {
        const start = b * other.#capacity * w;
        const end = start + (other.#lengths[b] as number) * w;
        mine.k.set(theirs.k.subarray(start, end), row * this.#capacity * w);
        mine.v.set(theirs.v.subarray(start, end), row * this.#capacity * w);
      });
    });
  }

  /** Set how many tokens count as held, a row; what lies after is overwritten by the next ones. */
  rewind(lengths: readonly number[]): void {
    if (lengths.length !== this.batch || lengths.some((n) => n > this.#capacity))
      throw new CrosspatchError(
        `cache: cannot hold ${Math.max(...lengths)} tokens in ${this.batch} rows of ${this.#capacity}`,
        { id: 'graph-invalid' },
      );
    this.#lengths.splice(0, this.#lengths.length, ...lengths);
  }

  #store(layer: number): Store {
    return (this.#stores[layer] ??= this.#allocate());
  }

  #replace(
    oldCapacity: number,
    rows: readonly number[],
    lengths: readonly number[] = this.#lengths.slice(),
  ): void {
    const old = this.#stores.slice();
    const oldLengths = this.#lengths.slice();
    this.#lengths.splice(0, this.#lengths.length, ...lengths);
    const w = this.#width;
    old.forEach((store, i) => {
      if (store === undefined) return;
      const next = this.#allocate();
      rows.forEach((from, to) => {
        const n = (oldLengths[from] as number) * w;
        const start = from * oldCapacity * w;
        next.k.set(store.k.subarray(start, start + n), to * this.#capacity * w);
        next.v.set(store.v.subarray(start, start + n), to * this.#capacity * w);
      });
      this.#stores[i] = next;
      this.#giveBack(store);
    });
  }

  /** The memory serves other caches from now on; this one must not be used again. */
  release(): void {
    this.#stores.forEach((store, i) => {
      if (store !== undefined) this.#giveBack(store);
      this.#stores[i] = undefined;
    });
  }

  #giveBack({ k, v }: Store): void {
    this.#buffers.give(k);
    this.#buffers.give(v);
  }
}

/** The rows 0…n−1 that `stays` keeps, the last ones filling the places of those that leave, so that fewest rows move. */
export function withoutRows(n: number, stays: (row: number) => boolean): number[] {
  const rows: number[] = [];
  let last = n - 1;
  for (let i = 0; i <= last; i++) {
    while (last > i && !stays(last)) last--;
    if (stays(i)) rows.push(i);
    else if (last > i) rows.push(last--);
  }
  return rows;
}
