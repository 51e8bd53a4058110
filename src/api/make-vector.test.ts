/** @file `makeVector` on a bundled model: the vector is what steers, by the same numbers as the command's. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { applyIntervention } from '../interventions/index.ts';
import { LanguageModel, residPost } from '../models/index.ts';
import { makeVector } from './index.ts';

let model: LanguageModel;
beforeAll(async () => {
  model = await LanguageModel.load('tiny-llama-s');
});
afterAll(() => model[Symbol.asyncDispose]());

const colours = ['red', 'green', 'blue', 'white', 'black', 'yellow'];
const pairs = colours.map((colour) => ({ positive: `The sky is ${colour}`, negative: `A dog is ${colour}` }));

it('gives mean differences whose addition moves the projection by their own length', async () => {
  const { vectors, blocks, recommended } = await makeVector({ model, pairs });
  expect([...vectors.keys()]).toEqual([0, 1, 2, 3, 4, 5]);
  expect(blocks.every(({ separability }) => separability?.auroc.n === 4)).toBe(true);
  const { block } = recommended;
  const v = vectors.get(block)!;
  const edit = {
    op: 'add',
    hook: residPost(block),
    tokens: { prompt: 'all' },
    vector: { from: 'inline', values: Array.from(v) },
  } as const;
  const { fwdHooks } = await applyIntervention(model, edit, ['A dog is red']);
  const along: number[] = [];
  for (const hooks of [[], fwdHooks])
    await model.forward('A dog is red', [
      ...hooks,
      [residPost(block), (h) => void along.push(h.at(-1).reduce((sum, x, j) => sum + x * v[j], 0))],
    ]);
  const norm = Math.hypot(...v);
  expect((along[1] - along[0]) / norm).toBeCloseTo(norm, 3);
});

it('refuses no pairs, and a pair without a difference', async () => {
  await expect(makeVector({ model, pairs: [] })).rejects.toThrow(/wanted contrast pairs/);
  await expect(makeVector({ model, pairs: [{ positive: 'red', negative: 'red' }] })).rejects.toThrow(
    /a pair must differ/,
  );
});
