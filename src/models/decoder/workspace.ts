/** @file Buffers of one batch shape. A pass borrows one for itself, so passes that overlap in time never share numbers. */
import { type Handle, handle, type Tensor, zeros } from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import { Buffers } from './buffers.ts';
import { fillMask } from './mask.ts';
import { type RopeTable, ropesOf } from './rope.ts';
import { type KeysValues, names, type Surroundings } from './stretch.ts';

/** Free workspaces kept: one for prefill, one for decoding, one to spare. */
const KEPT = 3;

/** B rows, T columns, D model width, K key/value heads, E head size. */
export class Workspace {
  readonly config: ModelConfig;
  readonly #batch: number;
  readonly #columns: number;
  /** Residual streams [B,T,D] that blocks write in turn. */
  readonly x: readonly [Handle, Handle];
  /** Keys and values of no past, [B,0,K·E]. */
  readonly nothing: KeysValues;
  readonly #kv: Handle[] = [];
  readonly #between: Handle[] = [];
  #scratch: Float32Array | undefined;
  readonly #angles: readonly { readonly cos: Handle; readonly sin: Handle }[];
  readonly #positions: Int32Array;
  readonly #masks = new Map<string, Handle>();
  #maskPast = -1;
  readonly #wrapped = new WeakMap<Float32Array, Handle>();

  readonly #buffers: Buffers;
  readonly #buffer: (width: number) => Handle;
  /** What is given back, masks apart. */
  readonly #taken: Float32Array[] = [];

  constructor(c: ModelConfig, batch: number, columns: number, buffers: Buffers) {
    this.#buffers = buffers;
    const buffer = (width: number): Handle => {
      const data = buffers.take(batch * columns * width);
      this.#taken.push(data);
      return handle({ dtype: 'f32', shape: [batch, columns, width], data });
    };
    this.config = c;
    this.#batch = batch;
    this.#columns = columns;
    this.#buffer = buffer;
    this.x = [buffer(c.dModel), buffer(c.dModel)];
    const none = handle(zeros('f32', [batch, 0, c.nKvHeads * c.headDim]));
    this.nothing = { k: none, v: none };
    this.#angles = ropesOf(c).map(() => ({ cos: buffer(c.headDim / 2), sin: buffer(c.headDim / 2) }));
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

  /** New keys and values of `n` blocks, [B,T,n·2·K·E]. */
  kv(n: number): Handle {
    return (this.#kv[n] ??= this.#buffer(2 * n * this.config.nKvHeads * this.config.headDim));
  }

  /** The residual stream [B,T,D] before the `j`-th block of a group, made when something listens there. */
  between(j: number): Handle {
    return (this.#between[j] ??= this.#buffer(this.config.dModel));
  }

  /** Room for a copy of a residual stream. */
  get scratch(): Float32Array {
    return (this.#scratch ??= this.#buffer(this.config.dModel).data as Float32Array);
  }

  /** Angles and masks of columns that stand after `starts` tokens, over a cache of `past` columns. */
  around(tables: readonly RopeTable[], starts: readonly number[], past: number): Surroundings {
    starts.forEach((start, b) => {
      for (let t = 0; t < this.#columns; t++) this.#positions[b * this.#columns + t] = start + t;
    });
    const around: Record<string, Handle> = {};
    this.#angles.forEach(({ cos, sin }, kind) => {
      const table = tables[kind] as RopeTable;
      table.fill(this.#positions, cos.data as Float32Array, sin.data as Float32Array);
      around[names.cos(kind)] = cos;
      around[names.sin(kind)] = sin;
    });
    if (past !== this.#maskPast) this.#masks.clear();
    this.#maskPast = past;
    for (const window of new Set(this.config.blocks.map((b) => b.window))) {
      const name = names.mask(window);
      const shape = [this.#batch, 1, this.#columns, past + this.#columns];
      const mask = this.#masks.get(name) ?? handle(zeros('f32', shape));
      fillMask(mask.data as Float32Array, starts, { queries: this.#columns, past, window });
      this.#masks.set(name, mask);
      around[name] = mask;
    }
    return around;
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
