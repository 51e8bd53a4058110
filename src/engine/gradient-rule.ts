/** @file What a gradient rule is; the rules are in `gradients.ts` and `gradients-fused.ts`. */
import type { Node, Op } from './graph.ts';

/** dy [shape of y] → for each input its gradient, or undefined where the op is not differentiable in it. */
export type GradientRule<O extends Op> = (
  dy: Node,
  y: Node<O>,
  ...inputs: Node[]
) => readonly (Node | undefined)[];
