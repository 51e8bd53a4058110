/**
 * @file A decoder as one graph, from token ids to logits: the slow, plain form that the block-by-block decoder is held against.
 * In f64 the engine's interpreter runs it without a single float32 rounding.
 *
 * B rows, T positions, D model width, V vocabulary, E head size.
 */
import {
  type Graph,
  gatherRows,
  input,
  linear,
  type Node,
  scale,
  softcap,
  type Tensor,
  weight,
  zeros,
} from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import { familyNorm, plainWeights, wholeBlock } from './block.ts';
import { fillMask } from './mask.ts';
import { RopeTable, ropesOf } from './rope.ts';
import { allTensors, blockTensorName, blockTensors, EMBED, FINAL_NORM, HEAD } from './weights.ts';

/**
 * Inputs `ids` i64 [B,T] and those of {@link wholeModelSurroundings}; weights under their checkpoint names. Outputs `embed` (what
 * enters block 0), `resid_mid.{i}`, `resid_post.{i}`, `ln_final` (with its gain) [B,T,D], `logits` [B,T,V].
 */
export function wholeModelGraph(c: ModelConfig, dtype: 'f32' | 'f64'): Graph {
  const shapes = allTensors(c);
  const leaves = new Map<string, Node>();
  const leaf = (name: string, make: () => Node): Node => {
    const found = leaves.get(name) ?? make();
    leaves.set(name, found);
    return found;
  };
  const tensor = (name: string): Node =>
    leaf(name, () => weight(name, dtype, shapes.get(name) as readonly number[]));
  const around = (name: string, shape: readonly (string | number)[]): Node =>
    leaf(name, () => input(name, dtype, shape));

  const table = tensor(EMBED);
  let x = scale(gatherRows(table, input('ids', 'i64', ['B', 'T'])), c.embedScale); // [B,T,D]
  const outputs: Record<string, Node> = { embed: x };
  const roles = blockTensors(c);
  c.blocks.forEach(({ rope, window }, i) => {
    const w = plainWeights((role) => tensor(blockTensorName(i, (roles[role] as { name: string }).name)));
    const kind = ropesOf(c).indexOf(rope);
    const { mid, post } = wholeBlock(
      c,
      w,
      x,
      around(`cos.${kind}`, [1, 'T', c.headDim / 2]),
      around(`sin.${kind}`, [1, 'T', c.headDim / 2]),
      around(`mask.${window ?? 'all'}`, [1, 1, 'T', 'T']),
    );
    outputs[`resid_mid.${i}`] = mid;
    outputs[`resid_post.${i}`] = post;
    x = post;
  });
  const normed = familyNorm(c, x, tensor(FINAL_NORM));
  const raw = linear(normed, c.tied ? table : tensor(HEAD)); // [B,T,V]
  outputs.ln_final = normed;
  outputs.logits = c.logitSoftcap === undefined ? raw : softcap(raw, c.logitSoftcap);
  return { name: `${c.modelType} ${dtype}`, outputs };
}

/** The feeds that depend on nothing but the number of positions: angles [1,T,E/2] and masks [1,1,T,T], in float64. */
export function wholeModelSurroundings(c: ModelConfig, positions: number): Record<string, Tensor<'f64'>> {
  const feeds: Record<string, Tensor<'f64'>> = {};
  ropesOf(c).forEach((rope, kind) => {
    const cos = zeros('f64', [1, positions, c.headDim / 2]);
    const sin = zeros('f64', [1, positions, c.headDim / 2]);
    new RopeTable(rope, c.headDim).fill([...Array(positions).keys()], cos.data, sin.data);
    feeds[`cos.${kind}`] = cos;
    feeds[`sin.${kind}`] = sin;
  });
  for (const { window } of c.blocks) {
    const mask = zeros('f64', [1, 1, positions, positions]);
    fillMask(mask.data, [0], { queries: positions, window });
    feeds[`mask.${window ?? 'all'}`] = mask;
  }
  return feeds;
}
