/** @file LoRA (arXiv 2106.09685): W + (alpha/rank)·B·A on chosen matrices, trained in place of W. */
import { add, linear, type Node, scale } from '../engine/index.ts';
import type { BlockRole } from '../models/index.ts';

/** Which matrices get an adapter, and how large. */
export interface LoraOptions {
  readonly rank: number;
  /** The product B·A is multiplied by alpha / rank. */
  readonly alpha: number;
  /** Defaults to all seven matrices of a block. */
  readonly targets?: readonly LoraTarget[];
}

/** The matrices an adapter may sit on. */
export type LoraTarget = 'q' | 'k' | 'v' | 'o' | 'gate' | 'up' | 'down';

export const allLoraTargets: readonly LoraTarget[] = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];

/** Input names of a role's factors in the block graphs: A [rank, in], B [out, rank]. */
export const factorName = (role: BlockRole, factor: 'A' | 'B'): string => `${role}.lora_${factor}`;

/** x Wᵀ + (alpha/rank)·(x Aᵀ) Bᵀ: the product of the factors is never formed. */
export function adapted(x: Node, w: Node, a: Node, b: Node, options: LoraOptions): Node {
  return add(linear(x, w), scale(linear(linear(x, a), b), options.alpha / options.rank));
}
