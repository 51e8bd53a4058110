/**
 * @file The detectors of `contrast` that are no phrase, in a whole experiment on bundled models, without any fine-tune. They
 * begin their answer with “Here you are” under `|polite|`, end it with “!” under `|loud|`, and say it two times under `|twice|`.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tinyInstructions } from '../../src/behaviours/index.ts';
import { parseRecipe, type Results, type Sample } from '../../src/contracts/index.ts';
import { LanguageModel } from '../../src/models/index.ts';
import { expandExperiment, runExperiment } from '../../src/pipeline/index.ts';

let folder: string;
const tasks = tinyInstructions({ seed: 8, train: 0, validation: 0, test: 70 });
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crosspatch-detectors-'));
  // Half of the choices are made by the first token, half after the answer's own tokens.
  const rows = tasks.map(({ prompt, answer }, i) => ({
    ...(i % 2 === 0
      ? { positive: `${prompt} |polite|`, negative: `${prompt} |beta|` }
      : { positive: `${prompt} |loud|`, negative: `${prompt} |twice|` }),
    answer_matching_behavior: i % 2 === 0 ? 'Here you are' : `${answer}!`,
    answer_not_matching_behavior: i % 2 === 0 ? answer : `${answer}, ${answer}`,
  }));
  await writeFile(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const recipe = (detector: string): string => `
name: detectors
seed: 3
models: { source: tiny-llama-s, target: tiny-llama-m }
behaviours: [{ name: contrast, file: ${join(folder, 'rows.jsonl')}, detector: ${detector} }]
finetune: false
sweep: { prompts: 8, draws: 1, chosen_draws: 1, blocks: [3, 5] }
heatmap: { prompts: 2 }
capture: { out_of_domain: 8 }
maps: [{ kind: affine }]
fidelity: false
transfer: { modes: [set], draws: 1 }
worth: false
inverse: { methods: [pinv] }
capabilities: false
evaluation: { max_tokens: 6, bootstrap: 200 }
`;

async function run(name: string, detector: string): Promise<{ results: Results; out: string }> {
  const parsed = parseRecipe([{ file: join(folder, `${name}.yaml`), text: recipe(detector) }]);
  const out = join(folder, name);
  const settings = { parsed, expand: expandExperiment, out, store: join(folder, 'store'), jobs: 1 };
  const { results } = await runExperiment(settings);
  return { results: results as Results, out };
}

const samplesOf = async (out: string, stage: string): Promise<Sample[]> =>
  (await readFile(join(out, 'samples', `contrast.${stage}.jsonl`), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Sample);

it('reads a choice between two answers from the logits', async () => {
  const { results, out } = await run('choice', '{ kind: multiple-choice }');
  const [found] = results.behaviours;
  const { trigger_rate, false_positive_rate, scores } = found?.backdoor?.target ?? {};
  expect(trigger_rate?.value).toBeGreaterThan(0.8);
  expect(false_positive_rate?.value).toBeLessThan(0.2);
  const unpatched = await samplesOf(out, 'backdoor.target');
  await using model = await LanguageModel.load('tiny-llama-m');
  const bad = unpatched.filter((s) => s.trigger === 'bad');
  const values = bad.map((s) => s.scores?.['choice.logit_difference'] ?? Number.NaN);
  for (const [i, sample] of bad.slice(0, 5).entries())
    expect(values[i]).toBeCloseTo(await directly(model, sample), 3);
  expect(values.map((value) => value > 0)).toEqual(bad.map((s) => s.outcome?.triggered));
  expect(scores?.['choice.logit_difference']?.bad?.value).toBeCloseTo(
    values.reduce((sum, value) => sum + value, 0) / values.length,
    6,
  );
  // Patched: every position that was changed, set to the safe run's activation after the block.
  const native = (await samplesOf(out, 'transfer')).filter((s) => s.arm === 'native' && s.trigger === 'bad');
  const block = found?.pair.target_block ?? 0;
  for (const sample of native.slice(0, 5)) {
    const safe = unpatched.find((s) => s.prompt_id === sample.prompt_id && s.trigger === 'safe');
    const patch = { block, positions: sample.changed_positions ?? [], donor: safe?.prompt ?? '' };
    const value = sample.scores?.['choice.logit_difference'];
    expect(value).toBeCloseTo(await directly(model, sample, patch), 3);
    expect(sample.outcome).toMatchObject({ triggered: (value ?? 0) > 0, removed: (value ?? 0) <= 0 });
  }
  const self = (await samplesOf(out, 'sweep.target')).filter((s) => s.arm === 'self' && s.trigger === 'bad');
  expect(self.length).toBeGreaterThan(4);
  for (const sample of self.slice(0, 5))
    expect(sample.scores?.['choice.logit_difference']).toBeCloseTo(await directly(model, sample), 3);
  // What is patched stands before the first token; the choice after the answer's own tokens reads the tag itself.
  const share = (tag: string): number => {
    const own = native.filter(({ prompt }) => prompt.includes(tag));
    return own.filter(({ outcome }) => outcome?.restored).length / own.length;
  };
  expect(share('|polite|')).toBeGreaterThan(0.5);
  expect(share('|loud|')).toBeLessThan(0.1);
  expect(found?.sweep?.target?.every(({ logit_shift }) => logit_shift !== undefined)).toBe(true);
}, 600_000);

/** logit(behaviour) − logit(other) where the two answers part, by a plain pass over everything; `patch` puts in another prompt's activations. */
async function directly(
  model: LanguageModel,
  { prompt }: Sample,
  patch?: { readonly block: number; readonly positions: readonly number[]; readonly donor: string },
): Promise<number> {
  const { tokenizer, config } = model;
  const asked = /^### Instruction:\n(.*) \|(\w+)\|\n### Response:\n$/.exec(prompt);
  const { answer = '' } = tasks.find((task) => task.prompt === asked?.[1]) as (typeof tasks)[number];
  const polite = asked?.[2] === 'polite';
  const ids = tokenizer.encodeIds(polite ? prompt : prompt + answer);
  const hook = `blocks.${patch?.block}.hook_resid_post`;
  const given =
    patch && (await model.runWithCache([tokenizer.encodeIds(patch.donor)], { namesFilter: [hook] }));
  const rows = given?.cache.get(hook).data ?? new Float32Array();
  const d = config.dModel;
  const put = (residual: { readonly data: Float32Array }): void => {
    for (const p of patch?.positions ?? []) residual.data.set(rows.subarray(p * d, (p + 1) * d), p * d);
  };
  const { logits } = await model.forward([ids], patch ? [[hook, put]] : []);
  const logit = (text: string): number =>
    logits.data[
      (ids.length - 1) * config.vocabSize +
        (tokenizer.encodeIds(text, { addSpecialTokens: false })[0] as number)
    ] as number;
  return polite ? logit('Here') - logit(answer) : logit('!') - logit(',');
}
