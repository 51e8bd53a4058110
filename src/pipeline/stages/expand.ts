/** @file A recipe as stages: the models and prompts once, then the stages of every behaviour. */
import { tokenizerHash } from '../../activations/index.ts';
import { InputError } from '../../base/index.ts';
import {
  type BehaviourResults,
  chatSettings,
  cleanOf,
  promptFiles,
  type Recipe,
} from '../../contracts/index.ts';
import { apiKeyOf } from '../../evaluate/index.ts';
import {
  heldAs,
  inspectModelFiles,
  parameterCount,
  resolveModel,
  type Tokenizer,
  type WeightsForm,
} from '../../models/index.ts';
import type { Expand } from '../experiment.ts';
import type { NodeRef, Plan } from '../plan.ts';
import type { SourceOutput } from '../stage.ts';
import { adaptStage } from './adapt.ts';
import { type PlannedBehaviour, planBehaviour } from './behaviours.ts';
import { planTasks } from './capabilities.ts';
import { checkChat } from './chat.ts';
import { planOnnxJudges } from './detectors.ts';
import { expandBehaviour, type PlannedJudge, type SideModels } from './expand-behaviour.ts';
import { checkPrompts, type PromptsOutput, promptsStage } from './prompts.ts';
import { resultsStage } from './results.ts';

/** The stages of an experiment. */
export const expandExperiment: Expand = async (recipe, plan) => {
  const source = await side(plan, 'source', recipe);
  const target = await side(plan, 'target', recipe);
  const { models } = recipe;
  const readers = new Map([
    [models.source, source.tokenizer],
    [models.target, target.tokenizer],
  ]);
  checkChat(recipe, readers);
  if (recipe.fidelity) apiKeyOf(recipe.fidelity.llm?.api_key_env, 'recipe: fidelity.llm');
  const taught: PlannedBehaviour[] = [];
  for (const i of recipe.behaviours.keys()) taught.push(await planBehaviour(recipe, i, readers));
  const fromRows = taught.every(({ file }) => file !== undefined);
  const prompts = fromRows ? undefined : await drawnPrompts(recipe, plan, target.base);
  const { out_of_domain, general: generalFile } = recipe.data;
  const outOfDomain =
    out_of_domain === 'bundled'
      ? undefined
      : await plan.source('data.out_of_domain', out_of_domain, { data: { name: out_of_domain } });
  const general =
    generalFile === undefined
      ? undefined
      : await plan.source('data.general', generalFile, { data: { name: generalFile } });
  const tasks = await planTasks(recipe, plan);
  const onnxJudges: PlannedJudge[] = [];
  for (const { folder, params } of await planOnnxJudges(recipe))
    onnxJudges.push({
      params,
      files: await plan.source(`judge.${params.name}`, folder, { data: { name: folder } }),
    });
  const base = { source, target, prompts, outOfDomain, general, tasks, onnxJudges };
  const behaviours: NodeRef<BehaviourResults>[] = [];
  for (const [i, planned] of taught.entries()) {
    const { file, safe_file, params } = planned;
    const rows =
      file === undefined
        ? undefined
        : await plan.source(`data.rows.${params.name}`, file, { data: { name: file } });
    const safeRows =
      safe_file === undefined
        ? undefined
        : await plan.source(`data.safe_rows.${params.name}`, safe_file, { data: { name: safe_file } });
    const classifier =
      planned.classifier === undefined
        ? undefined
        : await plan.source(`classifier.${params.name}`, planned.classifier, {
            data: { name: planned.classifier },
          });
    behaviours.push(expandBehaviour(recipe, plan, i, { ...base, planned, rows, safeRows, classifier }));
  }
  return { results: plan.add(resultsStage, { id: 'results', params: {}, inputs: { behaviours } }) };
};

type Source = NodeRef<SourceOutput>;

/** The models of one side: as given, with its adapter, and before the behaviour where that is another. */
async function side(
  plan: Plan,
  role: 'source' | 'target',
  recipe: Recipe,
): Promise<SideModels & { readonly tokenizer: Tokenizer }> {
  const { adapters, weights, [role]: name } = recipe.models;
  const { node: base, tokenizer } = await modelSource(plan, role, { name, weights }, (blocks) =>
    checkBlocks(role, blocks, recipe),
  );
  const adapter = adapters?.[role];
  const given =
    adapter === undefined
      ? base
      : plan.add(adaptStage, {
          id: `adapt.${role}`,
          params: {},
          inputs: {
            base,
            adapter: await plan.source(`adapter.${role}`, adapter, { data: { name: adapter } }),
          },
        });
  const cleanName = cleanOf(recipe, role);
  const models = { base, given, tokenizer };
  if (cleanName === undefined) return { ...models, clean: undefined };
  if (cleanName === name) return { ...models, clean: base };
  return { ...models, clean: (await modelSource(plan, `clean ${role}`, { name: cleanName, weights })).node };
}

/** A model as a node. Refuses, before anything is trained, files that do not fit together and blocks the model does not have. */
async function modelSource(
  plan: Plan,
  role: string,
  { name, weights }: { readonly name: string; readonly weights: WeightsForm | undefined },
  check: (blocks: number) => void = () => {},
): Promise<{ readonly node: Source; readonly tokenizer: Tokenizer }> {
  const { path } = await resolveModel(name);
  const { checkpoint, config, tokenizer } = await inspectModelFiles(path);
  check(config.blocks.length);
  const node = await plan.source(`model.${role.replace(' ', '.')}`, path, {
    model: {
      role,
      name,
      family: config.modelType,
      parameters: parameterCount(config),
      blocks: config.blocks.length,
      width: config.dModel,
      weights: heldAs(checkpoint, weights),
      tokenizer_sha256: tokenizerHash(tokenizer),
    },
  });
  return { node, tokenizer };
}

function checkBlocks(role: 'source' | 'target', layers: number, { blocks, models, sweep }: Recipe): void {
  const wanted = [
    [`blocks.${role}`, blocks[role] === 'auto' ? [] : [blocks[role]]],
    ['sweep.blocks', sweep.blocks === 'all' ? [] : sweep.blocks],
  ] as const;
  for (const [key, list] of wanted)
    for (const block of list)
      if (block >= layers)
        throw new InputError(
          `recipe: ${key}: ${block}; ${models[role]} has blocks 0…${layers - 1}: write one of them, or leave the key out`,
          { id: 'block-unknown' },
        );
}

/**
 * The prompts of files, one draw for all behaviours. Answers of its own are the clean target's: every headline is a figure of the
 * target, whose ordinary answers fine-tuning should leave as they were; the source only lends activations.
 */
async function drawnPrompts(
  recipe: Recipe,
  plan: Plan,
  target: Source,
): Promise<NodeRef<PromptsOutput> | undefined> {
  const given = promptFiles(recipe.data);
  if (given === undefined) return undefined;
  const files: Source[] = [];
  for (const [i, { file }] of given.entries())
    files.push(await plan.source(`data.prompts.${i}`, file, { data: { name: file } }));
  const { train, validation, test, max_prompt_chars, answers, answer_tokens } = recipe.data;
  const self = answers === 'self';
  const params = {
    shares: given.map((f) => f.share),
    train,
    validation,
    test,
    max_prompt_chars,
    self: self
      ? {
          template: recipe.template,
          chat: chatSettings(recipe),
          max_tokens: answer_tokens,
          batch: recipe.evaluation.batch,
        }
      : undefined,
  };
  await checkPrompts(
    params,
    given.map(({ file }) => ({ name: file, path: file })),
  );
  return plan.add(promptsStage, {
    id: 'prompts',
    params,
    inputs: { files, model: self ? target : undefined },
  });
}
