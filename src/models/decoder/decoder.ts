/**
 * @file The decoder: runs any stretch of blocks over a batch, with or without a cache, and surfaces the residual stream at
 * every boundary. It knows tokens as numbers only.
 *
 * B rows, T columns (right-padded), D model width. Row b has `counts[b]` real columns; a pad's values are arbitrary but
 * never reach a real position, so a row gives the same result alone and in any batch.
 */
import { availableParallelism } from 'node:os';
import { CrosspatchError, disposeAll, InputError, type Owned, throwIfAborted } from '../../base/index.ts';
import { type Handle, type Provider, type Tensor, zeros } from '../../engine/index.ts';
import type { Checkpoint } from '../checkpoint/index.ts';
import type { BlockConfig, ModelConfig, RopeConfig } from '../config.ts';
import { parseModelConfig } from '../families/index.ts';
import type { HookContext, HookTable } from '../hooks.ts';
import { type Angles, addInto, BlockRunner } from './blockRunner.ts';
import type { KvCache } from './cache.ts';
import { Head } from './head.ts';
import { RopeTable } from './rope.ts';
import { checkTensors, EMBED, WeightFiles } from './weights.ts';
import { type Workspace, WorkspacePool } from './workspace.ts';

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
  /** Buffer [B,T,D] for the result; must not be the input's. Defaults to a fresh one. */
  readonly into?: Tensor<'f32'>;
}

/** A loaded decoder. Dispose of it to free its weights. */
export class Decoder implements Owned {
  readonly config: ModelConfig;
  readonly #weights: WeightFiles;
  readonly #blocks: readonly BlockRunner[];
  readonly #head: Head;
  readonly #ropes = new Map<RopeConfig, RopeTable>();
  readonly #workspaces: WorkspacePool;

  private constructor(config: ModelConfig, weights: WeightFiles, blocks: readonly BlockRunner[], head: Head) {
    this.config = config;
    this.#weights = weights;
    this.#blocks = blocks;
    this.#head = head;
    this.#workspaces = new WorkspacePool(config);
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
      const head = await Head.open(config, weights, compileOptions);
      return new Decoder(config, weights, blocks, head);
    } catch (error) {
      await disposeAll(opened);
      throw error;
    }
  }

  get nLayers(): number {
    return this.#blocks.length;
  }

  /**
   * Token ids, a list a row → what enters block 0, right-padded with zeros. Fires `hook_embed`. `into` is a buffer [B,T,D]
   * for the result; defaults to a fresh one.
   */
  embed(
    ids: readonly (readonly number[])[],
    options: Pick<RunOptions, 'hooks' | 'cache' | 'rows' | 'phase' | 'into'> = {},
  ): Residual {
    const { dModel, vocabSize, embedScale } = this.config;
    const counts = ids.map((row) => row.length);
    const columns = counts.reduce((a, b) => Math.max(a, b), 0);
    if (columns === 0) throw new InputError('embed: no tokens were given');
    const tensor = this.#target([ids.length, columns, dModel], options.into);
    ids.forEach((row, b) => {
      row.forEach((id, t) => {
        if (!Number.isInteger(id) || id < 0 || id >= vocabSize)
          throw new InputError(`embed: token id ${id} is outside 0…${vocabSize - 1}`);
        this.#weights.readRow(EMBED, id, tensor.data, (b * columns + t) * dModel);
      });
      if (options.into !== undefined)
        tensor.data.fill(0, (b * columns + row.length) * dModel, (b + 1) * columns * dModel);
    });
    if (embedScale !== 1) {
      // transformers rounds √d to the weights' dtype before multiplying
      const scale = Math.fround(embedScale);
      for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = (tensor.data[i] as number) * scale;
    }
    options.hooks?.fire('embed', -1, tensor, this.#context(counts, options));
    return { tensor, counts };
  }

  /** `into` when it has this shape, else an error; a fresh tensor when there is none. */
  #target(shape: readonly number[], into: Tensor<'f32'> | undefined): Tensor<'f32'> {
    if (into === undefined) return zeros('f32', shape);
    if (into.shape.length !== shape.length || into.shape.some((n, i) => n !== shape[i]))
      throw new CrosspatchError(
        `decoder: wanted a buffer [${shape.join(',')}], got [${into.shape.join(',')}]`,
      );
    return into;
  }

  /**
   * Run blocks `from`…`to`−1. The residual given is not changed; the one returned is the caller's to keep.
   * Hooks fire in the order of the forward pass. Passes may overlap in time.
   *
   * @throws InputError when a row would grow beyond the model's context, or the blocks are not the model's
   */
  async run(residual: Residual, options: RunOptions = {}): Promise<Residual> {
    const { from = 0, to = this.nLayers, cache } = options;
    const { counts } = residual;
    const { shape } = residual.tensor;
    const [batch, columns, width] = shape as [number, number, number];
    if (from < 0 || to > this.nLayers || from > to)
      throw new InputError(`run: blocks ${from}…${to} are outside 0…${this.nLayers}`);
    if (width !== this.config.dModel)
      throw new InputError(`run: residual of width ${width}, the model has ${this.config.dModel}`);
    if (counts.length !== batch || (cache !== undefined && cache.batch !== batch))
      throw new CrosspatchError(
        `run: ${counts.length} counts and a cache of ${cache?.batch ?? 'no'} rows for a batch of ${batch}`,
      );
    const context = this.#context(counts, options);
    const longest = counts.reduce((most, n, b) => Math.max(most, n + (context.starts[b] as number)), 0);
    if (longest > this.config.contextLength)
      throw new InputError(
        `run: ${longest} tokens exceed the model's context of ${this.config.contextLength}; shorten the text`,
      );
    if (options.into?.data === residual.tensor.data)
      throw new CrosspatchError('run: the result would overwrite the residual it is computed from');
    const out = this.#target(shape, options.into);
    if (from === to) out.data.set(residual.tensor.data);
    else
      await this.#workspaces.borrow(batch, columns, (space) =>
        this.#pass(space, residual, out, { ...options, from, to }, context),
      );
    return { tensor: out, counts };
  }

  async #pass(
    space: Workspace,
    { tensor, counts }: Residual,
    out: Tensor<'f32'>,
    { from, to, hooks, cache, signal }: RunOptions & { readonly from: number; readonly to: number },
    context: Omit<HookContext, 'name' | 'layer'>,
  ): Promise<void> {
    const columns = tensor.shape[1] as number;
    cache?.reserve(columns);
    space.fillRopes(this.#ropes, context.starts);
    // With nothing in the past, the chunk attends to itself and the cache is only written.
    const fresh = cache === undefined || context.starts.every((s) => s === 0);
    const mask = space.masks(context.starts, fresh ? columns : cache.capacity);

    let x = space.wrap(tensor);
    if (hooks?.has('resid_pre', from)) {
      // a hook may write into what is the caller's
      (space.x[1].data as Float32Array).set(tensor.data);
      x = space.x[1];
    }
    const angles = (i: number): Angles =>
      space.ropes.get((this.config.blocks[i] as BlockConfig).rope) as Angles;
    /** Whether the block before has already projected what this one attends with. */
    let projected = false;
    for (let i = from; i < to; i++) {
      throwIfAborted(signal, 'forward pass');
      const block = this.#blocks[i] as BlockRunner;
      const [mine, next] = i % 2 === 0 ? space.qkv : [space.qkv[1], space.qkv[0]];
      const post = i === to - 1 ? space.wrap(out) : (space.x[(i - from) % 2] as Handle);
      if (fireChanged(hooks, 'resid_pre', i, x, context)) projected = false;
      if (!projected) await block.qkv(x, angles(i), mine);
      cache?.write(i, mine.k.data as Float32Array, mine.v.data as Float32Array, columns, counts);
      const feeds = {
        x,
        q: mine.q,
        k: fresh ? mine.k : cache.keys(i),
        v: fresh ? mine.v : cache.values(i),
        mask: mask((this.config.blocks[i] as BlockConfig).window),
      };
      projected = false;
      if (hooks?.inside(i)) await this.#inPieces(block, i, feeds, post, hooks, context);
      else
        projected = await block.finish(
          feeds,
          post,
          i + 1 < this.nLayers ? { angles: angles(i + 1), into: next } : undefined,
        );
      if (fireChanged(hooks, 'resid_post', i, post, context)) projected = false;
      x = post;
    }
    cache?.advance(counts);
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

  /** Rows of the residual stream after the last block, [N,D] → normalised rows; then {@link logits}. `into`: a buffer [N,D]. */
  normalise(rows: Tensor<'f32'>, into?: Tensor<'f32'>): Promise<Tensor<'f32'>> {
    return this.#head.normalise(rows, into);
  }

  /** Normalised rows [N,D] → logits [N,V]. `into`: a buffer [N,V]. */
  logits(normalized: Tensor<'f32'>, into?: Tensor<'f32'>): Promise<Tensor<'f32'>> {
    return this.#head.logits(normalized, into);
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

  async [Symbol.asyncDispose](): Promise<void> {
    this.#workspaces.clear();
    await disposeAll([this.#weights, ...this.#blocks, this.#head]);
  }
}

/** Fire the hooks of a point and say whether they have changed a number; what was computed from the old ones is then void. */
function fireChanged(
  hooks: HookTable | undefined,
  site: 'resid_pre' | 'resid_post',
  layer: number,
  h: Handle,
  context: Omit<HookContext, 'name' | 'layer'>,
): boolean {
  if (!hooks?.has(site, layer)) return false;
  const data = h.data as Float32Array;
  const before = data.slice();
  hooks.fire(site, layer, view(h), context);
  return Buffer.compare(bytesOf(before), bytesOf(data)) !== 0;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** A handle's buffer as an engine tensor, without copying. */
function view(h: Handle): Tensor<'f32'> {
  return { dtype: 'f32', shape: h.dims, data: h.data as Float32Array };
}
