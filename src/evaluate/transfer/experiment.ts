/** @file Steering transfer over one or several maps of a pair of blocks, with what it is worth and what it costs: the stage and the command. */
import type { MapFit, Rate, Sample, TransferEntry, WorthRow, WorthSettings } from '../../contracts/index.ts';
import { rate } from '../../stats/index.ts';
import { mapSpans } from '../arms/spans.ts';
import type { Tally } from '../arms/tally.ts';
import { type CapabilityResult, capabilities } from '../cost/capabilities.ts';
import type { ExperimentEnv } from '../env.ts';
import type { Case } from '../subject/completions.ts';
import { dataOf, sourceKind } from './data.ts';
import type { TransferInput, TransferParams } from './input.ts';
import { type DoneJobs, doneJobs, type JobDone } from './jobs.ts';
import { mapName, mapStream, type PreparedTransfer, prepareMaps, runTransfer, tagsOf } from './maps.ts';
import { withOtherFits } from './margins.ts';
import { mapSteered, sharedOutcomes } from './steer.ts';
import { stripTrigger, worthFigures } from './worth.ts';

/** Sections of results, and every completion that was judged. */
export interface TransferResult {
  readonly transfer: Readonly<Record<string, Readonly<Partial<Record<MapFit, TransferEntry>>>>>;
  readonly strip_trigger?: Rate | undefined;
  readonly worth?: readonly WorthRow[] | undefined;
  readonly capabilities?: CapabilityResult['accuracy'] | undefined;
  readonly cost_kl?: CapabilityResult['kl'] | undefined;
  readonly draft_acceptance: Readonly<Record<string, number>>;
  readonly samples: readonly Sample[];
  /** What a reader must know of how tokens pair; missing in what earlier versions stored. */
  readonly notes?: readonly string[] | undefined;
}

/**
 * Steer by every map, then what it is worth and what it costs. Throws when no prompt shows the behaviour unpatched.
 */
export async function transferExperiment(
  input: TransferInput,
  p: TransferParams,
  env: ExperimentEnv,
): Promise<TransferResult> {
  const prepared = await prepareMaps(input, p, env);
  const done = new Map<string, JobDone>();
  for await (const [name, job] of runTransfer(input, prepared, p, env)) done.set(name, job);
  return transferResult(input, { prepared, done: doneJobs(done) }, p, env);
}

/** What has been run, wherever. */
export interface RanTransfer {
  readonly prepared: PreparedTransfer;
  readonly done: DoneJobs;
}

/** Figures of finished jobs; what the fix costs is measured here. */
export async function transferResult(
  input: TransferInput,
  { prepared, done }: RanTransfer,
  p: TransferParams,
  env: ExperimentEnv,
): Promise<TransferResult> {
  const { subject } = input;
  const steered = await steeredByMaps(input, { prepared, done }, p, env);
  const main = steered.tallies[0];
  const worth = p.worth && worthRows(p.worth);
  function worthRows({ ks, prompts }: Pick<WorthSettings, 'ks' | 'prompts'>): WorthRow[] {
    const cases = subject.cases.slice(0, prompts);
    const mapped_restoration = main && restorationAmong(main, cases);
    const { labelled } = prepared.spans;
    const native = labelled === undefined ? [] : worthFigures(labelled, { ks, cases }, done);
    return native.map((row) => ({ ...row, mapped_restoration }));
  }
  const cost = p.capabilities && input.cost && (await costOf(input, p, env));
  return {
    transfer: steered.transfer,
    strip_trigger: stripTrigger(subject),
    worth: worth || undefined,
    capabilities: cost ? cost.accuracy : undefined,
    cost_kl: cost ? cost.kl : undefined,
    draft_acceptance: steered.draft_acceptance,
    samples: [...steered.samples, ...(cost ? cost.samples : [])],
    notes: prepared.notes,
  };
}

async function costOf(
  input: TransferInput,
  { capabilities: settings, evaluation }: TransferParams,
  env: ExperimentEnv,
): Promise<CapabilityResult | undefined> {
  const [first] = input.maps;
  const { items = [], clean } = input.cost ?? {};
  if (settings === false || first === undefined || items.length === 0) return undefined;
  const { states } = settings;
  return capabilities(
    {
      behaviour: input.behaviour,
      source: input.source(first.map.fit),
      target: input.target,
      items,
      map: first.map,
      clean: states.includes('clean') ? await clean?.() : undefined,
    },
    { states, ...evaluation },
    { ...env, rng: env.rng.fork('cost') },
  );
}

/** Entries of every map. */
async function steeredByMaps(
  input: TransferInput,
  { prepared, done }: RanTransfer,
  { transfer: settings, evaluation }: TransferParams,
  { rng }: Pick<ExperimentEnv, 'rng'>,
): Promise<
  Pick<TransferResult, 'transfer' | 'draft_acceptance' | 'samples'> & { readonly tallies: Tally[] }
> {
  const { maps } = input;
  const p = { ...settings, max_tokens: evaluation.max_tokens, bootstrap: evaluation.bootstrap };
  const tags = tagsOf(input);
  const shared = sharedOutcomes(input, done, p, { rng: rng.fork('shared'), tags });
  const samples = [...shared.samples];
  const draft_acceptance: Record<string, number> = { 'transfer.shared': shared.draft_acceptance };
  const transfer: Record<string, Partial<Record<MapFit, TransferEntry>>> = {};
  const tallies: Tally[] = [];
  for (const one of maps) {
    const { label, map } = one;
    const { fit } = map;
    const data = dataOf(prepared.spans, sourceKind(fit), input);
    const spans = { native: data.native, mapped: await mapSpans(map, data.given) };
    const alpha = prepared.alphas[mapName(one)] as number;
    const env = { rng: mapStream(rng, one), tags: tagsOf(input, one) };
    const result = mapSteered({ data, shared, spans, alpha }, done, p, env);
    (transfer[label] ??= {})[fit] = result.entry;
    samples.push(...result.samples);
    tallies.push(result.tally);
    draft_acceptance[`transfer.${mapName(one)}`] = result.draft_acceptance;
  }
  return {
    transfer: withOtherFits(transfer, samples, rng.fork('other fits'), p.bootstrap),
    draft_acceptance,
    samples,
    tallies,
  };
}

/** Restoration by the map on some of the prompts only, so that it is compared with native steering on the same ones. */
function restorationAmong(tally: Tally, cases: readonly Case[]): Rate | undefined {
  const restored = cases.flatMap((c) => tally.of('mapped', 'bad', c)?.restored ?? []);
  return restored.length === 0 ? undefined : rate(restored);
}
