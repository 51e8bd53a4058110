/** @file The oracle: a graph evaluated node by node with plain loops, every float in float64 whatever its declared dtype. */
import { CrosspatchError } from '../base/index.ts';
import { type Graph, leavesOf, type Node, type Op, topological } from './graph.ts';
import type { Kernel, Value } from './kernel.ts';
import { kernels } from './kernels.ts';
import { widen } from './kernels-widen.ts';
import { bindShape, type DimBindings, resolveDim, shapeText } from './shape.ts';
import { type DType, sizeOf, type Tensor } from './tensor.ts';

/**
 * Evaluate `graph`. `feeds` holds a tensor for every input and every weight, under its name (extra ones are ignored). A
 * float leaf takes any float dtype, so an f32 graph can be fed f64 values; casts between floats round nothing.
 *
 * Returns every output: floats as f64, i64 and bool as they are. Throws one error that lists all feeds that are missing or
 * ill-shaped.
 */
export function interpret(
  graph: Graph,
  feeds: Readonly<Record<string, Tensor>>,
): Record<string, Tensor<'f64' | 'i64' | 'bool'>> {
  const values = new Map<Node, Value>();
  const run: Evaluation = { graph, feeds, bindings: bindFeeds(graph, feeds), values };
  for (const n of topological(graph)) values.set(n, evaluate(n, run));
  return Object.fromEntries(
    Object.entries(graph.outputs).map(([name, n]) => [name, narrow(n.dtype, values.get(n) as Value)]),
  );
}

/** A graph on its way: what it is fed and what its nodes have come to. */
interface Evaluation {
  readonly graph: Graph;
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly bindings: DimBindings;
  readonly values: ReadonlyMap<Node, Value>;
}

function evaluate<O extends Op>(n: Node<O>, { graph, feeds, bindings, values }: Evaluation): Value {
  const shape = n.shape.map((d) => resolveDim(d, bindings));
  const kernel: Kernel<O> = kernels[n.op];
  const inputs = n.inputs.map((i) => values.get(i) as Value);
  const leaf = (name: string): Float64Array => widen(feeds[name]);
  const data = kernel({ attrs: n.attrs, shape, leaf }, ...inputs);
  if (data.length !== sizeOf(shape)) {
    const from = n.inputs.map((i) => shapeText((values.get(i) as Value).shape)).join(', ');
    throw new CrosspatchError(
      `interpret ${graph.name}: ${n.op} of ${from}: wanted ${shapeText(n.shape)} = ${shapeText(shape)}, got ${data.length} elements`,
      { id: 'graph-invalid' },
    );
  }
  return { shape, data };
}

function bindFeeds(graph: Graph, feeds: Readonly<Record<string, Tensor>>): DimBindings {
  const bindings: DimBindings = new Map();
  const problems: string[] = [];
  const leaves = [...leavesOf(graph, 'input'), ...leavesOf(graph, 'weight')];
  for (const [name, n] of leaves) {
    const feed = Object.hasOwn(feeds, name) ? feeds[name] : undefined;
    if (feed === undefined) {
      problems.push(`${name} ${n.dtype}${shapeText(n.shape)} is not fed`);
    } else if (!mayFeed(n.dtype, feed.dtype)) {
      problems.push(`${name} wants ${n.dtype}, got ${feed.dtype}`);
    } else {
      try {
        bindShape(n.shape, feed.shape, bindings, name);
      } catch (error) {
        problems.push((error as Error).message);
      }
    }
  }
  if (problems.length > 0)
    throw new CrosspatchError(`interpret ${graph.name}: ${problems.join('; ')}`, { id: 'graph-invalid' });
  return bindings;
}

const isFloat = (dtype: DType): boolean => dtype !== 'i64' && dtype !== 'bool' && dtype !== 'u8';

function mayFeed(want: DType, got: DType): boolean {
  return want === got || (isFloat(want) && isFloat(got));
}

function narrow(dtype: DType, { shape, data }: Value): Tensor<'f64' | 'i64' | 'bool'> {
  if (dtype === 'i64') return { dtype, shape, data: BigInt64Array.from(data, BigInt) };
  if (dtype === 'bool') return { dtype, shape, data: Uint8Array.from(data) };
  return { dtype: 'f64', shape, data: data.slice() };
}
