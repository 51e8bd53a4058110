/**
 * @file The blocks of a decoder in training: one compiled forward pass and one compiled vector-Jacobian product a set of
 * trained weights, shared by all blocks, whose weights are inputs.
 */
import { disposeAll, type Owned } from '../base/index.ts';
import {
  type CompileOptions,
  compile,
  type Graph,
  gradGraph,
  type Handle,
  input,
  type Node,
  type Session,
  type Shape,
} from '../engine/index.ts';
import type { ModelConfig } from '../models/index.ts';
import type { LoraOptions } from './adapters.ts';
import { type BlockInput, blockGraph, blockInputs } from './block-graph.ts';
import { keepProducts } from './keep.ts';
import { type Parameters, parameter } from './parameters.ts';
import type { BlockSurroundings } from './surroundings.ts';
import type { Workspace } from './workspace.ts';

/** A block and what it runs on. */
interface BlockRun {
  readonly layer: number;
  readonly around: BlockSurroundings;
  /** Input of the block, [B,T,D]. */
  readonly x: Handle;
}

/** What {@link TrainableBlocks.forward} leaves for {@link TrainableBlocks.backward}. */
export interface Trace extends BlockRun {
  /** Output of the block, [B,T,D]. */
  readonly post: Handle;
  /** Products that need not be computed again; empty when they will be. */
  readonly kept: Readonly<Record<string, Handle>>;
}

/** Where one weight's gradient goes. */
interface GradientTarget {
  readonly input: string;
  readonly handle: Handle;
}

/** Sessions that turn x into post and d_post into the gradients named by their key. */
interface Differentiated {
  readonly keeping: Session;
  readonly kept: readonly (readonly [name: string, node: Node])[];
  readonly fromKept: Session;
  readonly recomputing: Session;
}

/** Options of {@link TrainableBlocks.open}. */
interface BlocksOptions {
  readonly lora?: LoraOptions | undefined;
  readonly compile: CompileOptions;
  readonly workspace: Workspace;
}

/** See the file's head. Weights are read from `parameters` at every call. */
export class TrainableBlocks implements Owned {
  readonly #config: ModelConfig;
  readonly #parameters: Parameters;
  readonly #workspace: Workspace;
  readonly #compile: CompileOptions;
  readonly #graph: Graph;
  readonly #plain: Session;
  readonly #inputs: readonly (readonly BlockInput[])[];
  readonly #differentiated = new Map<string, Differentiated>();

  static async open(
    config: ModelConfig,
    parameters: Parameters,
    options: BlocksOptions,
  ): Promise<TrainableBlocks> {
    const graph = blockGraph(config, options.lora);
    const plain = await compile(graph, options.compile);
    return new TrainableBlocks(config, parameters, options, { graph, plain });
  }

  private constructor(
    config: ModelConfig,
    parameters: Parameters,
    options: BlocksOptions,
    { graph, plain }: { readonly graph: Graph; readonly plain: Session },
  ) {
    this.#config = config;
    this.#parameters = parameters;
    this.#workspace = options.workspace;
    this.#compile = options.compile;
    this.#graph = graph;
    this.#plain = plain;
    this.#inputs = config.blocks.map((_, i) => blockInputs(config, i, options.lora));
  }

  /** The weights of block `layer`. */
  inputs(layer: number): readonly BlockInput[] {
    return this.#inputs[layer];
  }

  /** Bytes that {@link forward} keeps of a block of `rows` × `columns` tokens for gradients towards `wrt`. */
  async keptBytes(wrt: readonly string[], rows: number, columns: number): Promise<number> {
    const { kept } = await this.#for(wrt);
    return kept.reduce((sum, [, { shape }]) => sum + 4 * sizeOf(shape, rows, columns), 0);
  }

  /** Run a block into the buffer `slot`; with `keepFor`, keep what gradients towards those inputs can use. */
  async forward(run: BlockRun, slot: string, keepFor?: readonly string[]): Promise<Trace> {
    const { layer, x } = run;
    const post = this.#workspace.take(slot, x.dims);
    if (keepFor === undefined) {
      await this.#plain.runHandles(this.#feeds(run), { post });
      return { ...run, post, kept: {} };
    }
    const { keeping, kept } = await this.#for(keepFor);
    const [rows, columns] = x.dims as [number, number];
    const buffers: Record<string, Handle> = {};
    for (const [name, { op, shape }] of kept) {
      // ONNX Runtime infers width 0 for some Attention outputs and then refuses a preallocated one.
      if (op === 'attention') continue;
      const sizes = shape.map((d) => sizeOf([d], rows, columns));
      buffers[name] = this.#workspace.take(`${layer}.${name}`, sizes);
    }
    const out = await keeping.runHandles(this.#feeds(run), { post, ...buffers });
    const { post: _, ...products } = out;
    return { ...run, post, kept: products };
  }

  /** Gradients of ⟨dPost, post⟩: towards the weights into `targets`, towards x into `dx` where given. */
  async backward(
    trace: Trace,
    dPost: Handle,
    targets: readonly GradientTarget[],
    dx?: Handle,
  ): Promise<void> {
    const into = Object.fromEntries([
      ...(dx === undefined ? [] : [['grad.x', dx]]),
      ...targets.map((t) => [`grad.${t.input}`, t.handle]),
    ]) as Record<string, Handle>;
    const { fromKept, recomputing } = await this.#for(Object.keys(into).map((name) => name.slice(5)));
    const session = Object.keys(trace.kept).length > 0 ? fromKept : recomputing;
    const feeds = { ...this.#feeds(trace), ...trace.kept, d_post: dPost };
    await session.runHandles(feeds, into);
  }

  #feeds({ layer, x, around }: BlockRun): Record<string, Handle> {
    const feeds: Record<string, Handle> = { x, ...around };
    for (const t of this.inputs(layer))
      feeds[t.input] = this.#workspace.lasting(parameter(this.#parameters, t.name), t.shape);
    return feeds;
  }

  async #for(wrt: readonly string[]): Promise<Differentiated> {
    const key = wrt.join(' ');
    const known = this.#differentiated.get(key);
    if (known !== undefined) return known;
    const seeds = { post: input('d_post', 'f32', ['B', 'T', this.#config.dModel]) };
    const backward = gradGraph({ name: 'block.back', forward: this.#graph, seeds, wrt });
    const cut = keepProducts(this.#graph, backward);
    const opened: Session[] = [];
    try {
      for (const graph of [cut.forward, cut.backward, backward])
        opened.push(await compile(graph, this.#compile));
    } catch (error) {
      await disposeAll(opened);
      throw error;
    }
    const [keeping, fromKept, recomputing] = opened as [Session, Session, Session];
    const kept = Object.entries(cut.forward.outputs).flatMap(([name, n]) =>
      name === 'post' ? [] : [[name, n] as const],
    );
    const made = { keeping, kept, fromKept, recomputing };
    this.#differentiated.set(key, made);
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const sessions = [...this.#differentiated.values()].flatMap((d) => [
      d.keeping,
      d.fromKept,
      d.recomputing,
    ]);
    this.#differentiated.clear();
    await disposeAll([this.#plain, ...sessions]);
  }
}

/** Elements of a shape in B = rows and T = columns. */
function sizeOf(shape: Shape, rows: number, columns: number): number {
  const factor = (f: string): number => (f === 'B' ? rows : f === 'T' ? columns : Number(f));
  return shape
    .flatMap((d) => (typeof d === 'number' ? [d] : d.split('*').map(factor)))
    .reduce((a, b) => a * b, 1);
}
