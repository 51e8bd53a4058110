/**
 * @file The sessions of one block. Keys and values are appended to the cache before anything attends to them, so a block is
 * two pieces (q, k, v with rotary · attend and MLP); the second is joined with the first of the next block, because a session
 * call costs as much as a fifth of a block at batch 1. The pieces apart are made when a hook or a start in the middle needs them.
 */
import { disposeAll, type Owned } from '../../base/index.ts';
import {
  add,
  type CompileOptions,
  compile,
  type Graph,
  type Handle,
  input,
  type Node,
  type Session,
} from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import { attentionOut, type BlockWeights, familyNorm, mlpOut, plainWeights, qkv } from './block.ts';
import { type BlockRole, blockTensorName, blockTensors, type WeightFiles } from './weights.ts';

/** The second half of a block, cut where hooks may listen. */
export interface Pieces {
  readonly attention: Session;
  readonly attentionNorm: Session | undefined;
  readonly mlp: Session;
  readonly mlpNorm: Session | undefined;
}

/** What attention takes from this block's columns: q [B,T,H·E], k and v [B,T,K·E]. */
export interface Projections {
  readonly q: Handle;
  readonly k: Handle;
  readonly v: Handle;
}

/** cos and sin [B,T,E/2]. */
export interface Angles {
  readonly cos: Handle;
  readonly sin: Handle;
}

type Options = Omit<CompileOptions, 'weights' | 'weightsFolder'>;

/** Compiled block `layer`. */
export class BlockRunner implements Owned {
  readonly #config: ModelConfig;
  readonly #layer: number;
  readonly #weights: WeightFiles;
  readonly #options: Options;
  #first: Promise<Session> | undefined;
  /** The rest of this block and, unless it is the last, q, k, v of the next. */
  #joined: Session | undefined;
  #pieces: Promise<Pieces> | undefined;

  static async open(
    config: ModelConfig,
    layer: number,
    weights: WeightFiles,
    options: Options,
  ): Promise<BlockRunner> {
    const runner = new BlockRunner(config, layer, weights, options);
    try {
      if (layer === 0) await runner.#projecting();
      await runner.#join();
      return runner;
    } catch (error) {
      await runner[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(config: ModelConfig, layer: number, weights: WeightFiles, options: Options) {
    this.#config = config;
    this.#layer = layer;
    this.#weights = weights;
    this.#options = options;
  }

  /** x [B,T,D] → q, k, v, written into the handles given. */
  async qkv(x: Handle, angles: Angles, { q, k, v }: Projections): Promise<void> {
    const session = await this.#projecting();
    await session.runHandles({ x, cos: angles.cos, sin: angles.sin }, { q, k, v });
  }

  /**
   * The rest of the block at once: → residual after the block, and in the same call what the next block projects from it.
   * `next`: where that goes, with the next block's angles; must not be what is fed. Says whether it was written.
   */
  async finish(
    feeds: { x: Handle; q: Handle; k: Handle; v: Handle; mask: Handle },
    post: Handle,
    next: { readonly angles: Angles; readonly into: Projections } | undefined,
  ): Promise<boolean> {
    const session = this.#joined;
    if (session !== undefined) {
      if (next === undefined) await session.runHandles(feeds, { post });
      else {
        const { q, k, v } = next.into;
        const { cos, sin } = next.angles;
        await session.runHandles({ ...feeds, cos, sin }, { post, nextQ: q, nextK: k, nextV: v });
      }
      return next !== undefined;
    }
    // Already in pieces: the same sums, added here.
    const pieces = await this.pieces();
    const inner = await this.attend(pieces, feeds);
    const mid = addInto(feeds.x.data as Float32Array, inner.out, post.data as Float32Array);
    const mlp = await this.mlp(pieces, post);
    addInto(mid, mlp.out, mid);
    return false;
  }

  /** What attention adds: before (`inner`) and after (`out`) the family's post-norm; `change` sees and may edit both. */
  async attend(
    pieces: Pieces,
    feeds: { q: Handle; k: Handle; v: Handle; mask: Handle },
    change?: (stage: 'inner' | 'out', h: Handle) => void,
  ): Promise<{ out: Float32Array }> {
    const { inner } = await pieces.attention.runHandles(feeds);
    return this.#post(inner as Handle, pieces.attentionNorm, change);
  }

  /** What the MLP adds, likewise. */
  async mlp(
    pieces: Pieces,
    mid: Handle,
    change?: (stage: 'inner' | 'out', h: Handle) => void,
  ): Promise<{ out: Float32Array }> {
    const { inner } = await pieces.mlp.runHandles({ mid });
    return this.#post(inner as Handle, pieces.mlpNorm, change);
  }

  async #post(
    inner: Handle,
    norm: Session | undefined,
    change: ((stage: 'inner' | 'out', h: Handle) => void) | undefined,
  ): Promise<{ out: Float32Array }> {
    change?.('inner', inner);
    const out = norm === undefined ? inner : ((await norm.runHandles({ inner })).out as Handle);
    change?.('out', out);
    return { out: out.data as Float32Array };
  }

  #projecting(): Promise<Session> {
    this.#first ??= builder(
      this.#config,
      this.#layer,
      this.#weights,
      this.#options,
    )('qkv', (weightsOf) => {
      const x = input('x', 'f32', ['B', 'T', this.#config.dModel]);
      return projections(this.#config, weightsOf(this.#layer), x);
    });
    return this.#first;
  }

  async #join(): Promise<void> {
    const c = this.#config;
    const next = this.#layer + 1;
    const build = builder(c, this.#layer, this.#weights, this.#options);
    this.#joined = await build('rest', (weightsOf) => {
      const w = weightsOf(this.#layer);
      const x = input('x', 'f32', ['B', 'T', c.dModel]);
      const { q, k, v, mask } = attentionInputs(c);
      const mid = add(x, attentionOut(c, w, q, k, v, mask).out);
      const post = add(mid, mlpOut(c, w, mid).out);
      if (next === c.blocks.length) return { post };
      const { q: nextQ, k: nextK, v: nextV } = projections(c, weightsOf(next), post);
      return { post, nextQ, nextK, nextV };
    });
  }

  /** The second half in pieces; then the joined session is dropped, so that no weight is held twice. */
  async pieces(): Promise<Pieces> {
    this.#pieces ??= this.#cut();
    return this.#pieces;
  }

  async #cut(): Promise<Pieces> {
    const c = this.#config;
    const build = builder(c, this.#layer, this.#weights, this.#options);
    const plain: ModelConfig = { ...c, sandwichNorms: false };
    const normOnly = async (name: string, role: BlockRole): Promise<Session | undefined> =>
      c.sandwichNorms
        ? build(name, (weightsOf) => ({ out: postNorm(c, weightsOf(this.#layer), role) }))
        : undefined;
    const pieces = {
      attention: await build('attention', (weightsOf) => {
        const { q, k, v, mask } = attentionInputs(c);
        return { inner: attentionOut(plain, weightsOf(this.#layer), q, k, v, mask).inner };
      }),
      attentionNorm: await normOnly('postAttentionNorm', 'postAttentionNorm'),
      mlp: await build('mlp', (weightsOf) => ({
        inner: mlpOut(plain, weightsOf(this.#layer), input('mid', 'f32', ['B', 'T', c.dModel])).inner,
      })),
      mlpNorm: await normOnly('postMlpNorm', 'postMlpNorm'),
    };
    const joined = this.#joined;
    this.#joined = undefined;
    await joined?.[Symbol.asyncDispose]();
    return pieces;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pieces = await this.#pieces?.catch(() => undefined);
    const first = await this.#first?.catch(() => undefined);
    const held = [first, this.#joined, ...Object.values<Session | undefined>({ ...pieces })];
    await disposeAll(held.filter((s) => s !== undefined));
  }
}

/** a + b, element by element, into `out` (which may be either). */
export function addInto(a: Float32Array, b: Float32Array, out: Float32Array): Float32Array {
  for (let i = 0; i < out.length; i++) out[i] = (a[i] as number) + (b[i] as number);
  return out;
}

/** q, k, v of a block from the residual stream before it; the angles are inputs. */
function projections(c: ModelConfig, w: BlockWeights, x: Node): { q: Node; k: Node; v: Node } {
  const half = c.headDim / 2;
  return qkv(c, w, x, input('cos', 'f32', ['B', 'T', half]), input('sin', 'f32', ['B', 'T', half]));
}

function attentionInputs(c: ModelConfig): { q: Node; k: Node; v: Node; mask: Node } {
  return {
    q: input('q', 'f32', ['B', 'T', c.nHeads * c.headDim]),
    k: input('k', 'f32', ['B', 'S', c.nKvHeads * c.headDim]),
    v: input('v', 'f32', ['B', 'S', c.nKvHeads * c.headDim]),
    mask: input('mask', 'f32', ['B', 1, 'T', 'S']),
  };
}

function postNorm(c: ModelConfig, w: BlockWeights, role: BlockRole): Node {
  return familyNorm(c, input('inner', 'f32', ['B', 'T', c.dModel]), w.tensor(role));
}

/** Compile a piece of block `layer`, binding the weights it names, of whichever block. */
function builder(c: ModelConfig, layer: number, weights: WeightFiles, options: Options) {
  const tensors = blockTensors(c);
  return (
    name: string,
    build: (weightsOf: (layer: number) => BlockWeights) => Record<string, Node>,
  ): Promise<Session> => {
    const used: Record<string, ReturnType<WeightFiles['source']>> = {};
    const outputs = build((of) =>
      plainWeights((role) => {
        const tensor = tensors[role];
        if (tensor === undefined) throw new Error(`block has no ${role}`);
        const full = blockTensorName(of, tensor.name);
        used[full] = weights.source(full);
        return weights.leaf(full);
      }),
    );
    const graph: Graph = { name: `blocks.${layer}.${name}`, outputs };
    return compile(graph, { ...options, weights: used, weightsFolder: weights.checkpoint.folder });
  };
}
