/** @file Buffers of one batch shape. A pass borrows one for itself, so passes that overlap in time never share numbers. */
import { type Handle, handle, type Tensor, zeros } from '../../engine/index.ts';
import type { ModelConfig, RopeConfig } from '../config.ts';
import type { Angles, Projections } from './blockRunner.ts';
import { Buffers } from './buffers.ts';
import { fillMask } from './mask.ts';
import type { RopeTable } from './rope.ts';

/** Free workspaces kept: one for prefill, one for decoding, one to spare. */
const KEPT = 3;

/** B rows, T columns, D model width, H heads, K key/value heads, E head size. */
export class Workspace {
  readonly #config: ModelConfig;
  readonly #batch: number;
  readonly #columns: number;
  /** Residual streams [B,T,D] that blocks write in turn. */
  readonly x: readonly [Handle, Handle];
  /** What blocks project, in turn: a block reads one while it writes the next block's into the other. */
  readonly qkv: readonly [Projections, Projections];
  /** cos and sin [B,T,E/2] a kind of rotary frequencies. */
  readonly ropes: ReadonlyMap<RopeConfig, Angles>;
  readonly #positions: Int32Array;
  readonly #masks = new Map<string, Handle>();
  #maskKeys = 0;
  readonly #wrapped = new WeakMap<Float32Array, Handle>();

  readonly #buffers: Buffers;
  /** What is given back, masks apart. */
  readonly #taken: Float32Array[] = [];

  constructor(c: ModelConfig, batch: number, columns: number, buffers: Buffers) {
    this.#buffers = buffers;
    const buffer = (width: number): Handle => {
      const data = buffers.take(batch * columns * width);
      this.#taken.push(data);
      return handle({ dtype: 'f32', shape: [batch, columns, width], data });
    };
    this.#config = c;
    this.#batch = batch;
    this.#columns = columns;
    this.x = [buffer(c.dModel), buffer(c.dModel)];
    const projections = (): Projections => ({
      q: buffer(c.nHeads * c.headDim),
      k: buffer(c.nKvHeads * c.headDim),
      v: buffer(c.nKvHeads * c.headDim),
    });
    this.qkv = [projections(), projections()];
    this.ropes = new Map(
      [...new Set(c.blocks.map((b) => b.rope))].map((rope) => [
        rope,
        { cos: buffer(c.headDim / 2), sin: buffer(c.headDim / 2) },
      ]),
    );
    this.#positions = new Int32Array(batch * columns);
  }

  fits(batch: number, columns: number): boolean {
    return this.#batch === batch && this.#columns === columns;
  }

  /** A residual tensor [B,T,D] of the caller's as a handle; the same one for the same buffer. */
  wrap(t: Tensor<'f32'>): Handle {
    let found = this.#wrapped.get(t.data);
    if (found === undefined) {
      found = handle(t);
      this.#wrapped.set(t.data, found);
    }
    return found;
  }

  /** Angles of positions starts[b]…starts[b]+T−1 into every pair of {@link ropes}. */
  fillRopes(tables: ReadonlyMap<RopeConfig, RopeTable>, starts: readonly number[]): void {
    starts.forEach((start, b) => {
      for (let t = 0; t < this.#columns; t++) this.#positions[b * this.#columns + t] = start + t;
    });
    for (const [rope, { cos, sin }] of this.ropes)
      (tables.get(rope) as RopeTable).fill(
        this.#positions,
        cos.data as Float32Array,
        sin.data as Float32Array,
      );
  }

  /** Masks [B,1,T,keys] for queries from `starts`, one a distinct window of the blocks. */
  masks(starts: readonly number[], keys: number): (window: number | undefined) => Handle {
    if (keys !== this.#maskKeys) this.#masks.clear();
    this.#maskKeys = keys;
    for (const window of new Set(this.#config.blocks.map((b) => b.window))) {
      const name = String(window);
      const mask = this.#masks.get(name) ?? handle(zeros('f32', [this.#batch, 1, this.#columns, keys]));
      fillMask(mask.data as Float32Array, starts, this.#columns, keys, window);
      this.#masks.set(name, mask);
    }
    return (window) => this.#masks.get(String(window)) as Handle;
  }

  /** The memory serves others from now on. */
  release(): void {
    for (const data of this.#taken.splice(0)) this.#buffers.give(data);
  }
}

/** Workspaces that are free, most recently used first. */
export class WorkspacePool {
  readonly #config: ModelConfig;
  readonly #buffers = new Buffers();
  #free: Workspace[] = [];

  constructor(config: ModelConfig) {
    this.#config = config;
  }

  /** Run `body` with a workspace that nobody else uses meanwhile. */
  async borrow<T>(batch: number, columns: number, body: (space: Workspace) => Promise<T>): Promise<T> {
    const found = this.#free.find((w) => w.fits(batch, columns));
    const space = found ?? new Workspace(this.#config, batch, columns, this.#buffers);
    this.#free = this.#free.filter((w) => w !== space);
    try {
      return await body(space);
    } finally {
      const all = [space, ...this.#free];
      this.#free = all.slice(0, KEPT);
      for (const evicted of all.slice(KEPT)) evicted.release();
    }
  }

  clear(): void {
    this.#free = [];
  }
}
