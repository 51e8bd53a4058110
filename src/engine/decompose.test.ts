/** @file The fused ops written out equal their kernels, on random shapes, named sizes included. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rng } from '../base/index.ts';
import { attentionDecomposed, rmsNormDecomposed, rotaryDecomposed } from './decompose.ts';
import type { Node, Op } from './graph.ts';
import { interpret } from './interpret.ts';
import { shapeText } from './shape.ts';
import type { Tensor } from './tensor.ts';
import { maxDifference, sampleOp } from './testing.ts';

type Write<O extends Op> = (y: Node<O>, ...inputs: [Node, Node, Node, Node]) => Node;

const rmsNorm: Write<'rmsNorm'> = (y, x, w) => rmsNormDecomposed(x, w, y.attrs);
const rotary: Write<'rotary'> = (y, x, cos, sin) => rotaryDecomposed(x, cos, sin, y.attrs);
const attention: Write<'attention'> = (y, q, k, v, mask) => attentionDecomposed(q, k, v, mask, y.attrs);

/** Largest difference between a random fused op and its written form; infinite when their shapes differ. */
function difference<O extends Op>(op: O, write: Write<O>, seed: number): number {
  const { graph, feeds } = sampleOp(op, new Rng(seed));
  const fused = graph.outputs.y as Node<O>;
  const written = write(fused, ...(fused.inputs as [Node, Node, Node, Node]));
  const out = interpret({ name: op, outputs: { fused, written } }, feeds);
  const [a, b] = [out.fused as Tensor<'f64'>, out.written as Tensor<'f64'>];
  const same =
    shapeText(fused.shape) === shapeText(written.shape) && shapeText(a.shape) === shapeText(b.shape);
  return same ? maxDifference(a.data, b.data) : Number.POSITIVE_INFINITY;
}

test.each<[string, (seed: number) => number]>([
  ['rmsNorm', (seed) => difference('rmsNorm', rmsNorm, seed)],
  ['rotary', (seed) => difference('rotary', rotary, seed)],
  ['attention', (seed) => difference('attention', attention, seed)],
])('%s', (_, differenceAt) => {
  const property = fc.property(fc.integer({ min: 0, max: 1e9 }), (seed) => {
    expect(differenceAt(seed)).toBeLessThan(1e-13);
  });
  fc.assert(property, { seed: 5, numRuns: 40 });
});
