/** @file Steering by several maps of a pair of blocks: what is read and chosen once for all prompts, and the runs, over all prompts or a part of them. */
import type { Rng } from '../../base/index.ts';
import type { SampleTags } from '../arms/samples.ts';
import type { BlockOf } from '../arms/spans.ts';
import type { ExperimentEnv } from '../env.ts';
import type { Subject } from '../subject/subject.ts';
import { armSpans } from './arms.ts';
import { captureTransfer, dataOf, type SourceKind, sourceKind, type TransferSpans } from './data.ts';
import type { LabelledMap, TransferInput, TransferParams } from './input.ts';
import { type JobDone, runJob, type TransferJob } from './jobs.ts';
import { transferNotes } from './notes.ts';
import { chooseAlpha, mapJobs, type SteerSettings, sharedJobs } from './steer.ts';
import { worthJob } from './worth.ts';

/** What is done once, before any prompt is steered. */
export interface PreparedTransfer {
  readonly spans: TransferSpans;
  /** By {@link mapName}; 1 where it was not chosen. */
  readonly alphas: Readonly<Record<string, number>>;
  /** What a reader must know of how tokens pair. */
  readonly notes: readonly string[];
}

/** Read both models at the spans, and choose α of every map on the source it was fitted on. */
export async function prepareMaps(
  input: TransferInput,
  p: TransferParams,
  env: ExperimentEnv,
): Promise<PreparedTransfer> {
  const { subject, target, validation } = input;
  const kinds = new Set<SourceKind>(['with_tags', ...input.maps.map(({ map }) => sourceKind(map.fit))]);
  const sources = new Map<SourceKind, BlockOf>([...kinds].map((kind) => [kind, input.source(kind)]));
  const labelled = input.training.slice(0, labelledPrompts(p));
  const training = { labelled, static_prompts: p.transfer.static_prompts };
  const spans = await captureTransfer({ target, sources }, subject, training, env.signal);
  const settings = settingsOf(p);
  const adds = settings.modes.includes('add');
  const read =
    adds && settings.alphas.length > 1 && validation !== undefined
      ? await captureTransfer({ target, sources }, validation, { ...training, labelled: [] }, env.signal)
      : undefined;
  const alphas: Record<string, number> = {};
  for (const one of input.maps) {
    const { map } = one;
    const own = validation && read && dataOf(read, sourceKind(map.fit), { target, subject: validation });
    const how = { ...env, rng: mapStream(env.rng, one), tags: tagsOf(input, one) };
    alphas[mapName(one)] = adds ? await chooseAlpha(own, { mapped: map }, settings, how) : 1;
  }
  return { spans, alphas, notes: transferNotes(input.source('with_tags').model, subject.cases) };
}

/** Training prompts the target is read at. */
export function labelledPrompts({ transfer, worth }: Pick<TransferParams, 'transfer' | 'worth'>): number {
  return Math.max(transfer.static_prompts, ...(worth ? worth.ks : []));
}

/** What to steer with, and on which of the prompts that were prepared. */
export type TransferRun = Pick<TransferInput, 'behaviour' | 'target' | 'subject' | 'maps' | 'controls'> & {
  /** Defaults to all. */
  readonly part?: Subject['cases'];
};

/** Run every job of a transfer over the prompts, or a part of them. */
export async function* runTransfer(
  input: TransferRun,
  { spans, alphas }: Pick<PreparedTransfer, 'spans' | 'alphas'>,
  p: TransferParams,
  env: ExperimentEnv,
): AsyncGenerator<readonly [name: string, done: JobDone], void, undefined> {
  const { target, subject, maps, part = subject.cases } = input;
  const { rng, progress, signal } = env;
  const settings = settingsOf(p);
  const { max_tokens } = settings;
  const run = async (job: TransferJob, cases = part): Promise<readonly [string, JobDone]> => [
    job.name,
    await runJob({ target, subject: { ...subject, cases } }, job, { max_tokens, progress, signal }),
  ];
  const first = dataOf(spans, 'with_tags', { target, subject });
  const shared = { ...env, rng: rng.fork('shared'), tags: tagsOf(input) };
  for (const job of sharedJobs(first, settings, shared)) yield await run(job);
  for (const [i, one] of maps.entries()) {
    const { map } = one;
    const message = `steering by ${mapName(one)}`;
    progress({ stage: 'transfer', done: i, total: maps.length, unit: 'maps', message });
    const data = dataOf(spans, sourceKind(map.fit), { target, subject });
    const placed = await armSpans(data, { mapped: map, ...input.controls });
    const how = { ...env, rng: mapStream(rng, one), tags: tagsOf(input, one) };
    for (const job of mapJobs(placed, alphas[mapName(one)] as number, settings, how)) yield await run(job);
  }
  if (p.worth && spans.labelled !== undefined) {
    const asked = new Set(subject.cases.slice(0, p.worth.prompts));
    yield await run(
      worthJob(spans.labelled, p.worth.ks),
      part.filter((c) => asked.has(c)),
    );
  }
}

/** `label.fit`. */
export function mapName({ label, map }: LabelledMap): string {
  return `${label}.${map.fit}`;
}

/** The stream of a map's draws. */
export function mapStream(rng: Rng, one: LabelledMap): Rng {
  return rng.fork(`transfer ${mapName(one)}`);
}

/** What sample rows are called, of a map's runs and of those no map changes. */
export function tagsOf({ behaviour }: Pick<TransferInput, 'behaviour'>, one?: LabelledMap): SampleTags {
  const tags = { behaviour, stage: 'transfer' };
  return one === undefined ? tags : { ...tags, map: { kind: one.label, fit: one.map.fit } };
}

function settingsOf({ transfer, evaluation }: TransferParams): SteerSettings {
  return { ...transfer, max_tokens: evaluation.max_tokens, bootstrap: evaluation.bootstrap };
}
