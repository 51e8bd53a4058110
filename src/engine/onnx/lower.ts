/** @file Replaces fused ops by primitives where the target has no kernel for them. */
import { attentionDecomposed, rmsNormDecomposed, rotaryDecomposed } from '../decompose.ts';
import { type Graph, isOp, type Node, topological } from '../graph.ts';

/** Who runs the model. `cpu` has every fused kernel in f32; the others run the decomposed form. */
export type Target = 'cpu' | 'portable';

/** The graph with the fused ops the target lacks written out. f64 has no fused kernels anywhere. */
export function lower(graph: Graph, target: Target): Graph {
  const replaced = new Map<Node, Node>();
  for (const n of topological(graph)) {
    const inputs = n.inputs.map((i) => replaced.get(i) as Node);
    const same = inputs.every((x, i) => x === n.inputs[i]);
    const moved = same ? n : { ...n, inputs };
    replaced.set(n, target === 'cpu' && n.dtype === 'f32' ? moved : decompose(moved));
  }
  const outputs = Object.fromEntries(
    Object.entries(graph.outputs).map(([k, n]) => [k, replaced.get(n) as Node]),
  );
  return { name: graph.name, outputs };
}

function decompose(n: Node): Node {
  const [a, b, c, d] = n.inputs as [Node, Node, Node, Node];
  if (isOp(n, 'rmsNorm')) return rmsNormDecomposed(a, b, n.attrs);
  if (isOp(n, 'rotary')) return rotaryDecomposed(a, b, c, n.attrs);
  if (isOp(n, 'attention')) return attentionDecomposed(a, b, c, d, n.attrs);
  return n;
}
