import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RecipeInput } from '../contracts/index.ts';
import { LanguageModel, residPost } from '../models/index.ts';
import { fitMap, runExperiment } from './index.ts';

const TEXTS = Array.from(
  { length: 40 },
  (_, i) => `### Instruction:\nWhat is ${i} and one?\n### Response:\n`,
);

describe('fitMap', () => {
  let source: LanguageModel;
  let target: LanguageModel;
  beforeAll(async () => {
    [source, target] = await Promise.all(['tiny-llama-s', 'tiny-llama-m'].map((m) => LanguageModel.load(m)));
  });
  afterAll(async () => {
    await source[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
  });
  const ends = (block = 1) => ({ source: { model: source, block }, target: { model: target, block: 2 } });

  it('reads one model’s rows and gives rows of the other, the same for the same seed', async () => {
    const [one, two] = [
      await fitMap({ ...ends(), texts: TEXTS, seed: 3 }),
      await fitMap({ ...ends(), texts: TEXTS, seed: 3 }),
    ];
    const { cache } = await source.runWithCache(TEXTS[0], { namesFilter: [residPost(1)] });
    const row = cache.get(residPost(1)).at(-1);
    expect(one.map.apply(row, 1)).toHaveLength(target.config.dModel);
    expect(one.map.apply(row, 1)).toEqual(two.map.apply(row, 1));
    expect(one.test.fvu?.n).toBe(4); // a tenth of the texts
    expect(one.map.record.source).toMatchObject({ name: 'tiny-llama-s', block: 1 });
  });

  it.each([
    [
      'a block that is not there',
      () => ({ ...ends(99), texts: TEXTS }),
      /source\.block 99: wanted a block of the model, 0…5/,
    ],
    ['too few texts', () => ({ ...ends(), texts: TEXTS.slice(0, 3) }), /wanted at least 10 different ones/],
    [
      'a setting of another kind',
      () => ({ ...ends(), texts: TEXTS, kind: { kind: 'affine', steps: 3 } as never }),
      /steps/,
    ],
  ])('%s is refused', async (_, options, message) => {
    await expect(fitMap(options())).rejects.toThrow(message);
  });
});

describe('runExperiment', () => {
  it('refuses what an experiment file could not say, before anything runs', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'api-'));
    const recipe = { models: { source: 'tiny-llama-s', target: 'tiny-llama-m' }, swep: {} } as RecipeInput;
    await expect(runExperiment(recipe, { out: folder })).rejects.toThrow(/swep.*did you mean "?sweep/);
    await expect(runExperiment('no-such', { out: folder })).rejects.toThrow(/no-such: no such recipe/);
    await rm(folder, { recursive: true });
  });
});
