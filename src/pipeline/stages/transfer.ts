/** @file Stage `transfer`: carry the fix over every map, with every arm; is it worth it; what it costs. */
import { join } from 'node:path';
import { z } from 'zod';
import { checkAnswer } from '../../behaviours/index.ts';
import {
  capabilitySettings,
  evaluationSettings,
  MAP_FITS,
  transferSettings,
  worthSettings,
} from '../../contracts/index.ts';
import {
  type CostItem,
  casesOf,
  EMBEDDING,
  type Subject,
  type TransferResult,
  transferExperiment,
} from '../../evaluate/index.ts';
import { type ActivationMap, loadMap } from '../../maps/index.ts';
import { pairBytes, promptTokens } from '../estimates.ts';
import { defineStage, optional, sourceFile, subjectModel } from '../stage.ts';
import { dataStage, distinctTexts, type HeldOutItem, readHeldOut, readRows } from './data.ts';
import { type MapsOutput, mapsStage } from './maps.ts';
import { askingParams, detectorInput, detectorOf, runsStage, subjectOf } from './runs.ts';
import { writeSamples } from './samples.ts';

const transferParams = z.strictObject({
  ...askingParams.shape,
  evaluation: evaluationSettings.omit({ batch: true }),
  transfer: transferSettings.omit({ maps: true }),
  worth: z.union([z.literal(false), worthSettings.pick({ ks: true, prompts: true })]),
  capabilities: z.union([z.literal(false), capabilitySettings.pick({ items: true, states: true })]),
  /** Maps to carry the fix over, `{label}.{fit}`; the first is the one whose cost is measured. */
  maps: z.array(z.strictObject({ label: z.string(), fit: z.enum(MAP_FITS) })),
});

/** Sections of results.json. */
export type TransferOutput = Omit<TransferResult, 'samples'>;

export const transferStage = defineStage({
  name: 'transfer',
  version: '6',
  module: import.meta.url,
  child: true,
  params: transferParams,
  inputs: {
    source: subjectModel,
    target: subjectModel,
    cleanSource: optional(sourceFile),
    cleanTarget: optional(sourceFile),
    data: dataStage,
    /** The target's unpatched runs. */
    runs: runsStage,
    maps: mapsStage,
    ...detectorInput,
  },
  estimate: ({ transfer: t, evaluation, capabilities, ...p }, info) => {
    const noise = t.arms.filter((arm) => arm.startsWith('random')).length;
    const arms = p.maps.length * t.modes.length * (t.arms.length + noise * (t.draws - 1));
    const states = capabilities ? capabilities.states : [];
    const items = capabilities ? capabilities.items * states.length : 0;
    const completions = 2 * t.prompts * arms + t.alpha_prompts * t.alphas.length + items;
    return {
      tokens: completions * (promptTokens(info) + evaluation.max_tokens),
      memory_bytes: pairBytes(info.models, states.includes('clean') ? ['source', 'target'] : ['source']),
    };
  },
  async run({ params: p, inputs, folder, model, ...env }): Promise<TransferOutput> {
    const [source, target] = [await model('source'), await model('target')];
    // Read by maps of the fit `clean_a` alone, which a recipe without a clean source does not have.
    const clean = inputs.cleanSource === undefined ? source : await model('cleanSource');
    const { source_block, target_block } = inputs.maps.output;
    await using detector = await detectorOf(p, { inputs, ...env });
    const subject = (split: 'test' | 'validation', n: number) =>
      subjectOf(target.tokenizer, p, { ...inputs, split, n, detector });
    const test = await subject('test', p.transfer.prompts);
    const labelled = Math.max(p.transfer.static_prompts, ...(p.worth ? p.worth.ks : []));
    const training = distinctTexts(await readRows(inputs.data.folder)).slice(0, labelled);
    const maps = mapsIn(inputs.maps);
    const { samples, ...found } = await transferExperiment(
      {
        behaviour: p.behaviour.name,
        target: { model: target, block: target_block },
        source: (fit) => ({
          model: fit === 'clean_a' ? clean : source,
          block: fit === 'embedding_a' ? EMBEDDING : source_block,
        }),
        subject: test,
        validation: await subject('validation', p.transfer.alpha_prompts),
        training: casesOf(target.tokenizer, training, p, 'training'),
        maps: await Promise.all(
          p.maps.map(async ({ label, fit }) => ({ label, map: await maps.open(label, fit) })),
        ),
        controls: {
          shuffled: await maps.control('shuffled'),
          tokenMean: await maps.control('token-mean'),
        },
        cost: {
          items: costItems(test, await readHeldOut(inputs.data.folder, 'test'), p.capabilities),
          clean: inputs.cleanTarget && (() => model('cleanTarget')),
        },
      },
      p,
      env,
    );
    await writeSamples(folder, samples);
    return found;
  },
});

/** Maps in the folder of a finished `maps` stage. */
export function mapsIn({ folder, output }: { readonly folder: string; readonly output: MapsOutput }): {
  open: (label: string, fit: string) => Promise<ActivationMap>;
  control: (label: string) => Promise<ActivationMap | undefined>;
} {
  const open = (label: string, fit: string) => loadMap(join(folder, 'maps', `${label}.${fit}`));
  return {
    open,
    control: async (label) => {
      const [fit] = Object.keys(output.entries[label] ?? {});
      return fit === undefined ? undefined : open(label, fit);
    },
  };
}

/** The first held-out questions as task items. */
function costItems(
  { cases }: Subject,
  held: readonly HeldOutItem[],
  settings: false | { readonly items: number },
): CostItem[] {
  return cases.slice(0, settings ? settings.items : 0).flatMap((c, i): CostItem[] => {
    const item = held[i];
    if (item === undefined) return [];
    const { family, answer } = item;
    const isRight = (completion: string): boolean =>
      family === undefined ? completion.trim() === answer.trim() : checkAnswer(family, completion, answer);
    return [{ task: 'bundled', case: c, isRight }];
  });
}
