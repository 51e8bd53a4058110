/**
 * @file Steering transfer (docs/concepts/method.md#transfer; the blog's Fig. 8-9): the source's span activations, mapped, put on the target's span; every
 * arm and control over the same prompts T. What does not depend on the map (native steering, noise) is run once a pair of blocks.
 */
import { CrosspatchError, type Rng } from '../../base/index.ts';
import {
  NOISE_ARMS,
  type Outcome,
  type Sample,
  TRANSFER_ARMS,
  type TransferArm,
  type TransferEntry,
} from '../../contracts/index.ts';
import { bootstrapMean, nonInferiority, rate } from '../../stats/index.ts';
import { NOISE, type Noise, randomLike, randomStep, SpanNoise } from '../arms/controls.ts';
import { armSample, type EvaluateOptions, runArms, type SampleTags, Tally } from '../arms/run.ts';
import {
  type BlockOf,
  type MapFn,
  mapSpans,
  type StateSpans,
  sourceSpans,
  targetSpans,
} from '../arms/spans.ts';
import { draftAcceptance } from '../drafts/run.ts';
import {
  alignRows,
  type ContrastCase,
  type Direction,
  type Flags,
  type Subject,
  spanPositions,
  testedCases,
} from '../subject/cases.ts';
import { type ArmSpans, mappedArms } from './arms.ts';
import { margins } from './margins.ts';

/** Everything about a pair of blocks and its prompts that no map changes. */
export interface TransferData {
  readonly source: BlockOf;
  readonly target: BlockOf;
  readonly subject: Subject;
  /** The target's own span activations. */
  readonly native: StateSpans;
  /** The source's, at the same text. */
  readonly given: StateSpans;
  /** The source's on training prompts, for the static vector; with their cases. */
  readonly training: { readonly cases: readonly ContrastCase[]; readonly spans: StateSpans } | undefined;
}

/**
 * Capture both models at their blocks over the subject's prompts (tokenised for the target). `trainingCases` are for the static
 * vector. Throws when no prompt shows the behaviour unpatched.
 */
export async function prepareTransfer(
  source: BlockOf,
  target: BlockOf,
  subject: Subject,
  options: {
    readonly trainingCases?: readonly ContrastCase[];
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<TransferData> {
  const { trainingCases, signal } = options;
  if (testedCases(subject, 'bad').length === 0)
    throw new CrosspatchError(
      `transfer: none of ${subject.cases.length} prompts shows the behaviour in the target, so there is nothing to steer; train longer`,
    );
  return {
    source,
    target,
    subject,
    native: await targetSpans(target, subject.cases, signal),
    given: await sourceSpans(source, subject.cases, signal),
    training: trainingCases && {
      cases: trainingCases,
      spans: await sourceSpans(source, trainingCases, signal),
    },
  };
}

/** Options of {@link transferShared}. */
export interface TransferOptions extends EvaluateOptions {
  readonly rng: Rng;
  readonly tags: SampleTags;
  /** Defaults to all. */
  readonly arms?: readonly TransferArm[];
  /** Noise draws a prompt. Defaults to 20. */
  readonly draws?: number;
}

/** Outcomes of the arms that no map changes. */
export interface SharedArms {
  readonly tally: Tally;
  readonly samples: readonly Sample[];
  readonly draftAcceptance: number;
}

/** Native steering and noise, `set`, once for all maps of a pair of blocks. */
export async function transferShared(data: TransferData, options: TransferOptions): Promise<SharedArms> {
  const { rng, tags, draws = 20 } = options;
  const arms = options.arms ?? TRANSFER_ARMS;
  const { subject, native, target } = data;
  const d = target.model.config.dModel;
  const covariance = new SpanNoise([native.bad, native.safe, native.other], d);
  const tally = new Tally();
  const samples: Sample[] = [];
  const stats = await runArms(
    target.model,
    subject,
    [target.block],
    ['bad', 'safe'],
    (direction, i) => {
      const own = native[direction][i]!;
      const donor = alignRows(native[opposite(direction)][i]!, own.length / d, d);
      const make: Record<Noise, (r: Rng) => Float32Array> = {
        random: (r) => randomLike(donor, d, r),
        random_cov: (r) => covariance.draw(own.length / d, r),
        random_step: (r) => randomStep(own, donor, d, r),
      };
      const noise = NOISE.filter((arm) => arms.includes(arm)).flatMap((arm) =>
        Array.from({ length: draws }, (_, k) => {
          const stream = rng.fork(`${arm}/${direction}/prompt ${subject.cases[i]!.id}/draw ${k}`);
          return { arm, values: make[arm](stream), expect: 'none' as const };
        }),
      );
      return [{ arm: 'native', values: donor }, ...noise];
    },
    ({ arm }, direction, i, block, end) => {
      tally.add(arm, direction, i, end.flags);
      if (tally.count(arm, direction, i) === 1)
        samples.push(armSample(tags, subject, arm, direction, i, end, { block, tokens: arm === 'native' }));
    },
    { ...options, stage: `${tags.stage}.shared` },
  );
  return { tally, samples, draftAcceptance: draftAcceptance(stats) };
}

/** The maps of one entry: the map itself, and the control maps put beside it. */
export interface TransferMaps {
  readonly mapped: MapFn;
  readonly shuffled?: MapFn;
  readonly tokenMean?: MapFn;
}

/** Options of {@link transferMap}. */
export interface TransferMapOptions extends Omit<TransferOptions, 'draws'> {
  /** The first is the main one; `add` behind `set` stands beside it. Defaults to `['set', 'add']`. */
  readonly modes?: readonly ('set' | 'add')[];
  /** Strengths tried for `add` on the validation prompts. Defaults to 0.5, 1, 1.5, 2. */
  readonly alphas?: readonly number[];
  /** Data of validation prompts; without them, and several α to choose from, α is 1. */
  readonly validation?: TransferData;
  /** Defaults to 0.05. */
  readonly noninferiorityMargin?: number;
  /** Resamples of an interval. Defaults to 10 000. */
  readonly bootstrap?: number;
}

/** An entry of `results.transfer`, with its sample rows. */
export interface TransferResult {
  readonly entry: TransferEntry;
  readonly samples: Sample[];
  readonly draftAcceptance: number;
}

/** Steer the target by one map, with every arm; native and noise are taken from `shared`. */
export async function transferMap(
  data: TransferData,
  shared: SharedArms,
  maps: TransferMaps,
  options: TransferMapOptions,
): Promise<TransferResult> {
  const { modes = ['set', 'add'] } = options;
  const mode = modes[0] ?? 'set';
  const spans = await armSpans(data, maps);
  const samples: Sample[] = [];
  const accepted: number[] = [];
  const run = async (which: 'set' | 'add', alpha: number): Promise<Tally> => {
    const tally = new Tally();
    const tags = {
      ...options.tags,
      stage: which === mode ? options.tags.stage : `${options.tags.stage}.${which}`,
    };
    const stats = await runMapped(data, spans, which, alpha, options, (arm, direction, i, block, end) => {
      tally.add(arm, direction, i, end.flags);
      if (tally.count(arm, direction, i) === 1)
        samples.push(
          armSample(tags, data.subject, arm, direction, i, end, { block, tokens: arm === 'mapped' }),
        );
    });
    accepted.push(stats);
    return tally;
  };
  const alpha = modes.includes('add') ? await chooseAlpha(maps, options) : 1;
  const tally = await run(mode, mode === 'add' ? alpha : 1);
  const beside = mode === 'set' && modes.includes('add') ? await run('add', alpha) : undefined;
  return {
    entry: {
      mode,
      alpha: mode === 'add' ? alpha : 1,
      ...entryFigures(data, shared, tally, mode, options),
      ...nativeAlignment(data, spans, options),
      ...(beside !== undefined ? { add: { alpha, arms: armOutcomes(beside, undefined, options) } } : {}),
    },
    samples,
    draftAcceptance: accepted.reduce((a, b) => a + b, 0) / accepted.length,
  };
}

async function armSpans(
  data: TransferData,
  { mapped, shuffled, tokenMean }: TransferMaps,
): Promise<ArmSpans> {
  const { subject, given, training, native, source, target } = data;
  const widths = { source: source.model.config.dModel, target: target.model.config.dModel };
  const through = (fn: MapFn): Promise<StateSpans> => mapSpans(fn, given, subject.cases, widths);
  return {
    native,
    mapped: await through(mapped),
    static: training && (await mapSpans(mapped, training.spans, training.cases, widths)),
    shuffled: shuffled && (await through(shuffled)),
    token_mean: tokenMean && (await through(tokenMean)),
  };
}

type Take = (
  arm: string,
  direction: Direction,
  i: number,
  block: number,
  end: { text: string; flags: Flags },
) => void;

/** Arms that hang on the map; under `add` the native one and a random step beside them. Returns the acceptance rate. */
async function runMapped(
  data: TransferData,
  spans: ArmSpans,
  mode: 'set' | 'add',
  alpha: number,
  options: TransferMapOptions,
  take: Take,
): Promise<number> {
  const { target, subject } = data;
  const wanted = options.arms ?? TRANSFER_ARMS;
  const stats = await runArms(
    target.model,
    subject,
    [target.block],
    ['bad', 'safe'],
    (direction, i) =>
      mappedArms(spans, subject.cases, direction, i, {
        mode,
        alpha,
        wanted,
        width: target.model.config.dModel,
        rng: options.rng,
      }),
    ({ arm }, direction, i, block, end) => take(arm, direction, i, block, end),
    { ...options, stage: `${options.tags.stage}.${mode}` },
  );
  return draftAcceptance(stats);
}

/** α with the best restoration of the mapped vector on validation prompts; of equals the one nearest 1. */
async function chooseAlpha(maps: TransferMaps, options: TransferMapOptions): Promise<number> {
  const { validation, alphas = [0.5, 1, 1.5, 2] } = options;
  if (alphas.length === 1) return alphas[0]!;
  if (validation === undefined) return 1;
  const spans = await armSpans({ ...validation, training: undefined }, { mapped: maps.mapped });
  let best = { alpha: 1, score: Number.NEGATIVE_INFINITY };
  for (const alpha of [...alphas].sort((a, b) => Math.abs(a - 1) - Math.abs(b - 1) || a - b)) {
    const tally = new Tally();
    await runMapped(
      validation,
      spans,
      'add',
      alpha,
      { ...options, arms: ['mapped'] },
      (arm, direction, i, _block, end) => tally.add(arm, direction, i, end.flags),
    );
    const { restoration, elicitation } = tally.outcome('mapped');
    // Elicitation breaks ties: α that steers both ways.
    const score = (restoration?.value ?? 0) + 1e-3 * (elicitation?.value ?? 0);
    if (score > best.score) best = { alpha, score };
  }
  return best.alpha;
}

function armOutcomes(
  tally: Tally,
  shared: Tally | undefined,
  { arms }: TransferMapOptions,
): TransferEntry['arms'] {
  const out: Partial<Record<TransferArm, Outcome>> = {};
  for (const arm of arms ?? TRANSFER_ARMS) {
    const own = tally.outcome(arm, { changed: arm.startsWith('mapped_') });
    const outcome = Object.keys(own).length > 0 ? own : (shared?.outcome(arm) ?? {});
    if (Object.keys(outcome).length > 0) out[arm] = outcome;
  }
  return out;
}

/** Rates, margins and the comparison with native steering. */
function entryFigures(
  { subject }: TransferData,
  shared: SharedArms,
  tally: Tally,
  mode: 'set' | 'add',
  options: TransferMapOptions,
): Omit<TransferEntry, 'mode' | 'alpha' | 'add' | 'native_alignment'> {
  const arms = armOutcomes(tally, shared.tally, options);
  const source = mode === 'set' ? shared.tally : tally;
  const native = source.each('native', 'bad', 'removed');
  const mapped = tally.each('mapped', 'bad', 'removed');
  const nested = mapped.filter((_, k) => native[k]);
  const bad = subject.runs.bad!.map((run) => subject.judging.detect(run.text).shows);
  const noise = (names: readonly TransferArm[]): number[] =>
    names.flatMap((arm) => arms[arm]?.restoration?.value ?? []);
  const margin = (names: readonly TransferArm[]): number | undefined => {
    const values = noise(names);
    const restored = arms.mapped?.restoration?.value;
    return restored === undefined || values.length === 0 ? undefined : restored - Math.max(...values);
  };
  const [whole, without] = [margin(NOISE_ARMS), margin(NOISE_ARMS.filter((arm) => arm !== 'shuffled'))];
  const restored = Object.fromEntries(
    (options.arms ?? TRANSFER_ARMS).map((arm) => {
      const own = tally.draws(arm, 'bad');
      const draws = own.length > 0 ? own : shared.tally.draws(arm, 'bad');
      return [arm, draws.map((flags) => flags.map((f) => f.restored === true))];
    }),
  );
  const restoredNative = source.each('native', 'bad', 'restored');
  const test =
    restoredNative.length === 0
      ? undefined
      : nonInferiority(
          restoredNative,
          tally.each('mapped', 'bad', 'restored'),
          options.noninferiorityMargin ?? 0.05,
        );
  return {
    trigger_rate: rate(bad),
    ...(native.length === 0 ? {} : { steering_success_rate: rate(native) }),
    ...(nested.length === 0 ? {} : { transfer_rate: rate(nested) }),
    arms,
    margin: whole,
    margin_without_shuffled: without,
    ...margins(restored, options.rng.fork('margins'), options.bootstrap ?? 10_000),
    ...(test === undefined
      ? {}
      : { noninferiority: { difference: test.difference, ci95: test.ci95, p: test.p } }),
  };
}

/** Cosine and norm ratio of the mapped steering vector f(safe) − f(bad) to the native one, over the whole span, mean over T. */
function nativeAlignment(
  { subject, target }: TransferData,
  { native, mapped }: ArmSpans,
  options: TransferMapOptions,
): Pick<TransferEntry, 'native_alignment'> {
  const d = target.model.config.dModel;
  const cosines: number[] = [];
  const ratios: number[] = [];
  for (const i of testedCases(subject, 'bad')) {
    const n = spanPositions(subject.cases[i]!, 'bad').length;
    const [a, b] = [mapped, native].map((s) =>
      difference(alignRows(s.safe[i]!, n, d), alignRows(s.bad[i]!, n, d)),
    );
    const [aa, bb, ab] = [dot(a!, a!), dot(b!, b!), dot(a!, b!)];
    if (aa === 0 || bb === 0) continue;
    cosines.push(ab / Math.sqrt(aa * bb));
    ratios.push(Math.sqrt(aa / bb));
  }
  if (cosines.length === 0) return {};
  const resamples = { resamples: options.bootstrap ?? 10_000 };
  return {
    native_alignment: {
      cossim: bootstrapMean(cosines, options.rng.fork('alignment cosine'), resamples),
      norm_ratio: bootstrapMean(ratios, options.rng.fork('alignment norm'), resamples),
    },
  };
}

function opposite(direction: Direction): Direction {
  return direction === 'bad' ? 'safe' : 'bad';
}

function difference(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((x, i) => x - b[i]!);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
