/** @file What the stages of a transfer share: parameters, inputs, the prompts, and how many parts they are steered in. */
import { join } from 'node:path';
import { z } from 'zod';
import { Rng } from '../../base/index.ts';
import {
  capabilitySettings,
  evaluationSettings,
  MAP_FITS,
  transferSettings,
  worthSettings,
} from '../../contracts/index.ts';
import {
  casesOf,
  EMBEDDING,
  labelledPrompts,
  type OpenDetector,
  type Subject,
  type TransferInput,
} from '../../evaluate/index.ts';
import { type ActivationMap, loadMap } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { optional, type StageInput, sourceFile, subjectModel } from '../stage.ts';
import { type DataOutput, dataStage, distinctTexts, readRows } from './data.ts';
import { type MapsOutput, mapsStage } from './maps.ts';
import { askingParams, detectorInput, type RunsOutput, runsStage, subjectOf } from './runs.ts';

export const transferParams = z.strictObject({
  ...askingParams.shape,
  evaluation: evaluationSettings.omit({ batch: true }),
  transfer: transferSettings.omit({ maps: true }),
  worth: z.union([z.literal(false), worthSettings.pick({ ks: true, prompts: true })]),
  capabilities: z.union([z.literal(false), capabilitySettings.pick({ items: true, states: true })]),
  /** Maps to carry the fix over, `{label}.{fit}`; the first is the one whose cost is measured. */
  maps: z.array(z.strictObject({ label: z.string(), fit: z.enum(MAP_FITS) })),
});
export type TransferStageParams = z.output<typeof transferParams>;

/** What the target is steered with and on. */
export const steeredInputs = {
  target: subjectModel,
  data: dataStage,
  /** The target's unpatched runs. */
  runs: runsStage,
  maps: mapsStage,
  ...detectorInput,
};

/** What the vectors come from, besides. */
export const carriedInputs = {
  ...steeredInputs,
  source: subjectModel,
  cleanSource: optional(sourceFile),
};

/** Prompts of one part, at most: a part is computed in one piece, on one machine, and is what is lost when it is stopped. */
const PART_PROMPTS = 64;

/** How many parts the prompts are steered in; the recipe alone decides, so that every machine rounds alike. */
export function transferParts(prompts: number): number {
  return Math.ceil(prompts / PART_PROMPTS);
}

/** The stream of all stages of a transfer. */
export function transferRng(seed: number): Rng {
  return new Rng(seed).fork('transfer');
}

/** Completions of the arms over n prompts, at most. */
export function transferCompletions({ transfer: t, maps }: TransferStageParams, prompts: number): number {
  const noise = t.arms.filter((arm) => arm.startsWith('random')).length;
  return 2 * prompts * maps.length * t.modes.length * (t.arms.length + noise * (t.draws - 1));
}

/** Finished stages a transfer reads, whichever of its stages. */
interface SteeredFrom {
  readonly data: StageInput<DataOutput>;
  readonly runs: StageInput<RunsOutput>;
  readonly maps: StageInput<MapsOutput>;
}

/** Test prompts, labelled prompts and maps, with the target's tokenizer. */
export async function steeredOf(
  target: LanguageModel,
  p: TransferStageParams,
  { data, runs, maps }: SteeredFrom,
  detector: OpenDetector,
): Promise<Pick<TransferInput, 'behaviour' | 'target' | 'subject' | 'training' | 'maps' | 'controls'>> {
  const stored = mapsIn(maps);
  const training = distinctTexts(await readRows(data.folder)).slice(0, labelledPrompts(p));
  const { prompts: n } = p.transfer;
  return {
    behaviour: p.behaviour.name,
    target: { model: target, block: maps.output.target_block },
    subject: await subjectOf(target.tokenizer, p, { data, runs, split: 'test', n, detector }),
    training: casesOf(target.tokenizer, training, p, 'training'),
    maps: await Promise.all(
      p.maps.map(async ({ label, fit }) => ({ label, map: await stored.open(label, fit) })),
    ),
    controls: {
      shuffled: await stored.control('shuffled'),
      tokenMean: await stored.control('token-mean'),
    },
  };
}

/** Validation prompts, on which α is chosen. */
export function validationOf(
  target: LanguageModel,
  p: TransferStageParams,
  { data, runs }: Pick<SteeredFrom, 'data' | 'runs'>,
  detector: OpenDetector,
): Promise<Subject> {
  const n = p.transfer.alpha_prompts;
  return subjectOf(target.tokenizer, p, { data, runs, split: 'validation', n, detector });
}

/** Where a fit's activations come from. Without a clean source no map is of the fit `clean_a`. */
export function sourcesOf(
  { source, clean = source }: { readonly source: LanguageModel; readonly clean: LanguageModel | undefined },
  { source_block }: MapsOutput,
): TransferInput['source'] {
  return (fit) => ({
    model: fit === 'clean_a' ? clean : source,
    block: fit === 'embedding_a' ? EMBEDDING : source_block,
  });
}

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
