/**
 * @file Consecutive blocks as one session. Their past keys and values are inputs, the new ones outputs; inside, attention sees
 * both joined. The residual stream between two blocks is an output too, computed only into a target.
 *
 * B rows, T new columns, P past columns (0 when there are none), S = P + T, D model width, K·E width of keys, E head size.
 */
import {
  add,
  type CompileOptions,
  compile,
  concat,
  type Graph,
  type Handle,
  input,
  type Node,
  type Session,
} from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import { attentionOut, type BlockWeights, mlpOut, qkv } from './block.ts';
import { ropesOf } from './rope.ts';
import { type BlockRole, blockTensorName, blockTensors, noSources, type WeightFiles } from './weights.ts';

type BlockOptions = Omit<CompileOptions, 'weights' | 'weightsFolder'>;

/** What blocks are compiled from. */
export interface BlockSource {
  readonly config: ModelConfig;
  readonly weights: WeightFiles;
  readonly options: BlockOptions;
}

/** Blocks `from`…`to`−1. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** Keys and values [B,P or T,K·E]. */
export interface KeysValues {
  readonly k: Handle;
  readonly v: Handle;
}

/** What every block of a pass is fed besides its residual stream and its past: masks and angles by {@link names}. */
export type Surroundings = Readonly<Record<string, Handle>>;

/** Inputs and outputs by name. */
export const names = {
  /** [B,1,T,S], a distinct window. */
  mask: (window: number | undefined): string => `mask.${window ?? 'all'}`,
  /** [B,T,E/2], a distinct kind of rotary frequencies. */
  cos: numbered('cos'),
  sin: numbered('sin'),
  pastK: numbered('pastK'),
  pastV: numbered('pastV'),
  /** The residual stream after a block [B,T,D]. */
  post: numbered('post'),
  /** New keys and values of all blocks [B,T,·], as `KvCache.write` takes them: one output, since every one costs a copy. */
  kv: 'kv',
} as const;

/** `prefix.0`, `prefix.1`, …, each text made once: a decode step names some hundred tensors. */
function numbered(prefix: string): (index: number) => string {
  const made: string[] = [];
  return (index) => (made[index] ??= `${prefix}.${index}`);
}

/** A stretch as one session: x [B,T,D] → `post` of each block, and their new keys and values. */
export function compileStretch(source: BlockSource, { from, to }: Stretch): Promise<Session> {
  const c = source.config;
  const leaf = leaves();
  return compileBlocks(source, `blocks.${from}-${to - 1}`, (weightsOf) => {
    const outputs: Record<string, Node> = {};
    const kv: Node[] = [];
    let x = leaf('x', ['B', 'T', c.dModel]);
    for (let i = from; i < to; i++) {
      const w = weightsOf(i);
      const { attended, k, v } = attend(c, i, { w, x }, leaf);
      const mid = add(x, attended.out);
      x = add(mid, mlpOut(c, w, mid).out);
      outputs[names.post(i)] = x;
      kv.push(k, v);
    }
    return { ...outputs, [names.kv]: concat(kv, -1) };
  });
}

/** Makes each input of a graph once. */
export function leaves(): (name: string, shape: readonly (number | string)[]) => Node {
  const made = new Map<string, Node>();
  return (name, shape) => {
    const found = made.get(name) ?? input(name, 'f32', shape);
    made.set(name, found);
    return found;
  };
}

/** Attention of block `i` over its past and its own columns; k and v are those of its own columns. */
export function attend(
  c: ModelConfig,
  i: number,
  { w, x }: { readonly w: BlockWeights; readonly x: Node },
  leaf: ReturnType<typeof leaves>,
): { attended: { inner: Node; out: Node }; k: Node; v: Node } {
  const { rope, window } = c.blocks[i] as ModelConfig['blocks'][number];
  const kind = ropesOf(c).indexOf(rope);
  const angles = ['B', 'T', c.headDim / 2];
  const { q, k, v } = qkv(c, w, x, leaf(names.cos(kind), angles), leaf(names.sin(kind), angles));
  const past = ['B', 'P', c.nKvHeads * c.headDim];
  const keys = concat([leaf(names.pastK(i), past), k], 1, 'S'); // [B,S,K·E]
  const values = concat([leaf(names.pastV(i), past), v], 1, 'S');
  const mask = leaf(names.mask(window), ['B', 1, 'T', 'S']);
  return { attended: attentionOut(c, w, q, keys, values, mask), k, v };
}

/** Compile a graph over the weights it names, of whichever block. */
export function compileBlocks(
  { config, weights, options }: BlockSource,
  name: string,
  build: (weightsOf: (block: number) => BlockWeights) => Record<string, Node>,
): Promise<Session> {
  const tensors = blockTensors(config);
  const sources = noSources();
  const fullName = (block: number, role: BlockRole): string => {
    const tensor = tensors[role];
    if (tensor === undefined) throw new Error(`block has no ${role}`);
    return blockTensorName(block, tensor.name);
  };
  const outputs = build((block) => ({
    tensor: (role) => weights.leaf(fullName(block, role), sources),
    project: (x, role) => weights.project(x, fullName(block, role), sources),
  }));
  const graph: Graph = { name, outputs };
  return compile(graph, { ...options, weights: sources.used, weightsFolder: weights.checkpoint.folder });
}
