/**
 * @file A decoder that can be trained: forward keeps one residual per block, backward goes block by block through one compiled
 * vector-Jacobian product. Activation memory is a residual a block, one block's insides, and as many blocks' products as
 * `keepBytes` allows: those blocks are not computed a second time.
 */
import { availableParallelism } from 'node:os';
import { CrosspatchError, disposeAll, type Owned } from '../base/index.ts';
import type { Handle, Provider } from '../engine/index.ts';
import { EMBED, FINAL_NORM, HEAD, type ModelConfig } from '../models/index.ts';
import type { LoraOptions } from './adapters.ts';
import type { Batch } from './batches.ts';
import type { BlockInput } from './block-graph.ts';
import { type Trace, TrainableBlocks } from './blocks.ts';
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
  /** Defaults to `cpu`. */
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
  /** One buffer a trained parameter; filled by {@link gradients}. */
  readonly gradientsByName: Parameters = new Map();
  readonly #workspace: Workspace;
  readonly #blocks: TrainableBlocks;
  readonly #head: LossHead;
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
    this.#surroundings = new SurroundingsMaker(config);
    this.#keepBytes = options.keepBytes ?? 512 * 2 ** 20;
    const trains = options.trains ?? (() => true);
    for (const [name, values] of parameters)
      if (trains(name)) this.gradientsByName.set(name, new Float32Array(values.length));
  }

  /** Compile the sessions around `parameters`, which stay the caller's and are read in place. */
  static async open(
    config: ModelConfig,
    parameters: Parameters,
    options: TrainableOptions = {},
  ): Promise<TrainableModel> {
    const compile = {
      provider: options.provider ?? 'cpu',
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

  /** Loss of a batch; nothing is kept. */
  async loss(batch: Batch): Promise<LossResult> {
    const around = this.#surroundings.of(batch);
    let x = this.#embed(batch);
    for (const [i, surroundings] of around.entries())
      x = (await this.#blocks.forward(i, x, surroundings, `loss.${i % 2}`)).post;
    return { loss: (await this.#runHead(x, batch)).loss, weight: batch.totalWeight };
  }

  /** Loss of a batch, and the gradient of loss · `scale` into {@link gradientsByName}. */
  async gradients(batch: Batch, options: GradientOptions = {}): Promise<LossResult> {
    const { scale = 1 / batch.totalWeight, accumulate = false } = options;
    const table = this.gradientsByName.has(EMBED) && options.from === undefined;
    const wantInput = table || options.inputGradient === true;
    const traces = await this.#forward(batch, options, wantInput);
    const last = traces.at(-1)?.post ?? this.#start(batch, options);

    const tableTarget = this.#target(this.config.tied ? EMBED : HEAD, accumulate, 'table');
    const gainTarget = this.#target(FINAL_NORM, accumulate, 'gain');
    const head = await this.#runHead(last, batch, {
      scale,
      table: tableTarget?.write,
      gain: gainTarget?.write,
    });
    tableTarget?.settle();
    gainTarget?.settle();

    let dx = this.#scatter(head.rows as Float32Array, batch);
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
    if (table) this.#embedBack(batch, valuesOf(dx), accumulate || this.config.tied);
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
      const surroundings = around[i];
      const trace = await this.#blocks.forward(i, x, surroundings, `resid.${i}`, keep ? wrt : undefined);
      traces.push(trace);
      x = trace.post;
    }
    return traces;
  }

  #start(batch: Batch, { from, residual }: GradientOptions): Handle {
    if (from === undefined) return this.#embed(batch);
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
      const target = this.#target(t.name, accumulate, t.input) as Target;
      return { input: t.input, handle: this.#workspace.lasting(target.write, t.shape), ...target };
    });
    await this.#blocks.backward(trace, dPost, targets, dx);
    for (const t of targets) t.settle();
  }

  /** Where a gradient is written: straight into its buffer, or into the scratch buffer of its role and then added. */
  #target(name: string, accumulate: boolean, role: string): Target | undefined {
    const own = this.gradientsByName.get(name);
    if (own === undefined) return undefined;
    if (!accumulate) return { write: own, settle: () => {} };
    const write = this.#scratch(role, own.length);
    return { write, settle: () => addTo(own, write) };
  }

  readonly #scratches = new Map<string, Float32Array>();

  #scratch(role: string, length: number): Float32Array {
    const known = this.#scratches.get(role);
    if (known?.length === length) return known;
    const made = new Float32Array(length);
    this.#scratches.set(role, made);
    return made;
  }

  /** [B,T,D], zero at padding. */
  #embed(batch: Batch): Handle {
    const d = this.config.dModel;
    const table = parameter(this.parameters, EMBED);
    const handle = this.#workspace.take('start', [batch.segments.length, batch.columns, d]);
    const x = valuesOf(handle).fill(0);
    const s = Math.fround(this.config.embedScale);
    eachToken(batch, (at) => {
      const id = batch.ids[at];
      if (id >= this.config.vocabSize)
        throw new CrosspatchError(
          `training batch: token ${id} is outside the vocabulary of ${this.config.vocabSize}`,
          { id: 'data-invalid' },
        );
      for (let j = 0; j < d; j++) x[at * d + j] = table[id * d + j] * s;
    });
    return handle;
  }

  #embedBack(batch: Batch, dx: Float32Array, keep: boolean): void {
    const d = this.config.dModel;
    const s = Math.fround(this.config.embedScale);
    const gradient = this.gradientsByName.get(EMBED) as Float32Array;
    if (!keep) gradient.fill(0);
    eachToken(batch, (at) => {
      const to = batch.ids[at] * d;
      for (let j = 0; j < d; j++) gradient[to + j] = gradient[to + j] + s * dx[at * d + j];
    });
  }

  /** The head on the rows whose prediction counts. */
  async #runHead(
    x: Handle,
    batch: Batch,
    back?: { scale: number; table?: Float32Array; gain?: Float32Array },
  ) {
    const d = this.config.dModel;
    const residual = valuesOf(x);
    const { at, id, weight } = batch.targets;
    if (at.length === 0)
      throw new CrosspatchError('training batch: no token counts towards the loss', { id: 'data-invalid' });
    const rows = valuesOf(this.#workspace.take('head.rows', [at.length, d]));
    for (let i = 0; i < at.length; i++) {
      const from = at[i] * d;
      rows.set(residual.subarray(from, from + d), i * d);
    }
    const tensors = {
      table: parameter(this.parameters, this.config.tied ? EMBED : HEAD),
      gain: parameter(this.parameters, FINAL_NORM),
    };
    return this.#head.run(rows, id, weight, tensors, back);
  }

  /** Gradients of the head's rows [N,D] at their places in [B,T,D]; a place may occur once only. */
  #scatter(rows: Float32Array, batch: Batch): Handle {
    const d = this.config.dModel;
    const handle = this.#workspace.take('back.head', [batch.segments.length, batch.columns, d]);
    const dx = valuesOf(handle).fill(0);
    batch.targets.at.forEach((at, i) => {
      dx.set(rows.subarray(i * d, (i + 1) * d), at * d);
    });
    return handle;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#workspace.clear();
    this.#scratches.clear();
    await disposeAll([this.#blocks, this.#head]);
  }
}

interface Target {
  readonly write: Float32Array;
  readonly settle: () => void;
}

function eachToken(batch: Batch, visit: (at: number) => void): void {
  batch.segments.forEach((row, b) => {
    for (const [start, end] of row) for (let t = start; t < end; t++) visit(b * batch.columns + t);
  });
}

function addTo(sum: Float32Array, part: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i] + part[i];
}
