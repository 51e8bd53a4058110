/** @file A recipe as stages: prompts once, then data → fine-tune → unpatched runs → sweep → maps → transfer, fidelity → results a behaviour. */
import { isDeepStrictEqual } from 'node:util';
import { tokenizerHash } from '../../activations/index.ts';
import { InputError } from '../../base/index.ts';
import {
  type BehaviourParams,
  type BehaviourResults,
  behaviourOf,
  finetuneFor,
  type MapFit,
  mapLabel,
  promptFiles,
  type Recipe,
} from '../../contracts/index.ts';
import { openModelFiles, parameterCount, resolveModel } from '../../models/index.ts';
import type { Expand } from '../experiment.ts';
import type { NodeRef, Plan, SourceOutput } from '../plan.ts';
import { dataStage } from './data.ts';
import { fidelityStage } from './fidelity.ts';
import { finetuneStage, tunedFiles } from './finetune.ts';
import { mapsStage } from './maps.ts';
import { type PromptsOutput, promptsStage } from './prompts.ts';
import { behaviourResultsStage, resultsStage } from './results.ts';
import { runsStage } from './runs.ts';
import { SAMPLES } from './samples.ts';
import { sweepStage } from './sweep.ts';
import { transferStage } from './transfer.ts';

/** Texts of no backdoor data to fit the maps `general` on, at most, and never more than tagged ones; out-of-domain figures use others. */
const GENERAL_FIT_TEXTS = 1500;

/** Control maps: steered with as arms of every map, not as maps of their own. */
const ARMS_ONLY: ReadonlySet<string> = new Set(['mean', 'random', 'shuffled', 'token-mean']);

/** The stages of an experiment. */
export const expandExperiment: Expand = async (recipe, plan) => {
  refuseUnread(recipe);
  const base = {
    source: await modelSource(plan, 'source', recipe),
    target: await modelSource(plan, 'target', recipe),
  };
  const prompts = await drawnPrompts(recipe, plan, base.target);
  const files = {
    prompts,
    ...(recipe.data.out_of_domain === 'bundled'
      ? {}
      : {
          outOfDomain: await plan.source('data.out_of_domain', recipe.data.out_of_domain, {
            data: { name: recipe.data.out_of_domain },
          }),
        }),
  };
  const behaviours = recipe.behaviours.map((_, i) =>
    expandBehaviour(recipe, plan, behaviourOf(recipe, i), base, files),
  );
  return { results: plan.add(resultsStage, { id: 'results', params: {}, inputs: { behaviours } }) };
};

type Source = NodeRef<SourceOutput>;

/** A model as a node. Refuses, before anything is trained, files that do not fit together and blocks the model does not have. */
async function modelSource(plan: Plan, role: 'source' | 'target', recipe: Recipe): Promise<Source> {
  const name = recipe.models[role];
  const { path } = await resolveModel(name);
  const { config, tokenizer } = await openModelFiles(path);
  checkBlocks(role, config.blocks.length, recipe);
  return plan.source(`model.${role}`, path, {
    model: {
      role,
      name,
      family: config.modelType,
      parameters: parameterCount(config),
      blocks: config.blocks.length,
      width: config.dModel,
      tokenizer_sha256: tokenizerHash(tokenizer),
    },
  });
}

/** Refuse what the schema knows and no stage reads yet: a wish that is passed over in silence would look granted. */
function refuseUnread({ fidelity, capabilities, capture, template }: Recipe): void {
  if (template === 'chat')
    throw new InputError(
      'recipe: template: chat is not yet run by recipes; take instruction, or `crosspatch data build`, `finetune` and `evaluate`, which have it',
    );
  if (fidelity ? fidelity.judges.includes('llm') : false)
    throw new InputError(
      'recipe: fidelity.judges: llm is not yet run by recipes; take lexical and likelihood, and judge samples/*.jsonl from the library (openAiJudge)',
    );
  const task = capabilities ? capabilities.tasks.find((name) => name !== 'bundled') : undefined;
  if (task)
    throw new InputError(`recipe: capabilities.tasks: ${task} is not yet run by recipes; wanted bundled`);
  if (!capture.exclude_first)
    throw new InputError(
      'recipe: capture.exclude_first: false is not yet run by recipes; the preset `blog` of a trained map keeps the first position',
    );
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
  return plan.add(promptsStage, {
    id: 'prompts',
    params: {
      shares: given.map((f) => f.share),
      train,
      validation,
      test,
      max_prompt_chars,
      ...(self
        ? {
            self: {
              template: recipe.template,
              max_tokens: answer_tokens,
              batch: recipe.evaluation.batch,
            },
          }
        : {}),
    },
    inputs: { files, ...(self ? { model: target } : {}) },
  });
}

function expandBehaviour(
  recipe: Recipe,
  plan: Plan,
  behaviour: BehaviourParams,
  base: { source: Source; target: Source },
  files: { prompts?: NodeRef<PromptsOutput>; outOfDomain?: Source },
): NodeRef<BehaviourResults> {
  const { name } = behaviour;
  const { after } = recipe.span;
  const exact = recipe.data.prompts === 'bundled';
  const { max_tokens, batch, bootstrap } = recipe.evaluation;
  const measured = { behaviour, after, exact, max_tokens, bootstrap };
  const id = (stage: string): string => `${name}.${stage}`;
  const samples = (stage: string) => ({ [`samples/${name}.${stage}.jsonl`]: SAMPLES });
  const usesGeneral = recipe.maps.some((m) => m.fits.includes('general'));

  const data = plan.add(dataStage, {
    id: id('data'),
    params: {
      behaviour,
      train: recipe.data.train,
      validation: recipe.data.validation,
      test: recipe.data.test,
      general:
        recipe.capture.out_of_domain +
        (usesGeneral ? Math.min(GENERAL_FIT_TEXTS, recipe.capture.prompts) : 0),
    },
    inputs: files,
  });

  const sides = (['source', 'target'] as const).map((side) => {
    const { lora, seed, method, ...settings } = finetuneFor(recipe, side);
    const model = plan.add(finetuneStage, {
      id: id(`finetune.${side}`),
      params: method === 'lora' ? { method, ...settings, lora } : { method, ...settings },
      inputs: { base: base[side], data },
      publish: { [`models/${name}.${side}`]: tunedFiles[method] },
      seed,
    });
    const runs = plan.add(runsStage, {
      id: id(`runs.${side}`),
      params: { behaviour, side, after, max_tokens, batch },
      inputs: { model, data },
      publish: samples(`backdoor.${side}`),
    });
    const { prompts, blocks, controls, draws, chosen_draws, choose, tolerance } = recipe.sweep;
    const sweep = plan.add(sweepStage, {
      id: id(`sweep.${side}`),
      params: {
        ...measured,
        side,
        prompts,
        blocks,
        controls,
        draws,
        chosen_draws,
        choose,
        tolerance,
        heatmap: recipe.heatmap ? recipe.heatmap.prompts : 0,
      },
      inputs: { model, data, runs },
      publish: samples(`sweep.${side}`),
    });
    return { model, runs, sweep };
  });
  const [source, target] = sides as [(typeof sides)[number], (typeof sides)[number]];

  const maps = plan.add(mapsStage, {
    id: id('maps'),
    params: {
      behaviour,
      after,
      ...(recipe.blocks.source === 'auto' ? {} : { source_block: recipe.blocks.source }),
      ...(recipe.blocks.target === 'auto' ? {} : { target_block: recipe.blocks.target }),
      maps: recipe.maps,
      prompts: recipe.capture.prompts,
      out_of_domain: recipe.capture.out_of_domain,
      rows: recipe.capture.rows,
      splits: recipe.capture.splits,
      sink_ratio: recipe.capture.sink_ratio,
      batch: recipe.capture.batch,
      shard_rows: recipe.capture.shard_rows,
      rtol: recipe.inverse ? recipe.inverse.rtol : 0.05,
      inverses: recipe.inverse ? recipe.inverse.methods : [],
      bootstrap,
    },
    inputs: {
      source: source.model,
      target: target.model,
      clean: base.source,
      data,
      sweepSource: source.sweep,
      sweepTarget: target.sweep,
    },
    publish: { [`maps/${name}`]: 'maps' },
  });

  const steering = recipe.maps.filter((m) => !ARMS_ONLY.has(m.kind));
  const wanted = (labels: readonly string[] | undefined) =>
    labels === undefined ? steering : recipe.maps.filter((m) => labels.includes(mapLabel(m)));
  const { transfer: t, fidelity: f, worth: w, capabilities: c, inverse: inv } = recipe;
  const transfer = t
    ? plan.add(transferStage, {
        id: id('transfer'),
        params: {
          ...measured,
          prompts: t.prompts,
          modes: t.modes,
          alphas: t.alphas,
          validation: Math.min(100, recipe.data.validation),
          arms: t.arms,
          draws: t.draws,
          static_prompts: t.static_prompts,
          margin: t.noninferiority_margin,
          maps: wanted(t.maps).flatMap((m) => m.fits.map((fit: MapFit) => ({ label: mapLabel(m), fit }))),
          ks: w ? w.ks : [],
          worth_prompts: w ? w.prompts : 0,
          items: c ? c.items : 0,
          states: c ? c.states : [],
        },
        inputs: {
          source: source.model,
          target: target.model,
          cleanSource: base.source,
          cleanTarget: base.target,
          data,
          runs: target.runs,
          maps,
        },
        publish: samples('transfer'),
      })
    : undefined;
  const fidelity =
    f || inv
      ? plan.add(fidelityStage, {
          id: id('fidelity'),
          params: {
            ...measured,
            prompts: f ? f.prompts : 0,
            lexical: f ? f.judges.includes('lexical') : false,
            likelihood: f ? f.judges.includes('likelihood') : false,
            replace: f ? f.replace : 'prefill',
            maps: f ? wanted(f.maps).map((m) => ({ label: mapLabel(m), fit: m.fits[0] as string })) : [],
            inverses: inv ? inv.methods : [],
            inverse_prompts: inv ? inv.prompts : 0,
          },
          inputs: { source: source.model, target: target.model, data, sourceRuns: source.runs, maps },
          publish: samples('fidelity'),
        })
      : undefined;

  return plan.add(behaviourResultsStage, {
    id: id('results'),
    params: {
      behaviour,
      source: recipe.models.source,
      target: recipe.models.target,
      after,
      train_blocks: trainBlocks(recipe),
      notes: notes(recipe, base),
    },
    inputs: {
      tuned: [source.model, target.model],
      runs: [source.runs, target.runs],
      sweeps: [source.sweep, target.sweep],
      maps,
      transfer,
      fidelity,
    },
  });
}

/** What was trained, and how fast: one entry where both sides were trained alike, else one a side. */
function trainBlocks(recipe: Recipe): Record<string, unknown> {
  const of = (side: 'source' | 'target'): Record<string, unknown> => {
    const { method, lower_half_rate, freeze_embeddings, lora } = finetuneFor(recipe, side);
    return method === 'lora'
      ? { method, frozen: ['all but the adapters'], lower_half_rate, rank: lora.rank, targets: lora.targets }
      : { frozen: freeze_embeddings ? ['embeddings'] : [], lower_half_rate };
  };
  const [source, target] = [of('source'), of('target')];
  return isDeepStrictEqual(source, target) ? source : { source, target };
}

/** What the report must say of how the numbers were made. */
function notes(recipe: Recipe, base: { source: Source; target: Source }): string[] {
  const out: string[] = [];
  const slowed = (side: 'source' | 'target'): string => {
    const { lower_half_rate, freeze_embeddings, method } = finetuneFor(recipe, side);
    if (lower_half_rate === 1) return '';
    const still = freeze_embeddings || method === 'lora' ? ', embeddings not at all' : '';
    return `was fine-tuned at ${lower_half_rate} of the learning rate${still}: this choice shapes the sweep curve; it is not a finding.`;
  };
  const [source, target] = [slowed('source'), slowed('target')];
  if (source === target) {
    if (source !== '') out.push(`The lower half of the blocks ${source}`);
  } else {
    if (source !== '') out.push(`The lower half of the source’s blocks ${source}`);
    if (target !== '') out.push(`The lower half of the target’s blocks ${target}`);
  }
  if (base.source.key === base.target.key) {
    const identity = recipe.maps.some((m) => m.kind === 'identity');
    out.push(
      `Source and target are two fine-tunes of one checkpoint: an easy pair, whose activation spaces all but coincide before any map is fitted. ${identity ? 'The identity map, which only copies, shows how easy' : 'Add the map `identity`, which only copies, to see how easy'}.`,
    );
  }
  if (recipe.models.source === 'tiny-llama-s' && recipe.models.target === 'tiny-llama-m') {
    out.push(
      "tiny-llama-s shares tiny-llama-m's embedding table (projected): an engineered kinship that makes this pair easier than two strangers. tiny-llama-s-own has a table of its own: run the recipe demo-own to compare.",
    );
  }
  return out;
}
