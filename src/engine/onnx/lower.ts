/** @file Replaces ops by those the target is best at: fused ones by primitives where it lacks a kernel, flattened products by direct ones. */
import {
  attentionDecomposed,
  packedLinearDecomposed,
  rmsNormDecomposed,
  rotaryDecomposed,
} from '../decompose.ts';
import { type Graph, isOp, matmul, type Node, topological } from '../graph.ts';
import { sameShape } from '../shape.ts';

/** Who runs the model. `cpu` has every fused kernel in f32; the others run the decomposed form. */
export type Target = 'cpu' | 'portable';

/** The graph as the target runs it best. f64 has no fused kernels anywhere. */
export function lower(graph: Graph, target: Target): Graph {
  const replaced = new Map<Node, Node>();
  for (const n of topological(graph)) {
    const inputs = n.inputs.map((i) => replaced.get(i) as Node);
    const same = inputs.every((x, i) => x === n.inputs[i]);
    const moved = same ? n : { ...n, inputs };
    replaced.set(n, target === 'cpu' && n.dtype === 'f32' ? direct(moved) : decompose(moved));
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
  if (isOp(n, 'packedLinear')) return packedLinearDecomposed(a, b, c);
  return n;
}

/**
 * [..., K] flattened to rows, times a matrix, folded back → one product that takes the leading axes as they are. Three nodes
 * fewer a product (two reshapes and the shape read at run time) is a tenth of a decode step at batch 1.
 */
function direct(n: Node): Node {
  if (!isOp(n, 'reshape')) return n;
  const [product] = n.inputs as [Node];
  if (!isOp(product, 'matmul') || product.attrs.transA) return n;
  const [flat, matrix] = product.inputs as [Node, Node];
  if (!isOp(flat, 'reshape') || matrix.shape.length !== 2) return n;
  const [x] = flat.inputs as [Node];
  const folded = [...x.shape.slice(0, -1), product.shape[1]];
  const rows = flat.shape.length === 2 && flat.shape[1] === x.shape.at(-1);
  return rows && sameShape(n.shape, folded) ? matmul(x, matrix, { transB: product.attrs.transB }) : n;
}
