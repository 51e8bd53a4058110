/**
 * @file A decoder that can be trained: forward keeps one residual per block, backward goes block by block through one compiled
 * vector-Jacobian product. Activation memory is a residual a block, one block's insides, and as many blocks' products as
 * `keepBytes` allows: those blocks are not computed a second time.
 */
import { availableParallelism } from 'node:os';
import { CrosspatchError, disposeAll, type Owned } from '../base/index.ts';
import { type Handle, modelProvider, type Provider } from '../engine/index.ts';
import { EMBED, FINAL_NORM, HEAD, type ModelConfig } from '../models/index.ts';
import type { LoraOptions } from './adapters.ts';
import type { Batch } from './batches.ts';
import type { BlockInput } from './block-graph.ts';
import { type Trace, TrainableBlocks } from './blocks.ts';
import { ModelEnds } from './ends.ts';
import { Gradients } from './gradients.ts';
import { LossHead } from './head.ts';
import { type Parameters, parameter } from './parameters.ts';
import { SurroundingsMaker } from './surroundings.ts';
import { valuesOf, Workspace } from './workspace.ts';

/** Options of {@link TrainableModel.open}. */
export interface TrainableOptions {
  /** Which of the parameters (by full name) get gradients. Adapter factors are named `{tensor}.lora_A|B`. Defaults to all. */
  readonly trains?: (name: string) => boolean;
  /** Adapters: their factors are parameters too, under `{tensor}.lora_A|B`. */
  readonly lora?: LoraOptions;
  /** Defaults to that of `CROSSPATCH_PROVIDER`, else `cpu`. */
  readonly provider?: Provider;
  /** Defaults to the number of cores. */
  readonly threads?: number;
  /** Bytes of matrix products that may be kept for the backward pass; 0 = every block is recomputed. Defaults to 512 MiB. */
  readonly keepBytes?: number;
}

/** Loss Σ w·(−ln p), the sum of weights, and the gradient towards the residual the run started from, when asked for. */
interface LossResult {
  readonly loss: number;
  readonly weight: number;
  /** [B,T,D]. */
  readonly inputGradient?: Float32Array;
}

/** Options of {@link TrainableModel.gradients}. */
interface GradientOptions {
  /** Factor on the loss. Defaults to 1 / the sum of weights: the mean loss a token. */
  readonly scale?: number;
  /** Add to the gradients instead of overwriting them. Defaults to false. */
  readonly accumulate?: boolean;
  /** Start at this block's input instead of at the embedding; needs `residual`. */
  readonly from?: number;
  /** Input of block `from`, [B,T,D]. */
  readonly residual?: Float32Array;
  /** Also return the gradient towards what the run started from. Defaults to false. */
  readonly inputGradient?: boolean;
}

/** A decoder whose weights are inputs of its sessions, so that they may change between calls. */
export class TrainableModel implements Owned {
  readonly config: ModelConfig;
  readonly parameters: Parameters;
  readonly #gradients: Gradients;
  readonly #workspace: Workspace;
  readonly #blocks: TrainableBlocks;
  readonly #head: LossHead;
  readonly #ends: ModelEnds;
  readonly #surroundings: SurroundingsMaker;
  readonly #keepBytes: number;

  private constructor(
    config: ModelConfig,
    parameters: Parameters,
    options: TrainableOptions,
    parts: { workspace: Workspace; blocks: TrainableBlocks; head: LossHead },
  ) {
    this.config = config;
    this.parameters = parameters;
    this.#workspace = parts.workspace;
    this.#blocks = parts.blocks;
    this.#head = parts.head;
    this.#ends = new ModelEnds(config, parameters, parts.workspace, parts.head);
    this.#surroundings = new SurroundingsMaker(config);
    this.#keepBytes = options.keepBytes ?? 512 * 2 ** 20;
    this.#gradients = new Gradients(parameters, options.trains ?? (() => true));
  }

  /** Compile the sessions around `parameters`, which stay the caller's and are read in place. */
  static async open(
    config: ModelConfig,
    parameters: Parameters,
    options: TrainableOptions = {},
  ): Promise<TrainableModel> {
    const compile = {
      provider: options.provider ?? modelProvider(),
      threads: options.threads ?? availableParallelism(),
    } as const;
    const workspace = new Workspace();
    const blocks = await TrainableBlocks.open(config, parameters, {
      compile,
      workspace,
      lora: options.lora,
    });
    try {
      const head = await LossHead.open(config, compile);
      return new TrainableModel(config, parameters, options, { workspace, blocks, head });
    } catch (error) {
      await blocks[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** One buffer a trained parameter; filled by {@link gradients}. */
  get gradientsByName(): Parameters {
    return this.#gradients.byName;
  }

  /** Loss of a batch; nothing is kept. */
  async loss(batch: Batch): Promise<LossResult> {
    const around = this.#surroundings.of(batch);
    let x = this.#ends.embed(batch);
    for (const [layer, surroundings] of around.entries())
      x = (await this.#blocks.forward({ layer, x, around: surroundings }, `loss.${layer % 2}`)).post;
    return { loss: (await this.#ends.loss(x, batch)).loss, weight: batch.totalWeight };
  }

  /** Loss of a batch, and the gradient of loss · `scale` into {@link gradientsByName}. */
  async gradients(batch: Batch, options: GradientOptions = {}): Promise<LossResult> {
    const { scale = 1 / batch.totalWeight, accumulate = false } = options;
    const table = this.gradientsByName.has(EMBED) && options.from === undefined;
    const wantInput = table || options.inputGradient === true;
    const traces = await this.#forward(batch, options, wantInput);
    const last = traces.at(-1)?.post ?? this.#start(batch, options);

    const tableTarget = this.#gradients.target(this.config.tied ? EMBED : HEAD, accumulate, 'table');
    const gainTarget = this.#gradients.target(FINAL_NORM, accumulate, 'gain');
    const head = await this.#ends.loss(last, batch, {
      scale,
      table: tableTarget?.write,
      gain: gainTarget?.write,
    });
    tableTarget?.settle();
    gainTarget?.settle();

    let dx = this.#ends.scatter(head.rows as Float32Array, batch);
    const lowest = wantInput ? (options.from ?? 0) : this.#lowestTrained();
    for (const trace of traces.toReversed()) {
      if (trace.layer < lowest) break;
      const into =
        trace.layer > lowest || wantInput
          ? this.#workspace.take(`back.${trace.layer % 2}`, dx.dims)
          : undefined;
      await this.#blockBack(trace, dx, accumulate, into);
      if (into !== undefined) dx = into;
    }
    if (table) this.#embedBack(batch, dx, accumulate);
    return {
      loss: head.loss,
      weight: batch.totalWeight,
      inputGradient: options.inputGradient ? valuesOf(dx).slice() : undefined,
    };
  }

  async #forward(batch: Batch, options: GradientOptions, wantInput: boolean): Promise<Trace[]> {
    const from = options.from ?? 0;
    const around = this.#surroundings.of(batch);
    const lowest = wantInput ? from : this.#lowestTrained();
    let x = this.#start(batch, options);
    let left = this.#keepBytes;
    const traces: Trace[] = [];
    for (let i = from; i < around.length; i++) {
      const wrt = this.#wrt(i, i > lowest || wantInput);
      const bytes =
        i < lowest
          ? Number.POSITIVE_INFINITY
          : await this.#blocks.keptBytes(wrt, batch.segments.length, batch.columns);
      const keep = bytes <= left;
      if (keep) left -= bytes;
      const run = { layer: i, x, around: around[i] };
      const trace = await this.#blocks.forward(run, `resid.${i}`, keep ? wrt : undefined);
      traces.push(trace);
      x = trace.post;
    }
    return traces;
  }

  #start(batch: Batch, { from, residual }: GradientOptions): Handle {
    if (from === undefined) return this.#ends.embed(batch);
    const shape = [batch.segments.length, batch.columns, this.config.dModel];
    if (residual?.length !== batch.ids.length * this.config.dModel) {
      throw new CrosspatchError(
        `gradients from block ${from}: wanted a residual [${shape.join(',')}], got ${residual?.length ?? 'no'} values`,
        { id: 'data-invalid' },
      );
    }
    const x = this.#workspace.take('start', shape);
    valuesOf(x).set(residual);
    return x;
  }

  #trained(layer: number): BlockInput[] {
    return this.#blocks.inputs(layer).filter((t) => this.gradientsByName.has(t.name));
  }

  /** Inputs of block `layer` that gradients are taken towards. */
  #wrt(layer: number, input: boolean): string[] {
    return [...(input ? ['x'] : []), ...this.#trained(layer).map((t) => t.input)];
  }

  #lowestTrained(): number {
    const lowest = this.config.blocks.findIndex((_, i) => this.#trained(i).length > 0);
    return lowest < 0 ? this.config.blocks.length : lowest;
  }

  async #blockBack(trace: Trace, dPost: Handle, accumulate: boolean, dx: Handle | undefined): Promise<void> {
    const targets = this.#trained(trace.layer).map((t) => {
      const target = this.#gradients.trained(t.name, accumulate, t.input);
      return { input: t.input, handle: this.#workspace.lasting(target.write, t.shape), ...target };
    });
    await this.#blocks.backward(trace, dPost, targets, dx);
    for (const t of targets) t.settle();
  }

  #embedBack(batch: Batch, dx: Handle, accumulate: boolean): void {
    const gradient = parameter(this.gradientsByName, EMBED);
    // A tied table holds the head's share already.
    if (!accumulate && !this.config.tied) gradient.fill(0);
    this.#ends.embedBack(batch, valuesOf(dx), gradient);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#workspace.clear();
    this.#gradients.clear();
    await disposeAll([this.#blocks, this.#head]);
  }
}
