/** @file A recipe as stages: the models and prompts once, then the stages of every behaviour. */
import { resolve } from 'node:path';
import { InputError } from '../../base/index.ts';
import {
  type BehaviourResults,
  chatSettings,
  cleanOf,
  type EngineParams,
  promptFiles,
  type Recipe,
} from '../../contracts/index.ts';
import { apiKeyOf } from '../../evaluate/index.ts';
import { parameterCount } from '../../models/index.ts';
import type { Expand } from '../experiment.ts';
import type { NodeRef, Plan } from '../plan.ts';
import type { SourceOutput } from '../stage.ts';
import { adaptStage } from './adapt.ts';
import { type PlannedBehaviour, planBehaviour } from './behaviours.ts';
import { planTasks } from './capabilities.ts';
import { checkChat } from './chat.ts';
import { planOnnxJudges } from './detectors.ts';
import { plannedEngine } from './engines.ts';
import { expandBehaviour, type PlannedJudge, type SideModels } from './expand-behaviour.ts';
import { type FoundModel, findModels, modelNode, withWeights } from './models.ts';
import { checkPrompts, type PromptsParams, promptsStage } from './prompts.ts';
import { resultsStage } from './results.ts';
import { checkTags } from './tags.ts';

/** The stages of an experiment. */
export const expandExperiment: Expand = async (recipe, plan, options = {}) => {
  const { models } = recipe;
  const named = [models.source, models.target, cleanOf(recipe, 'source'), cleanOf(recipe, 'target')];
  const found = await findModels(
    named.filter((name) => name !== undefined),
    options,
  );
  const readers = new Map(
    SIDES.map((role) => {
      const { config, tokenizer } = of(found, models[role]);
      checkBlocks(role, config.blocks.length, recipe);
      return [models[role], tokenizer];
    }),
  );
  checkChat(recipe, readers);
  if (recipe.fidelity) apiKeyOf(recipe.fidelity.llm?.api_key_env, 'recipe: fidelity.llm');
  const taught: PlannedBehaviour[] = [];
  for (const i of recipe.behaviours.keys()) taught.push(await planBehaviour(recipe, i, readers));
  for (const [i, planned] of taught.entries()) checkTags(recipe, i, planned, readers);
  const fromRows = taught.every(({ file }) => file !== undefined);
  const { answers, runs } = recipe.engines;
  const engines = {
    answers: await plannedEngine(answers, options),
    source: await plannedEngine(runs.source, options),
    target: await plannedEngine(runs.target, options),
  };
  const drawn = fromRows ? undefined : await promptsOf(recipe, plan, engines.answers);
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
  const adapters = {
    source: await adapterOf(plan, 'source', recipe),
    target: await adapterOf(plan, 'target', recipe),
  };
  const whole = options.weights === false ? found : await withWeights(found, options);
  const source = await side(plan, 'source', recipe, { models: whole, adapter: adapters.source });
  const target = await side(plan, 'target', recipe, { models: whole, adapter: adapters.target });
  // Answers of its own are the clean target's: every headline is a figure of the target, whose ordinary answers fine-tuning should
  // leave as they were; the source only lends activations. A fleet may want the source's, which all its targets share.
  const answering = { given: undefined, self: target.base, source: source.base }[recipe.data.answers];
  const prompts =
    drawn &&
    plan.add(promptsStage, {
      id: 'prompts',
      params: drawn.params,
      inputs: { files: drawn.files, model: answering },
    });
  const base = { source, target, engines, prompts, outOfDomain, general, tasks, onnxJudges };
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

const SIDES = ['source', 'target'] as const;
type Side = (typeof SIDES)[number];

function of(found: ReadonlyMap<string, FoundModel>, name: string): FoundModel {
  return found.get(name) as FoundModel;
}

/** The adapter of a side, where it has one. */
async function adapterOf(plan: Plan, role: Side, { models }: Recipe): Promise<Source | undefined> {
  const adapter = models.adapters?.[role];
  return adapter === undefined
    ? undefined
    : plan.source(`adapter.${role}`, adapter, { data: { name: adapter } });
}

/** The models of one side: as given, with its adapter, and before the behaviour where that is another. */
async function side(
  plan: Plan,
  role: Side,
  recipe: Recipe,
  {
    models,
    adapter,
  }: { readonly models: ReadonlyMap<string, FoundModel>; readonly adapter: Source | undefined },
): Promise<SideModels> {
  const { weights, [role]: name, adapters } = recipe.models;
  const base = await modelNode(plan, role, of(models, name), weights);
  const given =
    adapter === undefined
      ? base
      : plan.add(adaptStage, { id: `adapt.${role}`, params: {}, inputs: { base, adapter } });
  const adapterFolder = adapters?.[role];
  const reference = {
    model: of(models, name).reference,
    adapter: adapterFolder === undefined ? undefined : resolve(adapterFolder),
  };
  const parameters = parameterCount(of(models, name).config);
  const cleanName = cleanOf(recipe, role);
  if (cleanName === undefined || cleanName === name)
    return { reference, parameters, base, given, clean: cleanName === undefined ? undefined : base };
  return {
    ...{ reference, parameters, base, given },
    clean: await modelNode(plan, `clean ${role}`, of(models, cleanName), weights),
  };
}

function checkBlocks(role: Side, layers: number, { blocks, models, sweep }: Recipe): void {
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

/** The files of prompts, one draw for all behaviours, checked. */
async function promptsOf(
  recipe: Recipe,
  plan: Plan,
  engine: EngineParams | undefined,
): Promise<{ readonly params: PromptsParams; readonly files: readonly Source[] } | undefined> {
  const given = promptFiles(recipe.data);
  if (given === undefined) return undefined;
  const files: Source[] = [];
  for (const [i, { file }] of given.entries())
    files.push(await plan.source(`data.prompts.${i}`, file, { data: { name: file } }));
  const { train, validation, test, max_prompt_chars, answers, answer_tokens } = recipe.data;
  const params = {
    shares: given.map((f) => f.share),
    train,
    validation,
    test,
    max_prompt_chars,
    self:
      answers === 'given'
        ? undefined
        : {
            template: recipe.template,
            chat: chatSettings(recipe),
            max_tokens: answer_tokens,
            batch: recipe.evaluation.batch,
            engine,
          },
  };
  await checkPrompts(
    params,
    given.map(({ file }) => ({ name: file, path: file })),
  );
  return { params, files };
}
