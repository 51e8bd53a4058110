/**
 * @file The decoder: runs any stretch of blocks over a batch, with or without a cache, and surfaces the residual stream at
 * every boundary. It knows tokens as numbers only.
 *
 * B rows, T columns (right-padded), D model width. Row b has `counts[b]` real columns; a pad's values are arbitrary but
 * never reach a real position, so a row gives the same result alone and in any batch.
 */
import { availableParallelism } from 'node:os';
import { CrosspatchError, disposeAll, InputError, type Owned, throwIfAborted } from '../../base/index.ts';
import { type Handle, handle, type Provider, type Tensor, zeros } from '../../engine/index.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import type { ModelConfig, RopeConfig } from '../config.ts';
import { parseModelConfig } from '../families/index.ts';
import type { HookContext, HookTable } from '../hooks.ts';
import { addInto, BlockRunner } from './blockRunner.ts';
import type { KvCache } from './cache.ts';
import { Head } from './head.ts';
import { fillMask } from './mask.ts';
import { RopeTable } from './rope.ts';
import { checkTensors, EMBED, WeightFiles } from './weights.ts';

/** Options of {@link Decoder.open}. */
export interface DecoderOptions {
  /** Defaults to `cpu`. */
  readonly provider?: Provider;
  /** Threads inside one operator. Defaults to the number of cores. */
  readonly threads?: number;
}

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
}

/** Buffers of one batch shape, kept until the shape changes. */
interface Workspace {
  readonly key: string;
  readonly x: readonly [Handle, Handle];
  readonly q: Handle;
  readonly k: Handle;
  readonly v: Handle;
  readonly ropes: ReadonlyMap<RopeConfig, { readonly cos: Handle; readonly sin: Handle }>;
}

/** A loaded decoder. Dispose of it to free its weights. */
export class Decoder implements Owned {
  readonly config: ModelConfig;
  readonly #weights: WeightFiles;
  readonly #blocks: readonly BlockRunner[];
  readonly #head: Head;
  readonly #ropes = new Map<RopeConfig, RopeTable>();
  /** One for prefill, one for decoding. */
  #workspaces: Workspace[] = [];

  private constructor(config: ModelConfig, weights: WeightFiles, blocks: readonly BlockRunner[], head: Head) {
    this.config = config;
    this.#weights = weights;
    this.#blocks = blocks;
    this.#head = head;
    for (const { rope } of config.blocks)
      if (!this.#ropes.has(rope)) this.#ropes.set(rope, new RopeTable(rope, config.headDim));
  }

  /** Check the checkpoint against its config and compile every block. */
  static async open(checkpoint: Checkpoint, options: DecoderOptions = {}): Promise<Decoder> {
    const config = parseModelConfig(checkpoint.config, checkpoint.path);
    checkTensors(config, checkpoint.tensors, checkpoint.path);
    const weights = new WeightFiles(checkpoint);
    const compileOptions = {
      provider: options.provider ?? 'cpu',
      threads: options.threads ?? availableParallelism(),
    };
    const opened: Owned[] = [weights];
    try {
      const blocks: BlockRunner[] = [];
      for (let i = 0; i < config.blocks.length; i++) {
        const block = await BlockRunner.open(config, i, weights, compileOptions);
        blocks.push(block);
        opened.push(block);
      }
      return new Decoder(config, weights, blocks, await Head.open(config, weights, compileOptions));
    } catch (error) {
      await disposeAll(opened);
      throw error;
    }
  }

  get nLayers(): number {
    return this.#blocks.length;
  }

  /** Token ids, a list a row → what enters block 0, right-padded with zeros. Fires `hook_embed`. */
  embed(
    ids: readonly (readonly number[])[],
    options: Pick<RunOptions, 'hooks' | 'cache' | 'rows' | 'phase'> = {},
  ): Residual {
    const { dModel, vocabSize, embedScale } = this.config;
    const counts = ids.map((row) => row.length);
    const columns = Math.max(0, ...counts);
    if (ids.length === 0 || columns === 0) throw new InputError('embed: no tokens were given');
    const tensor = zeros('f32', [ids.length, columns, dModel]);
    ids.forEach((row, b) => {
      row.forEach((id, t) => {
        if (!Number.isInteger(id) || id < 0 || id >= vocabSize)
          throw new InputError(`embed: token id ${id} is outside 0…${vocabSize - 1}`);
        this.#weights.readRow(EMBED, id, tensor.data, (b * columns + t) * dModel);
      });
    });
    if (embedScale !== 1) {
      // transformers rounds √d to the weights' dtype before multiplying
      const scale = Math.fround(embedScale);
      for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = (tensor.data[i] as number) * scale;
    }
    options.hooks?.fire('embed', -1, tensor, this.#context(counts, options));
    return { tensor, counts };
  }

  /**
   * Run blocks `from`…`to`−1. The residual given is not changed; the one returned is the caller's to keep.
   * Hooks fire in the order of the forward pass.
   */
  async run(residual: Residual, options: RunOptions = {}): Promise<Residual> {
    const { from = 0, to = this.nLayers, hooks, cache } = options;
    const { counts } = residual;
    const [batch, columns, width] = residual.tensor.shape as [number, number, number];
    if (from < 0 || to > this.nLayers || from > to)
      throw new InputError(`run: blocks ${from}…${to} are outside 0…${this.nLayers}`);
    if (width !== this.config.dModel)
      throw new InputError(`run: residual of width ${width}, the model has ${this.config.dModel}`);
    if (cache !== undefined && cache.batch !== batch)
      throw new CrosspatchError(`run: cache of ${cache.batch} rows, batch of ${batch}`);
    if (from === to) return { tensor: { ...residual.tensor, data: residual.tensor.data.slice() }, counts };

    cache?.reserve(columns);
    const context = this.#context(counts, options);
    const space = this.#workspace(batch, columns);
    this.#fillRopes(space, context.starts, columns);
    // With nothing in the past, the chunk attends to itself and the cache is only written.
    const fresh = cache === undefined || context.starts.every((s) => s === 0);
    const masks = this.#masks(context.starts, columns, fresh ? columns : cache.capacity);

    let [x, next] = space.x;
    (x.data as Float32Array).set(residual.tensor.data);
    for (let i = from; i < to; i++) {
      throwIfAborted(options.signal, 'forward pass');
      const block = this.#blocks[i] as BlockRunner;
      const { rope, window } = this.config.blocks[i] as ModelConfig['blocks'][number];
      hooks?.fire('resid_pre', i, view(x), context);
      const { cos, sin } = space.ropes.get(rope) as { cos: Handle; sin: Handle };
      await block.qkv({ x, cos, sin }, space);
      cache?.write(i, space.k.data as Float32Array, space.v.data as Float32Array, columns, counts);
      const mask = masks.get(window) as Handle;
      const k = fresh ? space.k : cache.keys(i);
      const v = fresh ? space.v : cache.values(i);
      if (hooks?.inside(i))
        await this.#inPieces(block, i, { x, q: space.q, k, v, mask }, next, hooks, context);
      else await block.finish({ x, q: space.q, k, v, mask }, { post: next });
      hooks?.fire('resid_post', i, view(next), context);
      [x, next] = [next, x];
    }
    cache?.advance(counts);
    return { tensor: { ...view(x), data: (x.data as Float32Array).slice() }, counts };
  }

  async #inPieces(
    block: BlockRunner,
    i: number,
    feeds: { x: Handle; q: Handle; k: Handle; v: Handle; mask: Handle },
    post: Handle,
    hooks: HookTable,
    context: Omit<HookContext, 'name' | 'layer'>,
  ): Promise<void> {
    const pieces = await block.pieces();
    const attended = await block.attend(pieces, feeds, (stage, h) =>
      hooks.fire(stage === 'inner' ? 'attn_inner' : 'attn_out', i, view(h), context),
    );
    const out = post.data as Float32Array;
    addInto(feeds.x.data as Float32Array, attended.out, out);
    hooks.fire('resid_mid', i, view(post), context);
    const mixed = await block.mlp(pieces, post, (stage, h) =>
      hooks.fire(stage === 'inner' ? 'mlp_inner' : 'mlp_out', i, view(h), context),
    );
    addInto(out, mixed.out, out);
  }

  /** Rows of the residual stream after the last block, [N,D] → normalised rows; then {@link logits}. */
  normalise(rows: Tensor<'f32'>): Promise<Tensor<'f32'>> {
    return this.#head.normalise(rows);
  }

  /** Normalised rows [N,D] → logits [N,V]. */
  logits(normalized: Tensor<'f32'>): Promise<Tensor<'f32'>> {
    return this.#head.logits(normalized);
  }

  /** Rows of the residual stream after the last block [N,D] → logits [N,V]. */
  async unembed(rows: Tensor<'f32'>): Promise<Tensor<'f32'>> {
    return this.#head.logits(await this.#head.normalise(rows));
  }

  #context(
    counts: readonly number[],
    options: Pick<RunOptions, 'cache' | 'rows' | 'phase'>,
  ): Omit<HookContext, 'name' | 'layer'> {
    return {
      counts,
      starts: options.cache?.lengths.slice() ?? counts.map(() => 0),
      rows: options.rows ?? counts.map((_, b) => b),
      phase: options.phase ?? 'prompt',
    };
  }

  #workspace(batch: number, columns: number): Workspace {
    const key = `${batch}×${columns}`;
    const found = this.#workspaces.find((w) => w.key === key);
    if (found !== undefined) return found;
    const c = this.config;
    const buffer = (width: number): Handle => handle(zeros('f32', [batch, columns, width]));
    const space: Workspace = {
      key,
      x: [buffer(c.dModel), buffer(c.dModel)],
      q: buffer(c.nHeads * c.headDim),
      k: buffer(c.nKvHeads * c.headDim),
      v: buffer(c.nKvHeads * c.headDim),
      ropes: new Map(
        [...this.#ropes.keys()].map((rope) => [
          rope,
          { cos: buffer(c.headDim / 2), sin: buffer(c.headDim / 2) },
        ]),
      ),
    };
    this.#workspaces = [space, ...this.#workspaces].slice(0, 2);
    return space;
  }

  #fillRopes(space: Workspace, starts: readonly number[], columns: number): void {
    const positions = starts.flatMap((s) => Array.from({ length: columns }, (_, t) => s + t));
    for (const [rope, table] of this.#ropes) {
      const { cos, sin } = space.ropes.get(rope) as { cos: Handle; sin: Handle };
      table.fill(positions, cos.data as Float32Array, sin.data as Float32Array);
    }
  }

  /** One mask a distinct window. */
  #masks(starts: readonly number[], columns: number, keys: number): Map<number | undefined, Handle> {
    const masks = new Map<number | undefined, Handle>();
    for (const { window } of this.config.blocks) {
      if (masks.has(window)) continue;
      const mask = zeros('f32', [starts.length, 1, columns, keys]);
      fillMask(mask.data, starts, columns, keys, window);
      masks.set(window, handle(mask));
    }
    return masks;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#workspaces = [];
    await disposeAll([this.#weights, ...this.#blocks, this.#head]);
  }
}

/** A handle's buffer as an engine tensor, without copying. */
function view(h: Handle): Tensor<'f32'> {
  return { dtype: 'f32', shape: h.dims, data: h.data as Float32Array };
}
