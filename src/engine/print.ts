/** @file A graph as text: one line a node, SSA names, the same text for the same graph. Tests snapshot it; its exact form is hashed. */
import { createHash } from 'node:crypto';
import { hashBytes } from '../base/index.ts';
import { type Graph, isOp, type Node, type Op, type OpAttrs, topological } from './graph.ts';
import { shapeText } from './shape.ts';
import type { Tensor } from './tensor.ts';

/**
 * The graph as text, inputs before users:
 *
 *     graph gate
 *       %0 = input(x) : f32[B,8]
 *       %1 = weight(w) : f32[4,8]
 *       %2 = matmul(%0, %1ᵀ) : f32[B,4]
 *       %3 = mul(%2, 0.5) : f32[B,4]
 *       return y = %3
 *
 * Scalar constants stand inside the lines that use them; constants of more than 8 elements appear as the first 8 hex digits
 * of the hash of their bytes.
 */
export function printGraph(graph: Graph): string {
  return lines(graph, readable).join('\n');
}

/** SHA-256 (hex) of the graph's exact text: name, leaves, ops, attributes at full precision, every constant's bytes. */
export function graphHash(graph: Graph): string {
  return createHash('sha256').update(lines(graph, exact).join('\n')).digest('hex');
}

/** How constants are written: `inline` gives the text to put into users' lines, or undefined for a line of its own. */
interface ConstantStyle {
  inline(value: Tensor): string | undefined;
  text(value: Tensor): string;
}

const readable: ConstantStyle = {
  inline: (value) => (value.shape.length === 0 ? numberText(value, 0) : undefined),
  text: (value) =>
    value.data.length <= 8
      ? `[${Array.from({ length: value.data.length }, (_, i) => numberText(value, i)).join(', ')}]`
      : `#${bytesHash(value).slice(0, 8)}`,
};

const exact: ConstantStyle = {
  inline: () => undefined,
  text: (value) => `#${bytesHash(value)}`,
};

function lines(graph: Graph, constants: ConstantStyle): string[] {
  const names = new Map<Node, string>();
  const out = [`graph ${graph.name}`];
  const nameOf = (n: Node): string => names.get(n) as string;
  let next = 0;
  for (const n of topological(graph)) {
    const inline = isOp(n, 'constant') ? constants.inline(n.attrs.value) : undefined;
    if (inline !== undefined) {
      names.set(n, inline);
      continue;
    }
    const name = `%${next++}`;
    names.set(n, name);
    const args = isOp(n, 'constant') ? [constants.text(n.attrs.value)] : argsText(n, n.inputs.map(nameOf));
    out.push(`  ${name} = ${n.op}(${args.join(', ')}) : ${n.dtype}${shapeText(n.shape)}`);
  }
  const results = Object.entries(graph.outputs).map(([name, n]) => `${name} = ${nameOf(n)}`);
  out.push(`  return ${results.join(', ')}`);
  return out;
}

/** What stands between the brackets, from the operands' names: attributes the type of the result does not show are added. */
type ArgsText<O extends Op> = (operands: readonly string[], attrs: OpAttrs[O]) => readonly string[];

const plain = (operands: readonly string[]): readonly string[] => operands;
const list = (values: readonly number[]): string => `[${values.join(',')}]`;
const reduced: ArgsText<'reduceSum' | 'reduceMax'> = (operands, { axes, keepDims }) => [
  ...operands,
  `axes=${list(axes)}`,
  ...(keepDims ? ['keepDims'] : []),
];

const argTexts: { readonly [O in Op]: ArgsText<O> } = {
  input: (_, { name }) => [name],
  weight: (_, { name }) => [name],
  constant: plain,
  neg: plain,
  exp: plain,
  log: plain,
  sqrt: plain,
  reciprocal: plain,
  tanh: plain,
  sigmoid: plain,
  relu: plain,
  add: plain,
  sub: plain,
  mul: plain,
  div: plain,
  maximum: plain,
  less: plain,
  equal: plain,
  where: plain,
  cast: plain,
  matmul: ([a, b], { transA, transB }) => [`${a}${transA ? 'ᵀ' : ''}`, `${b}${transB ? 'ᵀ' : ''}`],
  unpack: plain,
  packedLinear: plain,
  reduceSum: reduced,
  reduceMax: reduced,
  reshape: plain,
  expand: plain,
  transpose: (operands, { perm }) => [...operands, list(perm)],
  concat: (operands, { axis }) => [...operands, `axis=${axis}`],
  slice: (operands, { axis, start, end }) => [...operands, `axis=${axis}`, `${start}…${end}`],
  gatherRows: plain,
  scatterRows: plain,
  softmax: plain,
  topTwo: plain,
  rmsNorm: (operands, { eps }) => [...operands, `eps=${eps}`],
  rotary: (operands, { heads, inverse }) => [...operands, `heads=${heads}`, ...(inverse ? ['inverse'] : [])],
  attention: (operands, { heads, kvHeads, scale, softcap }) => [
    ...operands,
    `heads=${heads}`,
    `kvHeads=${kvHeads}`,
    `scale=${scale}`,
    ...(softcap === undefined ? [] : [`softcap=${softcap}`]),
  ],
};

function argsText<O extends Op>(n: Node<O>, operands: readonly string[]): readonly string[] {
  return argTexts[n.op](operands, n.attrs);
}

function bytesHash(value: Tensor): string {
  const { buffer, byteOffset, byteLength } = value.data;
  return hashBytes(new Uint8Array(buffer, byteOffset, byteLength));
}

/** Element `i` in the fewest digits that give back the same element of its dtype. f16 and bf16 print their bits. */
function numberText({ dtype, data }: Tensor, i: number): string {
  const value = data[i];
  if (dtype !== 'f32' || !Number.isFinite(Number(value))) return String(value);
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(Number(value).toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(Number(value).toPrecision(9)));
}
