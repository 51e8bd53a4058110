/** @file The fused ops written out equal their kernels, on random shapes, named sizes included. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rng } from '../base/index.ts';
import { attentionDecomposed, rmsNormDecomposed, rotaryDecomposed } from './decompose.ts';
import type { Node, Op } from './graph.ts';
import { interpret } from './interpret.ts';
import type { Tensor } from './tensor.ts';
import { maxDifference, sampleOp } from './testing.ts';

function agrees<O extends Op>(op: O, write: (y: Node<O>, ...inputs: [Node, Node, Node, Node]) => Node): void {
  const check = (seed: number): void => {
    const { graph, feeds } = sampleOp(op, new Rng(seed));
    const fused = graph.outputs.y as Node<O>;
    const written = write(fused, ...(fused.inputs as [Node, Node, Node, Node]));
    expect(written.shape).toEqual(fused.shape);
    const out = interpret({ name: op, outputs: { fused, written } }, feeds);
    expect(out.written?.shape).toEqual(out.fused?.shape);
    expect(
      maxDifference((out.fused as Tensor<'f64'>).data, (out.written as Tensor<'f64'>).data),
    ).toBeLessThan(1e-13);
  };
  fc.assert(fc.property(fc.integer({ min: 0, max: 1e9 }), check), { seed: 5, numRuns: 40 });
}

test('rmsNorm', () => agrees('rmsNorm', (y, x, w) => rmsNormDecomposed(x, w, y.attrs)));
test('rotary', () => agrees('rotary', (y, x, cos, sin) => rotaryDecomposed(x, cos, sin, y.attrs)));
test('attention', () => agrees('attention', (y, q, k, v, m) => attentionDecomposed(q, k, v, m, y.attrs)));
