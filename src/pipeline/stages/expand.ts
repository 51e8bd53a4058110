/** @file A recipe as stages: data → fine-tune → unpatched runs → sweep → maps → transfer, fidelity → results, once a behaviour. */
import { InputError } from '../../base/index.ts';
import {
  type BehaviourResults,
  finetuneFor,
  type MapFit,
  mapLabel,
  type Recipe,
} from '../../contracts/index.ts';
import { openModelFiles, resolveModel } from '../../models/index.ts';
import type { Expand } from '../experiment.ts';
import type { NodeRef, Plan, SourceOutput } from '../plan.ts';
import { type BehaviourParams, behaviourOf } from '../steps/behaviourParams.ts';
import { dataStage } from './data.ts';
import { fidelityStage } from './fidelity.ts';
import { finetuneStage } from './finetune.ts';
import { mapsStage } from './maps.ts';
import { behaviourResultsStage, resultsStage } from './results.ts';
import { runsStage } from './runs.ts';
import { SAMPLES } from './samples.ts';
import { sweepStage } from './sweep.ts';
import { transferStage } from './transfer.ts';

/** Text of no backdoor data to fit the maps `general` on, beyond what out-of-domain figures use. */
const GENERAL_FIT_TEXTS = 1500;

/** Control maps: steered with as arms of every map, not as maps of their own. */
const ARMS_ONLY: ReadonlySet<string> = new Set(['mean', 'random', 'shuffled', 'token-mean']);

/** The stages of an experiment. */
export const expandExperiment: Expand = async (recipe, plan) => {
  refuseUnread(recipe);
  await checkModel('source', recipe);
  await checkModel('target', recipe);
  const base = {
    source: await modelSource(plan, 'source', recipe.models.source),
    target: await modelSource(plan, 'target', recipe.models.target),
  };
  const files = {
    ...(recipe.data.prompts === 'bundled'
      ? {}
      : {
          prompts: await plan.source('data.prompts', recipe.data.prompts, {
            data: { name: recipe.data.prompts },
          }),
        }),
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

async function modelSource(plan: Plan, role: 'source' | 'target', name: string): Promise<Source> {
  const { path } = await resolveModel(name);
  return plan.source(`model.${role}`, path, { model: { role, name } });
}

/** Refuse what the schema knows and no stage reads yet: a wish that is passed over in silence would look granted. */
function refuseUnread({ fidelity, capabilities, capture }: Recipe): void {
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

/** Refuse what no stage could run, before anything is trained: a model whose files do not fit together, blocks it does not have. */
async function checkModel(role: 'source' | 'target', { blocks, models, sweep }: Recipe): Promise<void> {
  const { path } = await resolveModel(models[role]);
  const layers = (await openModelFiles(path)).config.blocks.length;
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

function expandBehaviour(
  recipe: Recipe,
  plan: Plan,
  behaviour: BehaviourParams,
  base: { source: Source; target: Source },
  files: { prompts?: Source; outOfDomain?: Source },
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
      general: recipe.capture.out_of_domain + (usesGeneral ? GENERAL_FIT_TEXTS : 0),
    },
    inputs: files,
  });

  const sides = (['source', 'target'] as const).map((side) => {
    const { lora: _, ...settings } = finetuneFor(recipe, side);
    if (settings.method === 'lora')
      throw new InputError(
        `recipe: finetune.method lora is not yet run by recipes; use "full", or fine-tune with \`crosspatch finetune --method lora\` and name the merged model`,
      );
    const model = plan.add(finetuneStage, {
      id: id(`finetune.${side}`),
      params: settings,
      inputs: { base: base[side], data },
      publish: { [`models/${name}.${side}`]: 'model' },
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
      ...(recipe.capture.rows === undefined ? {} : { rows: recipe.capture.rows }),
      splits: recipe.capture.splits,
      sink_ratio: recipe.capture.sink_ratio,
      batch: recipe.capture.batch,
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
      notes: notes(recipe),
    },
    inputs: {
      tuned: [source.model, target.model],
      runs: [source.runs, target.runs],
      sweeps: [source.sweep, target.sweep],
      maps,
      ...(transfer === undefined ? {} : { transfer }),
      ...(fidelity === undefined ? {} : { fidelity }),
    },
  });
}

function trainBlocks(recipe: Recipe): Record<string, unknown> {
  const { freeze_embeddings, lower_half_rate } = recipe.finetune;
  return { frozen: freeze_embeddings ? ['embeddings'] : [], lower_half_rate };
}

/** What the report must say of how the numbers were made. */
function notes(recipe: Recipe): string[] {
  const out: string[] = [];
  const { lower_half_rate, freeze_embeddings } = recipe.finetune;
  if (lower_half_rate !== 1) {
    out.push(
      `The lower half of the blocks was fine-tuned at ${lower_half_rate} of the learning rate${freeze_embeddings ? ', embeddings not at all' : ''}: this choice shapes the sweep curve; it is not a finding.`,
    );
  }
  if (recipe.models.source === 'tiny-llama-s' && recipe.models.target === 'tiny-llama-m') {
    out.push(
      "tiny-llama-s shares tiny-llama-m's embedding table (projected): an engineered kinship that makes this pair easier than two strangers. `npm run tiny:train -- tiny-llama-s-own` makes a source with a table of its own; run with --set models.source=assets/tiny/tiny-llama-s-own to compare.",
    );
  }
  return out;
}
