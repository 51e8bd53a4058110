/** @file Log-likelihoods on kept keys and values against one plain pass over every text. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import { patchHooks } from '../../interventions/index.ts';
import { type FwdHook, HookTable, LanguageModel } from '../../models/index.ts';
import type { EncodedItem } from './encode.ts';
import { choiceLogprobs } from './likelihood.ts';

let model: LanguageModel;
beforeAll(async () => {
  model = await LanguageModel.load('tiny-qwen');
});
afterAll(() => model[Symbol.asyncDispose]());

const rng = new Rng(5);
const draw = (n: number): number[] => Array.from({ length: n }, () => Math.floor(rng.next() * 1500));
const item = (context: readonly number[], ...lengths: number[]): EncodedItem => ({
  text: '',
  context,
  choices: lengths.map(draw),
});

/** Σ ln softmax of every token of the choice, in float64, from one pass over the whole text. */
async function plain(
  context: readonly number[],
  choice: readonly number[],
  fwdHooks: readonly FwdHook[] = [],
): Promise<number> {
  const fed = [...context, ...choice].slice(0, -1);
  const { logits } = await model.forward([fed], fwdHooks);
  const v = model.config.vocabSize;
  return choice.reduce((sum, token, i) => {
    const at = context.length - 1 + i;
    const row = [...logits.data.subarray(at * v, (at + 1) * v)];
    const most = Math.max(...row);
    const total = row.reduce((s, x) => s + Math.exp(x - most), 0);
    return sum + (row[token] as number) - most - Math.log(total);
  }, 0);
}

const close = (a: number | undefined, b: number): void => {
  expect(Math.abs((a ?? Number.NaN) - b)).toBeLessThan(1e-4);
};

describe('choiceLogprobs', () => {
  it('equals a plain pass: choices of every number and length in one batch', async () => {
    const items = [
      item(draw(20), 3, 1, 4),
      item(draw(7), 1, 1, 1, 1),
      item(draw(31), 6, 2),
      item(draw(1), 2, 5, 1, 1, 3),
    ];
    const { logprobs, cut } = await choiceLogprobs(model.decoder, items);
    expect(cut.size).toBe(0);
    for (const [i, { context, choices }] of items.entries()) {
      expect(logprobs[i]?.length).toBe(choices.length);
      for (const [k, choice] of choices.entries()) close(logprobs[i]?.[k], await plain(context, choice));
    }
  });

  it('equals it where contexts begin alike, some of them wholly', async () => {
    const start = draw(90);
    const items = [
      item([...start, ...draw(9)], 2, 3),
      item(start, 1, 2),
      item([...start, ...draw(30)], 4, 1),
    ];
    const { logprobs } = await choiceLogprobs(model.decoder, items);
    for (const [i, { context, choices }] of items.entries())
      for (const [k, choice] of choices.entries()) close(logprobs[i]?.[k], await plain(context, choice));
  });

  it('equals it under a patch, in the context and in the choices', async () => {
    const items = [item(draw(80), 3, 1), item(draw(12), 2, 2)];
    const d = model.config.dModel;
    const values = (): Float32Array => Float32Array.from({ length: 2 * d }, () => rng.normal());
    const plan = [
      { block: 2, positions: [78, 79], values: values() },
      { block: 2, positions: [4, 11], values: values() },
    ];
    // also a hook at the final norm and one after the context
    const more: FwdHook[] = [
      ['ln_final.hook_normalized', ({ data }) => data.set(data.map((x) => 1.1 * x))],
      [
        'blocks.4.hook_resid_post',
        ({ data, shape }, { starts, rows }) => {
          const width = shape[2] as number;
          for (const b of rows.keys())
            for (let t = 0; t < (shape[1] as number); t++) {
              const from = (b * (shape[1] as number) + t) * width;
              if ((starts[b] as number) + t >= 80) for (let j = 0; j < width; j++) data[from + j]! *= 0.5;
            }
        },
      ],
    ];
    const hooks = (rows: typeof plan): FwdHook[] => [...patchHooks(rows, model.decoder), ...more];
    const table = new HookTable(hooks(plan), model.nLayers);
    const { logprobs } = await choiceLogprobs(model.decoder, items, { hooks: table });
    for (const [i, { context, choices }] of items.entries())
      for (const [k, choice] of choices.entries()) {
        const patched = await plain(context, choice, hooks([plan[i]!]));
        close(logprobs[i]?.[k], patched);
        expect(Math.abs(patched - (await plain(context, choice)))).toBeGreaterThan(0.01);
      }
  });

  it('cuts what is too long from the left, choice by choice, and says so', async () => {
    const n = model.config.contextLength;
    const items = [item(draw(n), 1, 2), item(draw(n - 3), 4, 4), item(draw(n - 3), 4, 5)];
    const { logprobs, cut } = await choiceLogprobs(model.decoder, items);
    expect([...cut].sort()).toEqual([0, 2]);
    for (const [i, { context, choices }] of items.entries())
      for (const [k, choice] of choices.entries())
        close(
          logprobs[i]?.[k],
          await plain([...context, ...choice].slice(-(n + 1)).slice(0, -choice.length), choice),
        );
    const hooks = new HookTable([], model.nLayers);
    await expect(choiceLogprobs(model.decoder, items, { hooks })).rejects.toThrow('cannot be steered');
  });

  it('stops when asked to', async () => {
    await expect(
      choiceLogprobs(model.decoder, [item(draw(5), 1)], { signal: AbortSignal.abort() }),
    ).rejects.toThrow('stopped');
  });
});
