/** @file Reverse-mode differentiation: one walk over the graph, rules from `gradients.ts`, un-broadcasting here and nowhere else. */
import { CrosspatchError } from '../base/index.ts';
import type { GradientRule } from './gradient-rule.ts';
import { gradients } from './gradients.ts';
import { add, type Graph, leavesOf, type Node, type Op, reduceSum, reshape, topological } from './graph.ts';
import { type Shape, sameShape, shapeText } from './shape.ts';

/**
 * Gradients of Σ ⟨seed, output⟩ towards `wrt`, as graph nodes. They share the forward pass's nodes where they need its
 * values. The same graph gives the same nodes in the same order; several uses of a node add up.
 *
 * @param outputs the forward graph's outputs (`graph.outputs`)
 * @param options.of for each output that counts, its seed: same dtype and shape as the output
 * @param options.wrt nodes to differentiate towards: leaves or anything in between
 * @returns one node for each of `wrt`, of its dtype and shape
 * @throws when a seed does not fit, and when no gradient reaches one of `wrt`: a gradient that is zero by construction is
 * a mistake in the caller's graph far oftener than a wish
 */
export function vjp(
  outputs: Readonly<Record<string, Node>>,
  { of, wrt }: { readonly of: Readonly<Record<string, Node>>; readonly wrt: readonly Node[] },
): Node[] {
  const seeded = Object.fromEntries(Object.keys(of).map((name) => [name, outputOf(outputs, name)]));
  const order = topological({ name: 'vjp', outputs: seeded });
  const needed = dependents(order, wrt);
  const found = new Map<Node, Node>();
  const accumulate = (x: Node, contribution: Node): void => {
    if (!needed.has(x)) return;
    const fitting = unbroadcast(contribution, x.shape);
    const sum = found.get(x);
    found.set(x, sum === undefined ? fitting : add(sum, fitting));
  };
  for (const [name, y] of Object.entries(seeded)) accumulate(y, checkedSeed(name, of[name], y));
  for (const y of order.reverse()) {
    const dy = found.get(y);
    if (dy === undefined) continue;
    contributions(y, dy).forEach((dx, i) => {
      if (dx !== undefined) accumulate(y.inputs[i], dx);
    });
  }
  return wrt.map((x) => found.get(x) ?? noGradient(x, Object.keys(of)));
}

/**
 * A graph that computes gradients: outputs `grad.<leaf>` for every leaf named in `wrt`, in that order, and the forward
 * outputs named in `keep` under their own names.
 *
 * @param options.seeds for each output that counts, its seed: an input (`input('seed.y', …)`) or `scalar(1, …)` for a loss
 * @param options.wrt names of the forward graph's inputs or weights
 * @param options.keep forward outputs to compute as well, by name. Defaults to none
 * @throws as {@link vjp}, and when the gradient uses a named size that no input left in it binds
 */
export function gradGraph({
  name,
  forward,
  seeds,
  wrt,
  keep = [],
}: {
  readonly name: string;
  readonly forward: Graph;
  readonly seeds: Readonly<Record<string, Node>>;
  readonly wrt: readonly string[];
  readonly keep?: readonly string[];
}): Graph {
  const leaves = new Map([...leavesOf(forward, 'input'), ...leavesOf(forward, 'weight')]);
  const nodes = wrt.map((leaf) => {
    const found = leaves.get(leaf);
    if (found === undefined) {
      throw new CrosspatchError(
        `gradGraph ${name}: ${forward.name} has no input or weight ${leaf}; it has ${[...leaves.keys()].join(', ')}`,
        { id: 'graph-invalid' },
      );
    }
    return found;
  });
  const kept = keep.map((output): [string, Node] => [output, outputOf(forward.outputs, output)]);
  const slopes = vjp(forward.outputs, { of: seeds, wrt: nodes });
  const graph = {
    name,
    outputs: Object.fromEntries([
      ...kept,
      ...slopes.map((slope, i): [string, Node] => [`grad.${wrt[i]}`, slope]),
    ]),
  };
  checkBound(graph);
  return graph;
}

/** The sum of `g` over the axes along which a tensor of `shape` was broadcast; a name broadcasts from 1 or from no axis. */
function unbroadcast(g: Node, shape: Shape): Node {
  if (sameShape(g.shape, shape)) return g;
  const lead = g.shape.length - shape.length;
  const axes = g.shape.flatMap((d, i) => (i < lead || d !== shape[i - lead] ? [i] : []));
  const repeated = axes.filter((i) => i >= lead);
  if (lead < 0 || repeated.some((i) => shape[i - lead] !== 1)) {
    throw new CrosspatchError(`vjp: a gradient ${shapeText(g.shape)} does not sum to ${shapeText(shape)}`, {
      id: 'graph-invalid',
    });
  }
  return reshape(reduceSum(g, axes), shape);
}

function contributions<O extends Op>(y: Node<O>, dy: Node): readonly (Node | undefined)[] {
  const rule: GradientRule<O> = gradients[y.op];
  return rule(dy, y, ...y.inputs);
}

/** The nodes of `order` that are, or are computed from, one of `wrt`. */
function dependents(order: readonly Node[], wrt: readonly Node[]): Set<Node> {
  const found = new Set(wrt);
  for (const n of order) if (n.inputs.some((x) => found.has(x))) found.add(n);
  return found;
}

function outputOf(outputs: Readonly<Record<string, Node>>, name: string): Node {
  const y = Object.hasOwn(outputs, name) ? outputs[name] : undefined;
  if (y === undefined) {
    throw new CrosspatchError(
      `vjp: there is no output ${name}; there are ${Object.keys(outputs).join(', ')}`,
      { id: 'graph-invalid' },
    );
  }
  return y;
}

function checkedSeed(name: string, seed: Node, y: Node): Node {
  if (seed.dtype !== y.dtype || !sameShape(seed.shape, y.shape)) {
    throw new CrosspatchError(
      `vjp: seed of ${name}: wanted ${y.dtype}${shapeText(y.shape)}, got ${seed.dtype}${shapeText(seed.shape)}`,
      { id: 'graph-invalid' },
    );
  }
  return seed;
}

function noGradient(x: Node, outputs: readonly string[]): never {
  const label = 'name' in x.attrs ? `${x.op} ${x.attrs.name}` : `${x.op} ${x.dtype}${shapeText(x.shape)}`;
  throw new CrosspatchError(
    `vjp: no gradient flows from ${outputs.join(', ')} to ${label}; leave it out of wrt, or seed an output that depends on it`,
    { id: 'graph-invalid' },
  );
}

/** A gradient may drop the input that bound a name its shapes use; say so now rather than at the first run. */
function checkBound(graph: Graph): void {
  const order = topological(graph);
  const bound = new Set<string>();
  for (const x of leavesOf(graph, 'input').values()) {
    for (const d of x.shape) if (typeof d === 'string') bound.add(d);
  }
  for (const n of order) {
    if (n.op !== 'reshape' && n.op !== 'expand') continue;
    for (const d of n.shape) {
      if (typeof d === 'number' || bound.has(d)) continue;
      const free = d.split('*').find((factor) => !/^\d+$/.test(factor) && !bound.has(factor));
      if (free !== undefined) {
        throw new CrosspatchError(
          `gradGraph ${graph.name}: ${n.op} to ${shapeText(n.shape)} uses ${free}, which no input of the gradient binds; keep an input that has it, or seed with one`,
          { id: 'graph-invalid' },
        );
      }
    }
  }
}
