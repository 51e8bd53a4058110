import { describe, expect, it } from 'vitest';
import { isOp, leavesOf } from '../engine/graph.ts';
import { type Graph, gradGraph, input, topological } from '../engine/index.ts';
import { lower } from '../engine/onnx/lower.ts';
import { blockGraph } from './block-graph.ts';
import { keepProducts } from './keep.ts';
import { tinyModel } from './tiny-model.helper.ts';

const { config } = tinyModel();
const seeds = { post: input('d_post', 'f32', ['B', 'T', 16]) };

const products = (graph: Graph): number => topological(graph).filter((n) => isOp(n, 'matmul')).length;

describe('kept products', () => {
  const forward = blockGraph(config);
  const wrt = ['x', 'q', 'k', 'v', 'o', 'gate', 'up', 'down', 'inputNorm', 'mlpNorm'];
  const back = gradGraph({ name: 'back', forward, seeds, wrt });
  const cut = keepProducts(forward, back);

  it('take six of the seven products of a block, and the attention, off the backward pass', () => {
    // The last product, down, is not needed by any gradient.
    expect(products(forward)).toBe(7);
    expect(products(back) - products(cut.backward)).toBe(6);
    expect(topological(cut.backward).some((n) => isOp(n, 'attention'))).toBe(false);
    expect(Object.keys(cut.forward.outputs)).toHaveLength(1 + 7);
  });

  it('are computed once in the forward pass, as the runtime gets it', () => {
    const lora = { rank: 2, alpha: 4 };
    const adapted = blockGraph(config, lora);
    const factors = Object.keys(Object.fromEntries(leavesOf(adapted, 'input'))).filter((name) =>
      name.includes('lora'),
    );
    const adaptedBack = gradGraph({ name: 'back', forward: adapted, seeds, wrt: ['x', ...factors] });
    const { forward: keeping } = keepProducts(adapted, adaptedBack);
    expect(products(lower(cut.forward, 'cpu'))).toBe(products(forward));
    expect(products(lower(keeping, 'cpu'))).toBe(products(adapted));
    // A product and its adapter are one tensor: q, k, v, o, gate and up whole, seven narrow ones, and the attention.
    expect(Object.keys(keeping.outputs)).toHaveLength(1 + 6 + 7 + 1);
  });

  it('are the only inputs the cut adds', () => {
    const added = [...leavesOf(cut.backward, 'input').keys()].filter((name) => name.startsWith('kept.'));
    expect(added.sort()).toEqual(
      Object.keys(cut.forward.outputs)
        .filter((name) => name !== 'post')
        .sort(),
    );
  });
});

describe('the backward graph of LoRA', () => {
  it('computes no gradient of a base matrix', () => {
    const lora = { rank: 2, alpha: 4 };
    const forward = blockGraph(config, lora);
    const roles = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];
    const wrt = ['x', ...roles.flatMap((role) => [`${role}.lora_A`, `${role}.lora_B`])];
    const back = gradGraph({ name: 'back', forward, seeds, wrt });
    const matrices = new Set(
      topological(forward).flatMap((n) => (isOp(n, 'input') && n.shape.length === 2 ? [n.shape.join()] : [])),
    );
    const factors = new Set(wrt.slice(1).map((name) => leavesOf(forward, 'input').get(name)!.shape.join()));
    const gradients = topological(back).filter(
      (n) => isOp(n, 'matmul') && matrices.has(n.shape.join()) && !factors.has(n.shape.join()),
    );
    expect(gradients).toEqual([]);
    // The full backward graph does have them, so the test can fail.
    const full = gradGraph({ name: 'full', forward: blockGraph(config), seeds, wrt: roles });
    expect(topological(full).some((n) => isOp(n, 'matmul') && n.shape.join() === '16,16')).toBe(true);
  });
});
