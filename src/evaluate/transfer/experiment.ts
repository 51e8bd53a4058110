/** @file Steering transfer over one or several maps of a pair of blocks, with what it is worth and what it costs: the stage and the command. */
import type {
  CapabilitySettings,
  EvaluationSettings,
  MapFit,
  Rate,
  Sample,
  TransferEntry,
  TransferSettings,
  WorthRow,
  WorthSettings,
} from '../../contracts/index.ts';
import type { ActivationMap } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { rate } from '../../stats/index.ts';
import type { SampleTags } from '../arms/samples.ts';
import type { BlockOf } from '../arms/spans.ts';
import type { Tally } from '../arms/tally.ts';
import { type CapabilityResult, type CostItem, capabilities } from '../cost/capabilities.ts';
import type { ExperimentEnv } from '../env.ts';
import type { ContrastCase } from '../subject/cases.ts';
import type { Case } from '../subject/completions.ts';
import type { Subject } from '../subject/subject.ts';
import { prepareTransfer, type TransferData } from './data.ts';
import { withOtherFits } from './margins.ts';
import { transferNotes } from './notes.ts';
import { type SharedOutcomes, steerByMap, steerShared } from './steer.ts';
import { stripTrigger, worth } from './worth.ts';

/** A map under its keys in `results.json`. */
export interface LabelledMap {
  readonly label: string;
  readonly map: ActivationMap;
}

/** Who is steered by whom, on which prompts. */
export interface TransferInput {
  readonly behaviour: string;
  readonly target: BlockOf;
  /** Where a fit's activations come from (`clean_a`: the source before its fine-tune; `embedding_a`: before its block 0). */
  readonly source: (fit: MapFit) => BlockOf;
  /** Test prompts with the target's unpatched completions. */
  readonly subject: Subject;
  /** Validation prompts, on which α is chosen; without them (and several α) it is 1. */
  readonly validation?: Subject | undefined;
  /** Labelled training prompts: for the static vector, and for the native vector of k prompts. */
  readonly training: readonly ContrastCase[];
  /** The first is the one whose cost is measured. */
  readonly maps: readonly LabelledMap[];
  readonly controls: {
    readonly shuffled?: ActivationMap | undefined;
    readonly tokenMean?: ActivationMap | undefined;
  };
  /** Task items of the first prompts, and the target before its fine-tune, for the state `clean`. */
  readonly cost?:
    | { readonly items: readonly CostItem[]; readonly clean: (() => Promise<LanguageModel>) | undefined }
    | undefined;
}

/** Settings of {@link transferExperiment}: the recipe's sections. */
export interface TransferParams {
  readonly evaluation: Omit<EvaluationSettings, 'batch'>;
  readonly transfer: Omit<TransferSettings, 'prompts' | 'maps'>;
  readonly worth: Pick<WorthSettings, 'ks' | 'prompts'> | false;
  readonly capabilities: Pick<CapabilitySettings, 'states'> | false;
}

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

/** Steer by every map, then what it is worth and what it costs. Throws when no prompt shows the behaviour unpatched. */
export async function transferExperiment(
  input: TransferInput,
  p: TransferParams,
  env: ExperimentEnv,
): Promise<TransferResult> {
  const { subject, target } = input;
  const steered = await steerByMaps(input, p, env);
  const main = steered.tallies[0];
  const options = { max_tokens: p.evaluation.max_tokens, progress: env.progress, signal: env.signal };
  const rows = p.worth && (await worthRows(p.worth));
  async function worthRows({ ks, prompts }: Pick<WorthSettings, 'ks' | 'prompts'>): Promise<WorthRow[]> {
    const cases = subject.cases.slice(0, prompts);
    const mapped_restoration = main && restorationAmong(main, cases);
    const native = await worth(target, { ...subject, cases }, { labelled: input.training, ks }, options);
    return native.map((row) => ({ ...row, mapped_restoration }));
  }
  const cost = p.capabilities && input.cost && (await costOf(p.capabilities, input.cost));
  async function costOf(
    { states }: Pick<CapabilitySettings, 'states'>,
    { items, clean }: NonNullable<TransferInput['cost']>,
  ): Promise<CapabilityResult | undefined> {
    const [first] = input.maps;
    if (first === undefined || items.length === 0) return undefined;
    return capabilities(
      {
        behaviour: input.behaviour,
        source: input.source(first.map.fit),
        target,
        items,
        map: first.map,
        clean: states.includes('clean') ? await clean?.() : undefined,
      },
      { states, ...p.evaluation },
      { ...env, rng: env.rng.fork('cost') },
    );
  }
  return {
    transfer: steered.transfer,
    strip_trigger: stripTrigger(subject),
    worth: rows || undefined,
    capabilities: cost ? cost.accuracy : undefined,
    cost_kl: cost ? cost.kl : undefined,
    draft_acceptance: steered.draft_acceptance,
    samples: [...steered.samples, ...(cost ? cost.samples : [])],
    notes: transferNotes(input.source('with_tags').model, subject.cases),
  };
}

/** Every map over the prompts; what no map changes is captured and run once. */
async function steerByMaps(
  input: TransferInput,
  { transfer: settings, evaluation }: TransferParams,
  { rng, progress, signal }: ExperimentEnv,
): Promise<
  Pick<TransferResult, 'transfer' | 'draft_acceptance' | 'samples'> & { readonly tallies: Tally[] }
> {
  const { target, source, maps, controls } = input;
  const tags: SampleTags = { behaviour: input.behaviour, stage: 'transfer' };
  const training = input.training.slice(0, settings.static_prompts);
  const prepared = new Map<string, Promise<TransferData>>();
  const dataOf = (fit: MapFit, split: 'subject' | 'validation', of: Subject): Promise<TransferData> => {
    const key = `${split} ${fit === 'clean_a' || fit === 'embedding_a' ? fit : ''}`;
    const data = prepared.get(key) ?? prepareTransfer({ source: source(fit), target }, of, training, signal);
    prepared.set(key, data);
    return data;
  };
  const p = { ...settings, max_tokens: evaluation.max_tokens, bootstrap: evaluation.bootstrap };
  const env = { progress, signal };
  const shared: SharedOutcomes = await steerShared(await dataOf('with_tags', 'subject', input.subject), p, {
    ...env,
    rng: rng.fork('shared'),
    tags,
  });
  const samples = [...shared.samples];
  const draft_acceptance: Record<string, number> = { 'transfer.shared': shared.draft_acceptance };
  const transfer: Record<string, Partial<Record<MapFit, TransferEntry>>> = {};
  const tallies: Tally[] = [];
  const choosesAlpha = settings.modes.includes('add') && settings.alphas.length > 1;
  for (const [i, { label, map }] of maps.entries()) {
    const { fit } = map;
    const name = `${label}.${fit}`;
    const message = `steering by ${name}`;
    progress({ stage: 'transfer', done: i, total: maps.length, unit: 'maps', message });
    // α of a map is chosen on the source it was fitted on.
    const validation =
      input.validation !== undefined && choosesAlpha
        ? await dataOf(fit, 'validation', input.validation)
        : undefined;
    const data = await dataOf(fit, 'subject', input.subject);
    const result = await steerByMap(
      { data, shared, validation },
      { mapped: map, shuffled: controls.shuffled, tokenMean: controls.tokenMean },
      p,
      { ...env, rng: rng.fork(`transfer ${name}`), tags: { ...tags, map: { kind: label, fit } } },
    );
    (transfer[label] ??= {})[fit] = result.entry;
    samples.push(...result.samples);
    tallies.push(result.tally);
    draft_acceptance[`transfer.${name}`] = result.draft_acceptance;
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
