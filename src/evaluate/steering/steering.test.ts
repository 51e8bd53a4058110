import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rng } from '../../base/index.ts';
import { parseIntervention } from '../../contracts/index.ts';
import {
  applyIntervention,
  atStrength,
  captureResiduals,
  measureEffect,
  norm,
  valuesOf,
  withRandomVectors,
} from '../../interventions/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { templatedPrompt } from '../subject/templated.ts';
import { dot } from '../vector.ts';
import { type SteerQuestion, type SteerSite, steerEdit } from './question.ts';
import { type SteerEvent, steering } from './steering.ts';

const SITE: SteerSite = { block: 1, alpha: 2, place: 'all', text: '', generated: true };

describe('steering', () => {
  let model: LanguageModel;
  let question: SteerQuestion;
  const events: SteerEvent[] = [];
  beforeAll(async () => {
    model = await LanguageModel.load('tiny-llama-s');
    const v = Float32Array.from({ length: model.config.dModel }, (_, i) => Math.sin(i + 1));
    question = {
      prompt: templatedPrompt(model.tokenizer, 'What is the capital of France?', { template: 'instruction' }),
      document: parseIntervention({ interventions: [steerEdit(v, SITE)] }),
      strengths: [0.5, 0, 2, -1],
      seeds: [4, 9],
      temperature: 0.9,
      maxTokens: 9,
      lenses: [0],
    };
    for await (const event of steering(model, question)) events.push(event);
  });
  afterAll(() => model[Symbol.asyncDispose]());

  const answer = (arm: string, strength: number, sample: number) =>
    events
      .flatMap((e) =>
        e.type === 'token' && e.arm === arm && e.strength === strength && e.sample === sample ? [e.text] : [],
      )
      .join('');

  it('writes what generate writes with the document at that strength, greedy and with its seed', async () => {
    for (const strength of [0.5, 2, -1])
      for (const [sample, options] of [
        [0, {}],
        [1, { temperature: 0.9, seed: 4 }],
        [2, { temperature: 0.9, seed: 9 }],
      ] as const) {
        const applied = await applyIntervention(model, atStrength(question.document, strength), [
          question.prompt,
        ]);
        const alone = await model.generate([...question.prompt.ids], {
          fwdHooks: applied.fwdHooks,
          maxNewTokens: 9,
          ...options,
        });
        expect(answer('vector', strength, sample), `${strength} ${sample}`).toBe(alone.text);
      }
    const plain = await model.generate([...question.prompt.ids], { maxNewTokens: 9 });
    expect(answer('none', 0, 0)).toBe(plain.text);
    const drawn = await model.generate([...question.prompt.ids], {
      maxNewTokens: 9,
      temperature: 0.9,
      seed: 9,
    });
    expect(answer('none', 0, 2)).toBe(drawn.text);
  });

  it('proves what every arm did, as measureEffect does; random directions are as long', async () => {
    const proofs = events.filter((e) => e.type === 'proof');
    expect(proofs.map(({ arm, strength }) => `${arm} ${strength}`).sort()).toEqual(
      [0.5, 2, -1].flatMap((s) => [`random ${s}`, `vector ${s}`]).sort(),
    );
    for (const { arm, strength, effects, kl_div } of proofs) {
      expect(effects[0]?.hook).toBe('blocks.1.hook_resid_post');
      expect(effects[0]?.positions).not.toContain(0);
      expect(effects[0]?.relative_change).toBeGreaterThan(0);
      if (arm !== 'vector') continue;
      const [[alone] = []] = await measureEffect(model, atStrength(question.document, strength), [
        question.prompt,
      ]);
      expect(kl_div).toBeCloseTo(alone?.kl_div ?? -1, 5);
    }
    const own = valuesOf(question.document.interventions[0]!, 'x');
    const random = withRandomVectors(question.document, new Rng(3)).interventions[0]!;
    expect(norm(valuesOf(random, 'x'))).toBeCloseTo(norm(own), 4);
  });

  it('measures tokens along the vector before it is added, of prompt and answer', async () => {
    const along = events.find((e) => e.type === 'along')?.along[0] ?? [];
    const { ids } = question.prompt;
    expect(along).toHaveLength(ids.length);
    const [[rows = new Float32Array()] = []] = await captureResiduals(
      model.decoder,
      [{ ids, positions: ids.map((_, t) => t) }],
      [1],
    );
    const d = model.config.dModel;
    const v = Float32Array.from(valuesOf(question.document.interventions[0]!, 'x'));
    for (const t of [1, ids.length - 1])
      expect(along[t]).toBeCloseTo(dot(rows.subarray(t * d, (t + 1) * d), v) / dot(v, v), 2);
    const end = events.find((e) => e.type === 'end' && e.arm === 'vector' && e.strength === 2);
    const written = events.filter(
      (e) => e.type === 'token' && e.arm === 'vector' && e.strength === 2 && e.sample === 0,
    );
    expect(end?.type === 'end' && end.along[0]?.length).toBe(written.length);
  });

  it('refuses a vector of another width, a text that is not there, no strength, and an op without one', async () => {
    const ask = async (change: Partial<SteerQuestion>) => {
      for await (const _ of steering(model, { ...question, ...change })) break;
    };
    const edit = (values: number[], site: Partial<SteerSite> = {}) => ({
      document: parseIntervention({ interventions: [steerEdit(values, { ...SITE, ...site })] }),
    });
    await expect(ask(edit([1, 2]))).rejects.toThrow(/2 numbers does not fit a model of width/);
    const v = Array.from({ length: model.config.dModel }, () => 1);
    await expect(ask(edit(v, { place: 'text', text: 'nowhere' }))).rejects.toThrow(/"nowhere"/);
    await expect(ask(edit(v, { block: 99 }))).rejects.toThrow(/blocks 0…/);
    await expect(ask({ strengths: [0] })).rejects.toThrow(/at least one strength besides 0/);
    const set = { ...edit(v).document.interventions[0], op: 'set' };
    await expect(ask({ document: parseIntervention({ interventions: [set] }) })).rejects.toThrow(
      /op set has no strength/,
    );
  });
});
