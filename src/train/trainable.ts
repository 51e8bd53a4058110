/**
 * @file A decoder that can be trained: forward keeps one residual a block, backward recomputes each block inside one compiled
 * vector-Jacobian product that serves all blocks. Activation memory is a residual a block plus one block's insides.
 */
import { availableParallelism } from 'node:os';
import { CrosspatchError, disposeAll, type Owned } from '../base/index.ts';
import {
  type CompileOptions,
  compile,
  type Graph,
  gradGraph,
  type Handle,
  handle,
  input,
  linear,
  type Node,
  type Provider,
  type Session,
  zeros,
} from '../engine/index.ts';
import {
  type BlockRole,
  type BlockWeights,
  blockTensorName,
  blockTensors,
  EMBED,
  FINAL_NORM,
  fillMask,
  HEAD,
  type ModelConfig,
  type RopeConfig,
  RopeTable,
  wholeBlock,
} from '../models/index.ts';
import { adapted, factorName, type LoraOptions, type LoraTarget } from './adapters.ts';
import type { Batch } from './batches.ts';
import { LossHead } from './head.ts';
import { type Parameters, parameter } from './parameters.ts';

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
}

/** The pieces of a batch that every block sees. */
interface Surroundings {
  readonly masks: ReadonlyMap<number | undefined, Handle>;
  readonly ropes: ReadonlyMap<RopeConfig, { readonly cos: Handle; readonly sin: Handle }>;
}

/** Loss Σ w·(−ln p), the sum of weights, and the gradient towards the residual the run started from, when asked for. */
export interface LossResult {
  readonly loss: number;
  readonly weight: number;
  readonly inputGradient?: Float32Array;
}

/** A decoder whose weights are inputs of its sessions, so that they may change between calls. */
export class TrainableModel implements Owned {
  readonly config: ModelConfig;
  readonly parameters: Parameters;
  /** One buffer a trained parameter; filled by {@link gradients}. */
  readonly gradientsByName: Parameters = new Map();
  readonly #lora: LoraOptions | undefined;
  readonly #compile: CompileOptions;
  readonly #forwardGraph: Graph;
  readonly #forward: Session;
  readonly #head: LossHead;
  readonly #backward = new Map<string, Session>();
  readonly #ropes = new Map<RopeConfig, RopeTable>();
  readonly #handles = new Map<Float32Array, Handle>();

  private constructor(
    config: ModelConfig,
    parameters: Parameters,
    options: TrainableOptions,
    compileOptions: CompileOptions,
    forwardGraph: Graph,
    forward: Session,
    head: LossHead,
  ) {
    this.config = config;
    this.parameters = parameters;
    this.#lora = options.lora;
    this.#compile = compileOptions;
    this.#forwardGraph = forwardGraph;
    this.#forward = forward;
    this.#head = head;
    for (const { rope } of config.blocks)
      if (!this.#ropes.has(rope)) this.#ropes.set(rope, new RopeTable(rope, config.headDim));
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
    const compileOptions = {
      provider: options.provider ?? 'cpu',
      threads: options.threads ?? availableParallelism(),
    };
    const graph = blockGraph(config, options.lora);
    const forward = await compile(graph, compileOptions);
    try {
      return new TrainableModel(
        config,
        parameters,
        options,
        compileOptions,
        graph,
        forward,
        await LossHead.open(config, compileOptions),
      );
    } catch (error) {
      await forward[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Loss of a batch; nothing is kept. */
  async loss(batch: Batch): Promise<LossResult> {
    const around = this.#surroundings(batch);
    let x = this.#embed(batch);
    for (let i = 0; i < this.config.blocks.length; i++) x = await this.#block(i, x, batch, around);
    const head = await this.#runHead(x, batch);
    return { loss: head.loss, weight: batch.totalWeight };
  }

  /**
   * Loss of a batch, and the gradient of loss · `scale` into {@link gradientsByName} (overwritten, or added to with
   * `accumulate`). With `from` and `residual` [B,T,D], the model starts at that block's input instead of the embedding;
   * `inputGradient: true` also returns the gradient towards what it started from.
   */
  async gradients(
    batch: Batch,
    options: {
      readonly scale?: number;
      readonly accumulate?: boolean;
      readonly from?: number;
      readonly residual?: Float32Array;
      readonly inputGradient?: boolean;
    } = {},
  ): Promise<LossResult> {
    const { scale = 1 / batch.totalWeight, accumulate = false, from = 0 } = options;
    const n = this.config.blocks.length;
    const around = this.#surroundings(batch);
    const residuals = [options.residual ?? this.#embed(batch)];
    for (let i = from; i < n; i++)
      residuals.push(await this.#block(i, residuals[i - from] as Float32Array, batch, around));

    const table = this.config.tied ? EMBED : HEAD;
    const tableGradient = this.#target(table, accumulate);
    const gainGradient = this.#target(FINAL_NORM, accumulate);
    const head = await this.#runHead(residuals[n - from] as Float32Array, batch, {
      scale,
      ...(tableGradient === undefined ? {} : { table: tableGradient.write }),
      ...(gainGradient === undefined ? {} : { gain: gainGradient.write }),
    });
    tableGradient?.settle();
    gainGradient?.settle();

    const embedTrains = options.from === undefined && this.gradientsByName.has(EMBED);
    const wantInput = embedTrains || options.inputGradient === true;
    const lowest = wantInput ? from : this.#lowestTrained(from);
    const d = this.config.dModel;
    let dx = new Float32Array(batch.segments.length * batch.columns * d);
    const { at } = batch.targets;
    for (let i = 0; i < at.length; i++) {
      const to = (at[i] as number) * d;
      for (let j = 0; j < d; j++)
        dx[to + j] = (dx[to + j] as number) + ((head.rows as Float32Array)[i * d + j] as number);
    }
    for (let i = n - 1; i >= lowest; i--) {
      dx = await this.#blockBack(
        i,
        residuals[i - from] as Float32Array,
        dx,
        batch,
        around,
        accumulate,
        i > lowest || wantInput,
      );
    }
    if (embedTrains) this.#embedBack(batch, dx, accumulate || this.config.tied);
    return {
      loss: head.loss,
      weight: batch.totalWeight,
      ...(options.inputGradient ? { inputGradient: dx } : {}),
    };
  }

  #lowestTrained(from: number): number {
    for (let i = from; i < this.config.blocks.length; i++) if (this.#trainedRoles(i).length > 0) return i;
    return this.config.blocks.length;
  }

  /** Where a gradient is written: straight into its buffer, or aside and then added. */
  #target(name: string, accumulate: boolean): { write: Float32Array; settle: () => void } | undefined {
    const own = this.gradientsByName.get(name);
    if (own === undefined) return undefined;
    if (!accumulate) return { write: own, settle: () => {} };
    const write = new Float32Array(own.length);
    return { write, settle: () => addTo(own, write) };
  }

  #surroundings(batch: Batch): Surroundings {
    const { columns, segments } = batch;
    const rows = segments.length;
    const positions = new Int32Array(rows * columns);
    segments.forEach((row, b) => {
      for (const [start, end] of row)
        for (let t = start; t < end; t++) positions[b * columns + t] = t - start;
    });
    const ropes = new Map<RopeConfig, { cos: Handle; sin: Handle }>();
    for (const [rope, table] of this.#ropes) {
      const cos = zeros('f32', [rows, columns, this.config.headDim / 2]);
      const sin = zeros('f32', [rows, columns, this.config.headDim / 2]);
      table.fill(positions, cos.data, sin.data);
      ropes.set(rope, { cos: handle(cos), sin: handle(sin) });
    }
    const packed = segments.some((row) => row.length > 1);
    const masks = new Map<number | undefined, Handle>();
    for (const { window } of this.config.blocks) {
      if (masks.has(window)) continue;
      const mask = zeros('f32', [rows, 1, columns, columns]);
      fillMask(
        mask.data,
        segments.map(() => 0),
        columns,
        columns,
        window,
      );
      if (packed) separate(mask.data, segments, columns);
      masks.set(window, handle(mask));
    }
    return { masks, ropes };
  }

  /** [B,T,D], zero at padding. */
  #embed(batch: Batch): Float32Array {
    const d = this.config.dModel;
    const table = parameter(this.parameters, EMBED);
    const x = new Float32Array(batch.ids.length * d);
    eachToken(batch, (at) => {
      const id = batch.ids[at] as number;
      if (id >= this.config.vocabSize)
        throw new CrosspatchError(
          `training batch: token ${id} is outside the vocabulary of ${this.config.vocabSize}`,
        );
      x.set(table.subarray(id * d, (id + 1) * d), at * d);
    });
    const s = Math.fround(this.config.embedScale);
    if (s !== 1) for (let i = 0; i < x.length; i++) x[i] = (x[i] as number) * s;
    return x;
  }

  #embedBack(batch: Batch, dx: Float32Array, keep: boolean): void {
    const d = this.config.dModel;
    const s = Math.fround(this.config.embedScale);
    const gradient = this.gradientsByName.get(EMBED) as Float32Array;
    if (!keep) gradient.fill(0);
    eachToken(batch, (at) => {
      const to = (batch.ids[at] as number) * d;
      for (let j = 0; j < d; j++)
        gradient[to + j] = (gradient[to + j] as number) + s * (dx[at * d + j] as number);
    });
  }

  async #block(i: number, x: Float32Array, batch: Batch, around: Surroundings): Promise<Float32Array> {
    const { post } = await this.#forward.runHandles(this.#blockFeeds(i, x, batch, around));
    return (post as Handle).data as Float32Array;
  }

  /** Gradients of block i into their buffers; returns the one towards its input (empty when not wanted). */
  async #blockBack(
    i: number,
    x: Float32Array,
    dPost: Float32Array,
    batch: Batch,
    around: Surroundings,
    accumulate: boolean,
    wantInput: boolean,
  ): Promise<Float32Array<ArrayBuffer>> {
    const roles = this.#trainedRoles(i);
    const wrt = [...(wantInput ? ['x'] : []), ...roles.map((r) => r.input)];
    const session = await this.#backwardFor(wrt);
    const targets = roles.map((r) => ({
      ...r,
      ...(this.#target(r.name, accumulate) as { write: Float32Array; settle: () => void }),
    }));
    const into = Object.fromEntries(
      targets.map((t) => [`grad.${t.input}`, this.#handle(t.write, t.shape, !accumulate)]),
    );
    const seeds = {
      d_post: handle({
        dtype: 'f32',
        shape: [batch.segments.length, batch.columns, this.config.dModel],
        data: dPost,
      }),
    };
    const out = await session.runHandles({ ...this.#blockFeeds(i, x, batch, around), ...seeds }, into);
    for (const t of targets) t.settle();
    return wantInput ? ((out['grad.x'] as Handle).data as Float32Array<ArrayBuffer>) : new Float32Array(0);
  }

  #blockFeeds(i: number, x: Float32Array, batch: Batch, around: Surroundings): Record<string, Handle> {
    const { window, rope } = this.config.blocks[i] as ModelConfig['blocks'][number];
    const feeds: Record<string, Handle> = {
      x: handle({ dtype: 'f32', shape: [batch.segments.length, batch.columns, this.config.dModel], data: x }),
      mask: around.masks.get(window) as Handle,
      ...(around.ropes.get(rope) as { cos: Handle; sin: Handle }),
    };
    for (const t of blockInputs(this.config, i, this.#lora))
      feeds[t.input] = this.#handle(parameter(this.parameters, t.name), t.shape, true);
    return feeds;
  }

  #trainedRoles(i: number): BlockInput[] {
    return blockInputs(this.config, i, this.#lora).filter((t) => this.gradientsByName.has(t.name));
  }

  async #backwardFor(wrt: readonly string[]): Promise<Session> {
    const key = wrt.join(' ');
    let session = this.#backward.get(key);
    if (session === undefined) {
      const { dModel } = this.config;
      const graph = gradGraph({
        name: 'block.back',
        forward: this.#forwardGraph,
        seeds: { post: input('d_post', 'f32', ['B', 'T', dModel]) },
        wrt,
      });
      session = await compile(graph, this.#compile);
      this.#backward.set(key, session);
    }
    return session;
  }

  /** Handles of lasting buffers are made once. */
  #handle(data: Float32Array, shape: readonly number[], lasting: boolean): Handle {
    const known = this.#handles.get(data);
    if (known !== undefined) return known;
    const made = handle({ dtype: 'f32', shape, data });
    if (lasting) this.#handles.set(data, made);
    return made;
  }

  async #runHead(
    x: Float32Array,
    batch: Batch,
    back?: { scale: number; table?: Float32Array; gain?: Float32Array },
  ) {
    const d = this.config.dModel;
    const { at, id, weight } = batch.targets;
    if (at.length === 0) throw new CrosspatchError('training batch: no token counts towards the loss');
    const rows = new Float32Array(at.length * d);
    for (let i = 0; i < at.length; i++)
      rows.set(x.subarray((at[i] as number) * d, ((at[i] as number) + 1) * d), i * d);
    const tensors = {
      table: parameter(this.parameters, this.config.tied ? EMBED : HEAD),
      gain: parameter(this.parameters, FINAL_NORM),
    };
    return this.#head.run(rows, id, weight, tensors, back);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#handles.clear();
    await disposeAll([this.#forward, this.#head, ...this.#backward.values()]);
  }
}

/** A weight of a block as an input of its graph. */
interface BlockInput {
  /** Name in the graph. */
  readonly input: string;
  /** Full parameter name. */
  readonly name: string;
  readonly shape: readonly number[];
}

function blockInputs(c: ModelConfig, layer: number, lora: LoraOptions | undefined): BlockInput[] {
  return Object.entries(blockTensors(c)).flatMap(([role, t]): BlockInput[] => {
    const name = blockTensorName(layer, t.name);
    const own = { input: role, name, shape: t.shape };
    if (lora === undefined || !carriesAdapter(role, lora)) return [own];
    const [out, inner] = t.shape as [number, number];
    return [
      own,
      { input: factorName(role as BlockRole, 'A'), name: `${name}.lora_A`, shape: [lora.rank, inner] },
      { input: factorName(role as BlockRole, 'B'), name: `${name}.lora_B`, shape: [out, lora.rank] },
    ];
  });
}

function carriesAdapter(role: string, lora: LoraOptions): role is LoraTarget {
  const targets: readonly string[] = lora.targets ?? ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];
  return targets.includes(role);
}

/** One block with its weights as inputs: x [B,T,D], mask [B,1,T,T] → post [B,T,D]. */
function blockGraph(c: ModelConfig, lora: LoraOptions | undefined): Graph {
  const tensors = blockTensors(c);
  const made = new Map<string, Node>();
  const once = (name: string, shape: readonly number[]): Node => {
    const node = made.get(name) ?? input(name, 'f32', shape);
    made.set(name, node);
    return node;
  };
  const tensor = (role: BlockRole): Node => {
    const t = tensors[role];
    if (t === undefined) throw new CrosspatchError(`block graph: this family has no ${role}`);
    return once(role, t.shape);
  };
  const weights: BlockWeights = {
    tensor,
    project: (x, role) => {
      const w = tensor(role);
      if (lora === undefined || !carriesAdapter(role, lora)) return linear(x, w);
      const [out, inner] = w.shape as [number, number];
      return adapted(
        x,
        w,
        once(factorName(role, 'A'), [lora.rank, inner]),
        once(factorName(role, 'B'), [out, lora.rank]),
        lora,
      );
    },
  };
  const half = c.headDim / 2;
  const { post } = wholeBlock(
    c,
    weights,
    input('x', 'f32', ['B', 'T', c.dModel]),
    input('cos', 'f32', ['B', 'T', half]),
    input('sin', 'f32', ['B', 'T', half]),
    input('mask', 'f32', ['B', 1, 'T', 'T']),
  );
  return { name: 'block', outputs: { post } };
}

/** Hide from every segment what is not its own. */
function separate(mask: Float32Array, segments: Batch['segments'], columns: number): void {
  segments.forEach((row, b) => {
    for (const [start, end] of row) {
      for (let t = start; t < end; t++)
        mask.fill(-1e9, (b * columns + t) * columns, (b * columns + t) * columns + start);
    }
  });
}

function eachToken(batch: Batch, visit: (at: number) => void): void {
  batch.segments.forEach((row, b) => {
    for (const [start, end] of row) for (let t = start; t < end; t++) visit(b * batch.columns + t);
  });
}

function addTo(sum: Float32Array, part: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (part[i] as number);
}
