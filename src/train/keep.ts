/**
 * @file What a backward pass need not compute again: the matrix products and attention outputs of the forward pass become
 * outputs of the forward graph and inputs of the backward one. A quarter of the arithmetic, for memory.
 */
import { type Graph, input, type Node, topological } from '../engine/index.ts';

/**
 * A matrix product, folded, scaled by a number, or added to another: the sum of a product and its adapter is kept as one tensor. A product
 * that is kept flat while the forward pass reads it folded would be computed twice, since the engine folds it away (`lower`).
 */
function isProduct(n: Node): boolean {
  const [first, second] = n.inputs as [Node, Node];
  if (n.op === 'matmul') return true;
  if (n.op === 'reshape') return isProduct(first);
  if (n.op === 'mul')
    return second.op === 'constant' && second.shape.every((d) => d === 1) && isProduct(first);
  return n.op === 'add' && isProduct(first) && isProduct(second);
}

/** The pair of graphs cut at the kept tensors. */
interface Kept {
  /** The forward graph with the outputs `kept.0`, `kept.1`, … besides its own. */
  readonly forward: Graph;
  /** The backward graph with inputs of those names in place of what computed them. */
  readonly backward: Graph;
}

/** Cut `backward`, which shares nodes with `forward` (as `gradGraph` makes it), at the expensive ones it uses of it. */
export function keepProducts(forward: Graph, backward: Graph): Kept {
  const ours = new Set(topological(forward));
  const replaced = new Map<Node, Node>();
  const kept = new Map<string, Node>();
  for (const n of usedFirst(backward, ours)) {
    const name = `kept.${kept.size}`;
    kept.set(name, n);
    replaced.set(n, input(name, n.dtype, n.shape));
  }
  for (const n of topological(backward)) {
    if (replaced.has(n)) continue;
    const inputs = n.inputs.map((x) => replaced.get(x) as Node);
    replaced.set(n, inputs.every((x, i) => x === n.inputs[i]) ? n : { ...n, inputs });
  }
  return {
    forward: { name: forward.name, outputs: { ...forward.outputs, ...Object.fromEntries(kept) } },
    backward: {
      name: backward.name,
      outputs: Object.fromEntries(
        Object.entries(backward.outputs).map(([name, n]) => [name, replaced.get(n) as Node]),
      ),
    },
  };
}

/** The expensive forward nodes met first on the way from the backward graph's outputs to its leaves. */
function usedFirst(backward: Graph, ours: ReadonlySet<Node>): Node[] {
  const found = new Set<Node>();
  const seen = new Set<Node>();
  const visit = (n: Node): void => {
    if (seen.has(n)) return;
    seen.add(n);
    if (ours.has(n) && (n.op === 'attention' || isProduct(n))) found.add(n);
    else n.inputs.forEach(visit);
  };
  Object.values(backward.outputs).forEach(visit);
  return topological(backward).filter((n) => found.has(n));
}
