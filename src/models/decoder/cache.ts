/** @file Keys and values of past tokens, one preallocated pair a block, written in place. */
import { type Handle, handle, zeros } from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';

/** Columns are added in steps of this many positions, so shapes (and ONNX Runtime's plans) change seldom. */
const STEP = 64;

interface Store {
  k: Float32Array;
  v: Float32Array;
  kHandle: Handle;
  vHandle: Handle;
}

/** Cache of a batch: row b holds `lengths[b]` tokens; block i's keys are [B, capacity, K·E]. */
export class KvCache {
  readonly #width: number;
  readonly #stores: Store[];
  readonly #lengths: number[];
  #capacity: number;

  constructor(c: ModelConfig, batch: number, expectedTokens: number) {
    this.#width = c.nKvHeads * c.headDim;
    this.#capacity = Math.ceil(Math.max(1, expectedTokens) / STEP) * STEP;
    this.#lengths = Array.from({ length: batch }, () => 0);
    this.#stores = c.blocks.map(() => this.#allocate());
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
    const k = zeros('f32', [this.batch, this.#capacity, this.#width]);
    const v = zeros('f32', [this.batch, this.#capacity, this.#width]);
    return { k: k.data, v: v.data, kHandle: handle(k), vHandle: handle(v) };
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

  /** Write new keys and values [B,T,K·E] of block `layer`, `counts[b]` of them real, behind the tokens already held. */
  write(layer: number, k: Float32Array, v: Float32Array, columns: number, counts: readonly number[]): void {
    const store = this.#stores[layer] as Store;
    const w = this.#width;
    for (let b = 0; b < this.batch; b++) {
      const from = b * columns * w;
      const n = (counts[b] as number) * w;
      const to = (b * this.#capacity + (this.#lengths[b] as number)) * w;
      store.k.set(k.subarray(from, from + n), to);
      store.v.set(v.subarray(from, from + n), to);
    }
  }

  /** After all blocks have written: the new tokens count as held. */
  advance(counts: readonly number[]): void {
    counts.forEach((n, b) => {
      this.#lengths[b] = (this.#lengths[b] as number) + n;
    });
  }

  keys(layer: number): Handle {
    return (this.#stores[layer] as Store).kHandle;
  }

  values(layer: number): Handle {
    return (this.#stores[layer] as Store).vHandle;
  }

  /** Keep only these rows, in this order. */
  keep(rows: readonly number[]): void {
    const lengths = rows.map((b) => this.#lengths[b] as number);
    this.#replace(this.#capacity, rows, lengths);
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
      const next = this.#allocate();
      rows.forEach((from, to) => {
        const n = (oldLengths[from] as number) * w;
        const start = from * oldCapacity * w;
        next.k.set(store.k.subarray(start, start + n), to * this.#capacity * w);
        next.v.set(store.v.subarray(start, start + n), to * this.#capacity * w);
      });
      this.#stores[i] = next;
    });
  }
}
