/**
 * @file Steering transfer (docs/concepts/method.md#transfer; the blog's Fig. 8-9): the source's span activations, mapped, put on the target's span; every
 * arm and control over the same prompts T. What does not depend on the map (native steering, noise) is run once per pair of blocks.
 */
import type { Sample, TransferEntry, TransferSettings, UntaggedEntry } from '../../contracts/index.ts';
import type { ArmOptions, Place } from '../arms/run.ts';
import { armSample, type SampleTags } from '../arms/samples.ts';
import { Tally } from '../arms/tally.ts';
import { draftAcceptance } from '../drafts/run.ts';
import type { ExperimentEnv } from '../env.ts';
import type { Subject } from '../subject/subject.ts';
import { type ArmSpans, armSpans, mappedArms, sharedArms, type TransferMaps } from './arms.ts';
import type { TransferData } from './data.ts';
import { armOutcomes, entryFigures, nativeAlignment } from './entry.ts';
import { type DoneJobs, doneJobs, type JobDone, runJob, type TransferJob } from './jobs.ts';
import { untaggedEntry, untaggedRate } from './untagged.ts';

/** Settings of steering by one map. */
export type SteerSettings = Pick<
  TransferSettings,
  'modes' | 'alphas' | 'arms' | 'draws' | 'noninferiority_margin'
> & { readonly max_tokens: number; readonly bootstrap: number };

/** What of it a map reads. */
export type MapSettings = Omit<SteerSettings, 'draws'>;

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

/** Jobs of what no map changes: native steering and noise under `set`, and the target's own states in untagged prompts. */
export function sharedJobs(
  data: TransferData,
  p: Pick<SteerSettings, 'arms' | 'draws'>,
  { rng, tags }: Pick<SteerEnv, 'rng' | 'tags'>,
): TransferJob[] {
  const name = `${tags.stage}.shared`;
  return [
    { name, kind: 'arms', armsOf: sharedArms(data, p.arms, p.draws, rng) },
    { name: `${name}.untagged`, kind: 'untagged', spans: data.native },
  ];
}

/** What came of them. */
export function sharedOutcomes(
  { subject }: Pick<TransferData, 'subject'>,
  done: DoneJobs,
  { bootstrap }: Pick<SteerSettings, 'bootstrap'>,
  { rng, tags }: Pick<SteerEnv, 'rng' | 'tags'>,
): SharedOutcomes {
  const name = `${tags.stage}.shared`;
  const { untagged } = done(`${name}.untagged`);
  return {
    ...armOutcomesOf(subject, done(name), { tags, shown: 'native' }),
    untagged: untaggedEntry({ subject }, untagged, { rng, bootstrap }),
  };
}

/** Native steering and noise, `set`, once for all maps of a pair of blocks. */
export async function steerShared(
  data: TransferData,
  p: Pick<SteerSettings, 'arms' | 'draws' | 'max_tokens' | 'bootstrap'>,
  env: SteerEnv,
): Promise<SharedOutcomes> {
  return sharedOutcomes(data, await runAll(data, sharedJobs(data, p, env), { ...env, ...p }), p, env);
}

/** An entry of `results.transfer`, with its sample rows. */
export interface MapSteered extends ArmOutcomes {
  readonly entry: TransferEntry;
}

/** Jobs of one map: every arm in every mode, and the mapped states in untagged prompts. */
export function mapJobs(
  spans: ArmSpans,
  alpha: number,
  p: MapSettings,
  { rng, tags }: SteerEnv,
): TransferJob[] {
  const arms = modesRun(p).map((mode): TransferJob => {
    const how = { mode, alpha: mode === 'add' ? alpha : 1, wanted: p.arms, rng };
    return {
      name: mapJob(tags, mode),
      kind: 'arms',
      armsOf: (place: Place) => mappedArms(spans, place, how),
    };
  });
  return [...arms, { name: mapJob(tags, 'untagged'), kind: 'untagged', spans: spans.mapped }];
}

/** What is known of a map's runs before its figures are made. */
export interface MapRuns {
  readonly data: TransferData;
  readonly shared: SharedOutcomes;
  readonly spans: Pick<ArmSpans, 'native' | 'mapped'>;
  readonly alpha: number;
}

/** What came of them. The first of `p.modes` is the main one; `add` after `set` is reported beside it. */
export function mapSteered(
  { data, shared, spans, alpha }: MapRuns,
  done: DoneJobs,
  p: MapSettings,
  env: Pick<SteerEnv, 'rng' | 'tags'>,
): MapSteered {
  const { subject } = data;
  const [mode] = p.modes;
  // Rows of the mode that is reported beside the main one carry its name.
  const tagsOf = (which: 'set' | 'add'): SampleTags =>
    which === mode ? env.tags : { ...env.tags, stage: `${env.tags.stage}.${which}` };
  const runs = modesRun(p).map((which) =>
    armOutcomesOf(subject, done(mapJob(env.tags, which)), { tags: tagsOf(which), shown: 'mapped' }),
  );
  const [main, beside] = runs as [ArmOutcomes, ArmOutcomes?];
  const native = mode === 'set' ? shared.tally : main.tally;
  const carried = untaggedEntry(data, done(mapJob(env.tags, 'untagged')).untagged, { ...env, ...p });
  return {
    tally: main.tally,
    entry: {
      mode,
      alpha: mode === 'add' ? alpha : 1,
      ...entryFigures(subject, { tally: main.tally, shared: shared.tally, native }, p, env.rng),
      native_alignment: nativeAlignment(subject, spans, p, env.rng),
      untagged: shared.untagged &&
        carried && { unpatched: untaggedRate(data), native: shared.untagged, mapped: carried },
      add: beside && { alpha, arms: armOutcomes(p.arms, beside.tally) },
    },
    samples: runs.flatMap((r) => r.samples),
    draft_acceptance: runs.reduce((sum, r) => sum + r.draft_acceptance, 0) / runs.length,
  };
}

/**
 * Steer the target by one map, with every arm; native and noise are taken from `shared`. α of `add` is chosen on the validation prompts;
 * without them it is 1.
 */
export async function steerByMap(
  {
    data,
    shared,
    validation,
  }: { data: TransferData; shared: SharedOutcomes; validation?: TransferData | undefined },
  maps: TransferMaps,
  p: MapSettings,
  env: SteerEnv,
): Promise<MapSteered> {
  const alpha = p.modes.includes('add') ? await chooseAlpha(validation, maps, p, env) : 1;
  const spans = await armSpans(data, maps);
  const done = await runAll(data, mapJobs(spans, alpha, p, env), { ...env, ...p });
  return mapSteered({ data, shared, spans, alpha }, done, p, env);
}

/** `add` is run beside `set`, nothing beside `add`. */
function modesRun({ modes }: MapSettings): readonly ('set' | 'add')[] {
  return modes[0] === 'set' ? modes : modes.slice(0, 1);
}

/** Name of a map's job; `label.fit` where the map has one. */
function mapJob({ stage, map }: SampleTags, what: 'set' | 'add' | 'untagged'): string {
  return [stage, ...(map === undefined ? [] : [map.kind, map.fit]), what].join('.');
}

/** Jobs one after the other, each over all of the subject's prompts. */
async function runAll(
  data: TransferData,
  jobs: readonly TransferJob[],
  options: Omit<ArmOptions, 'stage' | 'stats'>,
): Promise<DoneJobs> {
  const done = new Map<string, JobDone>();
  for (const job of jobs) done.set(job.name, await runJob(data, job, options));
  return doneJobs(done);
}

/** Runs as a tally; samples are the first draw of each, those of the arm `shown` with their tokens. */
function armOutcomesOf(
  { cases }: Subject,
  done: JobDone,
  { tags, shown }: { readonly tags: SampleTags; readonly shown: string },
): ArmOutcomes {
  const tally = new Tally(cases);
  const samples: Sample[] = [];
  for (const run of done.runs)
    if (tally.add(run) === 1) samples.push(armSample(tags, run, run.arm === shown));
  return { tally, samples, draft_acceptance: draftAcceptance(done) };
}

/** α with the best restoration of the mapped vector on validation prompts; of equals the one nearest 1. */
export async function chooseAlpha(
  validation: TransferData | undefined,
  { mapped }: TransferMaps,
  p: MapSettings,
  env: SteerEnv,
): Promise<number> {
  const alphas = [...p.alphas].sort((a, b) => Math.abs(a - 1) - Math.abs(b - 1) || a - b);
  if (alphas.length === 1) return alphas[0];
  if (validation === undefined) return 1;
  const spans = await armSpans({ ...validation, training: undefined }, { mapped });
  let best = { alpha: 1, score: Number.NEGATIVE_INFINITY };
  for (const alpha of alphas) {
    const how = { mode: 'add' as const, alpha, wanted: ['mapped' as const], rng: env.rng };
    const done = await runJob(
      validation,
      { name: `${env.tags.stage}.add`, kind: 'arms', armsOf: (place) => mappedArms(spans, place, how) },
      { ...env, ...p },
    );
    const { tally } = armOutcomesOf(validation.subject, done, { tags: env.tags, shown: 'mapped' });
    const { restoration, elicitation } = tally.outcome('mapped');
    // Elicitation breaks ties: α that steers both ways.
    const score = (restoration?.value ?? 0) + 1e-3 * (elicitation?.value ?? 0);
    if (score > best.score) best = { alpha, score };
  }
  return best.alpha;
}
