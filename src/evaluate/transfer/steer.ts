/**
 * @file Steering transfer (docs/concepts/method.md#transfer; the blog's Fig. 8-9): the source's span activations, mapped, put on the target's span; every
 * arm and control over the same prompts T. What does not depend on the map (native steering, noise) is run once per pair of blocks.
 */
import type { Sample, TransferEntry, TransferSettings, UntaggedEntry } from '../../contracts/index.ts';
import { type ArmOptions, type ArmPlan, type Place, runArms } from '../arms/run.ts';
import { armSample, type SampleTags } from '../arms/samples.ts';
import { Tally } from '../arms/tally.ts';
import { draftAcceptance, noStats } from '../drafts/run.ts';
import type { ExperimentEnv } from '../env.ts';
import {
  type ArmSettings,
  type ArmSpans,
  armSpans,
  mappedArms,
  sharedArms,
  type TransferMaps,
} from './arms.ts';
import type { TransferData } from './data.ts';
import { armOutcomes, entryFigures, nativeAlignment } from './entry.ts';
import { untaggedEntry, untaggedRate } from './untagged.ts';

/** Settings of steering by one map. */
export type SteerSettings = Pick<
  TransferSettings,
  'modes' | 'alphas' | 'arms' | 'draws' | 'noninferiority_margin'
> & { readonly max_tokens: number; readonly bootstrap: number };

/** Circumstances, and what the sample rows are called. */
export interface SteerEnv extends Pick<ExperimentEnv, 'rng' | 'progress' | 'signal'> {
  readonly tags: SampleTags;
}

/** What some arms came to. */
export interface ArmOutcomes {
  readonly tally: Tally;
  readonly samples: readonly Sample[];
  readonly draft_acceptance: number;
}

/** What no map changes. */
export interface SharedOutcomes extends ArmOutcomes {
  /** The target's own states in untagged prompts. */
  readonly untagged: UntaggedEntry | undefined;
}

/** Native steering and noise, `set`, once for all maps of a pair of blocks. */
export async function steerShared(
  data: TransferData,
  p: Pick<SteerSettings, 'arms' | 'draws' | 'max_tokens' | 'bootstrap'>,
  env: SteerEnv,
): Promise<SharedOutcomes> {
  const armsOf = sharedArms(data, p.arms, p.draws, env.rng);
  const options = { ...env, ...p, stage: `${env.tags.stage}.shared` };
  return {
    ...(await outcomes(data, armsOf, 'native', options)),
    untagged: await untaggedEntry(data, data.native, options),
  };
}

/** An entry of `results.transfer`, with its sample rows. */
export interface MapSteered extends ArmOutcomes {
  readonly entry: TransferEntry;
}

/**
 * Steer the target by one map, with every arm; native and noise are taken from `shared`. The first of `p.modes` is the main one; `add`
 * after `set` is reported beside it. α of `add` is chosen on the validation prompts; without them it is 1.
 */
export async function steerByMap(
  {
    data,
    shared,
    validation,
  }: { data: TransferData; shared: SharedOutcomes; validation?: TransferData | undefined },
  maps: TransferMaps,
  p: Omit<SteerSettings, 'draws'>,
  env: SteerEnv,
): Promise<MapSteered> {
  const [mode] = p.modes;
  const alpha = p.modes.includes('add') ? await chooseAlpha(validation, maps, p, env) : 1;
  const spans = await armSpans(data, maps);
  const run = (which: 'set' | 'add'): Promise<ArmOutcomes> => {
    const how = { mode: which, alpha: which === 'add' ? alpha : 1, wanted: p.arms, max_tokens: p.max_tokens };
    // Rows of the mode that is reported beside the main one carry its name.
    const tags = which === mode ? env.tags : { ...env.tags, stage: `${env.tags.stage}.${which}` };
    return steerMode(data, spans, { ...how, tags }, env);
  };
  const main = await run(mode);
  const beside = mode === 'set' && p.modes.includes('add') ? await run('add') : undefined;
  const native = mode === 'set' ? shared.tally : main.tally;
  const runs = beside === undefined ? [main] : [main, beside];
  const carried =
    shared.untagged && (await untaggedEntry(data, spans.mapped, { ...env, ...p, stage: env.tags.stage }));
  return {
    tally: main.tally,
    entry: {
      mode,
      alpha: mode === 'add' ? alpha : 1,
      ...entryFigures(data.subject, { tally: main.tally, shared: shared.tally, native }, p, env.rng),
      native_alignment: nativeAlignment(data.subject, spans, p, env.rng),
      untagged: shared.untagged &&
        carried && { unpatched: untaggedRate(data), native: shared.untagged, mapped: carried },
      add: beside && { alpha, arms: armOutcomes(p.arms, beside.tally) },
    },
    samples: runs.flatMap((r) => r.samples),
    draft_acceptance: runs.reduce((sum, r) => sum + r.draft_acceptance, 0) / runs.length,
  };
}

/** Every arm of a map in one mode. */
function steerMode(
  data: TransferData,
  spans: ArmSpans,
  how: Omit<ArmSettings, 'rng'> & { readonly max_tokens: number; readonly tags: SampleTags },
  env: SteerEnv,
): Promise<ArmOutcomes> {
  const armsOf = (place: Place) => mappedArms(spans, place, { ...how, rng: env.rng });
  const { max_tokens, tags } = how;
  return outcomes(data, armsOf, 'mapped', {
    ...env,
    max_tokens,
    tags,
    stage: `${env.tags.stage}.${how.mode}`,
  });
}

/** Run arms on the target; samples are the first draw of each, those of `shown` with their tokens. */
async function outcomes(
  { target, subject }: TransferData,
  armsOf: ArmPlan['armsOf'],
  shown: string,
  { progress, signal, max_tokens, stage, tags }: ArmOptions & { readonly tags: SampleTags },
): Promise<ArmOutcomes> {
  const tally = new Tally(subject.cases);
  const samples: Sample[] = [];
  const stats = noStats();
  const options = { progress, signal, max_tokens, stage, stats };
  for await (const run of runArms(target.model, subject, { blocks: [target.block], armsOf }, options))
    if (tally.add(run) === 1) samples.push(armSample(tags, run, run.arm === shown));
  return { tally, samples, draft_acceptance: draftAcceptance(stats) };
}

/** α with the best restoration of the mapped vector on validation prompts; of equals the one nearest 1. */
async function chooseAlpha(
  validation: TransferData | undefined,
  { mapped }: TransferMaps,
  p: Omit<SteerSettings, 'draws'>,
  env: SteerEnv,
): Promise<number> {
  const alphas = [...p.alphas].sort((a, b) => Math.abs(a - 1) - Math.abs(b - 1) || a - b);
  if (alphas.length === 1) return alphas[0];
  if (validation === undefined) return 1;
  const spans = await armSpans({ ...validation, training: undefined }, { mapped });
  let best = { alpha: 1, score: Number.NEGATIVE_INFINITY };
  for (const alpha of alphas) {
    const { tally } = await steerMode(
      validation,
      spans,
      { mode: 'add', alpha, wanted: ['mapped'], max_tokens: p.max_tokens, tags: env.tags },
      env,
    );
    const { restoration, elicitation } = tally.outcome('mapped');
    // Elicitation breaks ties: α that steers both ways.
    const score = (restoration?.value ?? 0) + 1e-3 * (elicitation?.value ?? 0);
    if (score > best.score) best = { alpha, score };
  }
  return best.alpha;
}
