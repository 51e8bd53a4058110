/** @file One forward pass: what its blocks are fed and where their results go, for a group of blocks or one. */
import type { Handle, Session, Tensor } from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import type { HookContext, HookTable } from '../hooks.ts';
import type { KvCache } from './cache.ts';
import type { RopeTable } from './rope.ts';
import type { BlockIo } from './single-block.ts';
import { names, type Stretch, type Surroundings } from './stretch.ts';
import type { Workspace } from './workspace.ts';

/** A residual stream [B,T,D] with the number of real columns of every row. */
export interface Residual {
  readonly tensor: Tensor<'f32'>;
  readonly counts: readonly number[];
}

/** What one stretch of blocks is asked for. */
export interface RunOptions {
  /** First block to run; the residual given is its input. Defaults to 0. */
  readonly from?: number;
  /** Block to stop before. Defaults to the number of blocks. */
  readonly to?: number;
  readonly hooks?: HookTable;
  /** Past keys and values; the new tokens are appended. Without one, positions start at 0. */
  readonly cache?: KvCache;
  /** Index of each row in the caller's batch, for hooks. Defaults to 0…B−1. */
  readonly rows?: readonly number[];
  readonly phase?: HookContext['phase'];
  readonly signal?: AbortSignal;
  /** Buffer [B,T,D] for the result; must not be the input's. Defaults to a fresh one. */
  readonly into?: Tensor<'f32'>;
}

/** What hooks of a pass are told, the point aside. */
export type Context = Omit<HookContext, 'name' | 'layer'>;

/** `columns` new tokens, `counts[b]` of them real, after those a cache holds. */
interface PassSize {
  readonly columns: number;
  readonly counts: readonly number[];
  readonly context: Context;
  readonly cache: KvCache | undefined;
  /** What a group may give at once, at most. */
  readonly heldBytes: number;
}

/** See the file's head. Keys and values are stored as blocks have run; the cache advances when the caller says so. */
export class Pass {
  readonly #space: Workspace;
  readonly #size: PassSize;
  readonly #around: Surroundings;
  /** The cache, when it holds anything to attend to; else it is only written. */
  readonly #seen: KvCache | undefined;

  constructor(space: Workspace, ropes: readonly RopeTable[], size: PassSize) {
    const { cache, columns, context } = size;
    cache?.reserve(columns);
    this.#space = space;
    this.#size = size;
    this.#seen = context.starts.some((s) => s > 0) ? cache : undefined;
    this.#around = space.around(ropes, context.starts, this.#seen?.capacity ?? 0);
  }

  /** Whether what a stretch gives while it runs in one session is little enough to be held at once. */
  holds(stretch: Stretch, hooks: HookTable | undefined): boolean {
    const { counts, columns, heldBytes } = this.#size;
    return givenBytes(this.#space.config, stretch, hooks) * counts.length * columns <= heldBytes;
  }

  /** Feeds and targets of a stretch. */
  io({ from, to }: Stretch, x: Handle, post: Handle): BlockIo {
    const feeds: Record<string, Handle> = this.#seen?.feeds(from) ?? {};
    for (let i = from; i < to; i++) {
      const past = this.#seen?.past(i) ?? this.#space.nothing;
      feeds[names.pastK(i)] = past.k;
      feeds[names.pastV(i)] = past.v;
    }
    Object.assign(feeds, this.#around, { x });
    return {
      feeds: feeds as BlockIo['feeds'],
      into: { [names.post(to - 1)]: post, [names.kv]: this.#space.kv(to - from) },
    };
  }

  /** After a stretch has run: keep its keys and values. */
  store({ from, to }: Stretch): void {
    const { cache, columns, counts } = this.#size;
    cache?.write({ from, to }, this.#space.kv(to - from).data as Float32Array, columns, counts);
  }

  /**
   * Run a stretch in one session, then fire the hooks between them in order, up to the first that changes a number:
   * returns the block that should have been fed the change. Its input is then in `between(block − from)`.
   */
  async together(
    session: Session,
    { feeds, into }: BlockIo,
    stretch: Stretch,
    hooks: HookTable | undefined,
  ): Promise<number | undefined> {
    const listened = boundaries(hooks, stretch);
    const edited = new Set(listened.filter((i) => mayChange(hooks, i)));
    const fresh = listened.filter((i) => !edited.has(i)).map((i) => names.post(i - 1));
    for (const i of edited) into[names.post(i - 1)] = this.#space.between(i - stretch.from);
    const results = await session.fill(feeds, into, fresh);
    this.store(stretch);
    return listened.find((i) => {
      const h = results[names.post(i - 1)] as Handle;
      return edited.has(i)
        ? this.#fireChanged(hooks as HookTable, i, h)
        : this.#show(hooks as HookTable, i, h);
    });
  }

  /** Fire hooks between block `next`−1 and `next` that only read, on what is theirs. */
  #show(hooks: HookTable, next: number, h: Handle): false {
    const { context } = this.#size;
    const spare = !hooks.has('resid_pre', next);
    hooks.fire({ site: 'resid_post', layer: next - 1 }, view(h), context, spare);
    hooks.fire({ site: 'resid_pre', layer: next }, view(h), context, true);
    return false;
  }

  /** Fire the hooks between block `next`−1 and `next` and say whether they have changed a number. */
  #fireChanged(hooks: HookTable, next: number, h: Handle): boolean {
    const { context } = this.#size;
    const data = h.data as Float32Array;
    const before = this.#space.scratch;
    before.set(data);
    hooks.fire({ site: 'resid_post', layer: next - 1 }, view(h), context);
    hooks.fire({ site: 'resid_pre', layer: next }, view(h), context);
    return Buffer.compare(bytesOf(before), bytesOf(data)) !== 0;
  }
}

/** Bytes a token that a stretch gives while it runs in one session: keys, values, and the residual streams that hooks want. */
export function givenBytes(
  { nKvHeads, headDim, dModel }: ModelConfig,
  { from, to }: Stretch,
  hooks: HookTable | undefined,
): number {
  return 4 * (2 * (to - from) * nKvHeads * headDim + boundaries(hooks, { from, to }).length * dModel);
}

/** Blocks inside a stretch before which a hook listens. */
function boundaries(hooks: HookTable | undefined, { from, to }: Stretch): number[] {
  if (hooks === undefined) return [];
  const inner = Array.from({ length: to - from - 1 }, (_, j) => from + 1 + j);
  return inner.filter((i) => hooks.has('resid_post', i - 1) || hooks.has('resid_pre', i));
}

/** Whether a hook between block `next`−1 and `next` may change what it sees. */
function mayChange(hooks: HookTable | undefined, next: number): boolean {
  return hooks !== undefined && (hooks.edits('resid_post', next - 1) || hooks.edits('resid_pre', next));
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** A handle's buffer as an engine tensor, without copying. */
export function view(h: Handle): Tensor<'f32'> {
  return { dtype: 'f32', shape: h.dims, data: h.data as Float32Array };
}
