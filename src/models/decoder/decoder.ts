/**
 * @file The decoder: runs any stretch of blocks over a batch, with or without a cache, and surfaces the residual stream at
 * every boundary. It knows tokens as numbers only.
 *
 * B rows, T columns (right-padded), D model width. Row b has `counts[b]` real columns; a pad's values are arbitrary but
 * never reach a real position, so a row gives the same result alone and in any batch.
 */
import { availableParallelism } from 'node:os';
import { CrosspatchError, disposeAll, InputError, type Owned } from '../../base/index.ts';
import { type Arithmetic, modelProvider, type Provider, type Tensor, zeros } from '../../engine/index.ts';
import { type Checkpoint, refuseNonFiniteWeights } from '../checkpoint/index.ts';
import type { ModelConfig } from '../config.ts';
import { parseModelConfig } from '../families/index.ts';
import type { HookTable } from '../hooks.ts';
import { Blocks } from './blocks.ts';
import { refuseNonFiniteRows } from './finite-rows.ts';
import { Head } from './head.ts';
import type { Context, Residual, RunOptions } from './pass.ts';
import { allTensors, checkTensors, WeightFiles } from './weights.ts';
import { WorkspacePool } from './workspace.ts';

/** Options of {@link Decoder.open}. */
export interface DecoderOptions {
  /** Defaults to that of `CROSSPATCH_PROVIDER`, else `cpu`. */
  readonly provider?: Provider;
  /** Threads inside one operator. Defaults to the number of cores. */
  readonly threads?: number;
  /** Bytes of residual streams, keys and values that one session gives in a pass, at most; longer passes use more sessions. Defaults to 256 MiB. */
  readonly heldBytes?: number;
  /** Tokens the tokenizer has, from 0: rows of the embedding beyond are padding and are never chosen. Defaults to all rows. */
  readonly tokens?: number;
  /** Of products with packed matrices. Defaults to `exact`. */
  readonly arithmetic?: Arithmetic | undefined;
}

const HELD_BYTES = 2 ** 28;

/** A loaded decoder. Dispose of it to free its weights. */
export class Decoder implements Owned {
  readonly config: ModelConfig;
  readonly #weights: WeightFiles;
  readonly #blocks: Blocks;
  readonly #head: Head;
  readonly #workspaces: WorkspacePool;

  private constructor(config: ModelConfig, weights: WeightFiles, blocks: Blocks, head: Head) {
    this.config = config;
    this.#weights = weights;
    this.#blocks = blocks;
    this.#head = head;
    this.#workspaces = new WorkspacePool(config);
  }

  /** Check the checkpoint against its config and compile every block. */
  static async open(checkpoint: Checkpoint, options: DecoderOptions = {}): Promise<Decoder> {
    const config = parseModelConfig(checkpoint.config, checkpoint.path);
    checkTensors(config, checkpoint);
    await refuseNonFiniteWeights(checkpoint, allTensors(config).keys());
    const weights = new WeightFiles(checkpoint);
    const compileOptions = {
      provider: options.provider ?? modelProvider(),
      threads: options.threads ?? availableParallelism(),
      arithmetic: options.arithmetic,
    };
    const opened: Owned[] = [weights];
    try {
      // The largest session first: while it is made its weights are held twice, and later that would come on top of all the others.
      const head = await Head.open(config, weights, { ...compileOptions, tokens: options.tokens });
      opened.push(head);
      const source = { config, weights, options: compileOptions };
      return new Decoder(config, weights, await Blocks.open(source, options.heldBytes ?? HELD_BYTES), head);
    } catch (error) {
      await disposeAll(opened);
      throw error;
    }
  }

  /** Tokens that may be chosen: ids below this. */
  get tokens(): number {
    return this.#head.tokens;
  }

  get nLayers(): number {
    return this.config.blocks.length;
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
    if (columns === 0) throw new InputError('embed: no tokens were given', { id: 'tensor-invalid' });
    const tensor = this.#target([ids.length, columns, dModel], options.into);
    ids.forEach((row, b) => {
      row.forEach((id, t) => {
        if (!Number.isInteger(id) || id < 0 || id >= vocabSize)
          throw new InputError(`embed: token id ${id} is outside 0…${vocabSize - 1}`, {
            id: 'tensor-invalid',
          });
        this.#weights.readEmbedding(id, tensor.data, (b * columns + t) * dModel);
      });
      if (options.into !== undefined)
        tensor.data.fill(0, (b * columns + row.length) * dModel, (b + 1) * columns * dModel);
    });
    if (embedScale !== 1) {
      // transformers rounds √d to the weights' dtype before multiplying
      const scale = Math.fround(embedScale);
      for (let i = 0; i < tensor.data.length; i++) tensor.data[i] = (tensor.data[i] as number) * scale;
    }
    options.hooks?.fire({ site: 'embed', layer: -1 }, tensor, this.#context(counts, options));
    return { tensor, counts };
  }

  /** Rows of `columns` new tokens that a pass with these hooks can hold at once; more make it compile its blocks in smaller sessions. At least 1. */
  rowsHeld(columns: number, hooks?: HookTable): number {
    return this.#blocks.rowsHeld(columns, hooks);
  }

  /** `into` when it has this shape, else an error; a fresh tensor when there is none. */
  #target(shape: readonly number[], into: Tensor<'f32'> | undefined): Tensor<'f32'> {
    if (into === undefined) return zeros('f32', shape);
    if (into.shape.length !== shape.length || into.shape.some((n, i) => n !== shape[i]))
      throw new CrosspatchError(
        `decoder: wanted a buffer [${shape.join(',')}], got [${into.shape.join(',')}]`,
        { id: 'tensor-invalid' },
      );
    return into;
  }

  /**
   * Run blocks `from`…`to`−1. The residual given is not changed; the one returned is the caller's to keep.
   * Hooks fire in the order of the forward pass. Passes may overlap in time.
   *
   * @throws InputError when a row would grow beyond the model's context, or the blocks are not the model's
   * @throws CrosspatchError when a value of the result is NaN or infinite
   */
  async run(residual: Residual, options: RunOptions = {}): Promise<Residual> {
    const { from = 0, to = this.nLayers, cache } = options;
    const { counts } = residual;
    const { shape } = residual.tensor;
    const [batch, columns, width] = shape as [number, number, number];
    if (from < 0 || to > this.nLayers || from > to)
      throw new InputError(`run: blocks ${from}…${to} are outside 0…${this.nLayers}`, {
        id: 'block-unknown',
      });
    if (width !== this.config.dModel)
      throw new InputError(`run: residual of width ${width}, the model has ${this.config.dModel}`, {
        id: 'tensor-invalid',
      });
    if (counts.length !== batch || (cache !== undefined && cache.batch !== batch))
      throw new CrosspatchError(
        `run: ${counts.length} counts and a cache of ${cache?.batch ?? 'no'} rows for a batch of ${batch}`,
        { id: 'tensor-invalid' },
      );
    const context = this.#context(counts, options);
    const longest = counts.reduce((most, n, b) => Math.max(most, n + (context.starts[b] as number)), 0);
    if (longest > this.config.contextLength)
      throw new InputError(
        `run: ${longest} tokens exceed the model's context of ${this.config.contextLength}; shorten the text`,
        { id: 'prompt-invalid' },
      );
    if (options.into?.data === residual.tensor.data)
      throw new CrosspatchError('run: the result would overwrite the residual it is computed from', {
        id: 'tensor-invalid',
      });
    const out = this.#target(shape, options.into);
    if (from === to) out.data.set(residual.tensor.data);
    else
      await this.#workspaces.borrow(batch, columns, (space) =>
        this.#blocks.run(space, { residual, out, context }, { ...options, from, to }),
      );
    refuseNonFiniteRows(out, counts, context.rows, to);
    return { tensor: out, counts };
  }

  /** Rows of the residual stream after the last block, [N,D] → normalised rows; then {@link logits}. `into`: a buffer [N,D]. */
  normalise(rows: Tensor<'f32'>, into?: Tensor<'f32'>): Tensor<'f32'> {
    return this.#head.normalise(rows, into);
  }

  /** Normalised rows [N,D] → logits [N,V]. `into`: a buffer [N,V]. */
  logits(normalized: Tensor<'f32'>, into?: Tensor<'f32'>): Promise<Tensor<'f32'>> {
    return this.#head.logits(normalized, into);
  }

  /** Normalised rows [N,D] → [N,3]: the two largest logits, and the token of the largest (the first of equals). `into`: a buffer [N,3]. */
  best(normalized: Tensor<'f32'>, into?: Tensor<'f32'>): Promise<Tensor<'f32'>> {
    return this.#head.best(normalized, into);
  }

  /** Rows of the residual stream after the last block [N,D] → logits [N,V]. */
  unembed(rows: Tensor<'f32'>): Promise<Tensor<'f32'>> {
    return this.#head.logits(this.#head.normalise(rows));
  }

  #context(counts: readonly number[], options: Pick<RunOptions, 'cache' | 'rows' | 'phase'>): Context {
    return {
      counts,
      starts: options.cache?.lengths.slice() ?? counts.map(() => 0),
      rows: options.rows ?? counts.map((_, b) => b),
      phase: options.phase ?? 'prompt',
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#workspaces.clear();
    await disposeAll([this.#weights, this.#blocks, this.#head]);
  }
}
