/**
 * @file The sessions of one block. Two suffice (q, k, v with rotary · attend and MLP), because keys and values are appended
 * to the cache between them. When a hook listens inside the block, its second half is rebuilt in pieces, once, and stays so.
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

/** Compiled block `layer`. */
export class BlockRunner implements Owned {
  readonly #config: ModelConfig;
  readonly #layer: number;
  readonly #weights: WeightFiles;
  readonly #options: Omit<CompileOptions, 'weights' | 'weightsFolder'>;
  readonly #first: Session;
  #second: Session | undefined;
  #pieces: Promise<Pieces> | undefined;

  static async open(
    config: ModelConfig,
    layer: number,
    weights: WeightFiles,
    options: Omit<CompileOptions, 'weights' | 'weightsFolder'>,
  ): Promise<BlockRunner> {
    const build = builder(config, layer, weights, options);
    const first = await build('qkv', (w) => {
      const half = config.headDim / 2;
      return qkv(
        config,
        w,
        input('x', 'f32', ['B', 'T', config.dModel]),
        input('cos', 'f32', ['B', 'T', half]),
        input('sin', 'f32', ['B', 'T', half]),
      );
    });
    const runner = new BlockRunner(config, layer, weights, options, first);
    try {
      await runner.#whole();
      return runner;
    } catch (error) {
      await runner[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    config: ModelConfig,
    layer: number,
    weights: WeightFiles,
    options: Omit<CompileOptions, 'weights' | 'weightsFolder'>,
    first: Session,
  ) {
    this.#config = config;
    this.#layer = layer;
    this.#weights = weights;
    this.#options = options;
    this.#first = first;
  }

  /** x [B,T,D], cos and sin [B,T,E/2] → q, k, v, written into the handles given. */
  async qkv(
    feeds: { x: Handle; cos: Handle; sin: Handle },
    { q, k, v }: { q: Handle; k: Handle; v: Handle },
  ): Promise<void> {
    await this.#first.runHandles(feeds, { q, k, v });
  }

  /** The rest of the block at once: → residual after the block. */
  async finish(
    feeds: { x: Handle; q: Handle; k: Handle; v: Handle; mask: Handle },
    into: { post: Handle },
  ): Promise<void> {
    const session = this.#second;
    if (session !== undefined) {
      await session.runHandles(feeds, into);
      return;
    }
    // Already in pieces: the same sums, added here.
    const pieces = await this.pieces();
    const inner = await this.attend(pieces, feeds);
    const mid = addInto(feeds.x.data as Float32Array, inner.out, into.post.data as Float32Array);
    const mlp = await this.mlp(pieces, into.post);
    addInto(mid, mlp.out, mid);
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

  async #whole(): Promise<void> {
    const c = this.#config;
    this.#second = await builder(
      c,
      this.#layer,
      this.#weights,
      this.#options,
    )('rest', (w) => {
      const x = input('x', 'f32', ['B', 'T', c.dModel]);
      const { q, k, v, mask } = attentionInputs(c);
      const mid = add(x, attentionOut(c, w, q, k, v, mask).out);
      return { post: add(mid, mlpOut(c, w, mid).out) };
    });
  }

  /** The second half in pieces; then the fused session is dropped, so that no weight is held twice. */
  async pieces(): Promise<Pieces> {
    this.#pieces ??= this.#cut();
    return this.#pieces;
  }

  async #cut(): Promise<Pieces> {
    const c = this.#config;
    const build = builder(c, this.#layer, this.#weights, this.#options);
    const plain: ModelConfig = { ...c, sandwichNorms: false };
    const normOnly = async (name: string, role: BlockRole): Promise<Session | undefined> =>
      c.sandwichNorms ? build(name, (w) => ({ out: postNorm(c, w, role) })) : undefined;
    const pieces = {
      attention: await build('attention', (w) => {
        const { q, k, v, mask } = attentionInputs(c);
        return { inner: attentionOut(plain, w, q, k, v, mask).inner };
      }),
      attentionNorm: await normOnly('postAttentionNorm', 'postAttentionNorm'),
      mlp: await build('mlp', (w) => ({
        inner: mlpOut(plain, w, input('mid', 'f32', ['B', 'T', c.dModel])).inner,
      })),
      mlpNorm: await normOnly('postMlpNorm', 'postMlpNorm'),
    };
    const fused = this.#second;
    this.#second = undefined;
    await fused?.[Symbol.asyncDispose]();
    return pieces;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pieces = await this.#pieces?.catch(() => undefined);
    const held = [this.#first, this.#second, ...Object.values<Session | undefined>({ ...pieces })];
    await disposeAll(held.filter((s) => s !== undefined));
  }
}

/** a + b, element by element, into `out` (which may be either). */
export function addInto(a: Float32Array, b: Float32Array, out: Float32Array): Float32Array {
  for (let i = 0; i < out.length; i++) out[i] = (a[i] as number) + (b[i] as number);
  return out;
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

/** Compile one piece of a block, binding the weights it names. */
function builder(
  c: ModelConfig,
  layer: number,
  weights: WeightFiles,
  options: Omit<CompileOptions, 'weights' | 'weightsFolder'>,
) {
  const tensors = blockTensors(c);
  return (name: string, build: (w: BlockWeights) => Record<string, Node>): Promise<Session> => {
    const used: Record<string, ReturnType<WeightFiles['source']>> = {};
    const outputs = build(
      plainWeights((role) => {
        const tensor = tensors[role];
        if (tensor === undefined) throw new Error(`block has no ${role}`);
        const full = blockTensorName(layer, tensor.name);
        used[full] = weights.source(full);
        return weights.leaf(full);
      }),
    );
    const graph: Graph = { name: `blocks.${layer}.${name}`, outputs };
    return compile(graph, { ...options, weights: used, weightsFolder: weights.checkpoint.folder });
  };
}
