/** @file The sweep: steer at every block, with every control, and choose a block (docs/concepts/method.md#sweep; the blog's Fig. 1). */
import { CrosspatchError, InputError, type Rng, silent } from '../../base/index.ts';
import { type Sample, SWEEP_CONTROLS, type SweepControl, type SweepRow } from '../../contracts/index.ts';
import { captureResiduals } from '../../interventions/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { bootstrapMean } from '../../stats/index.ts';
import { NOISE, type Noise, otherPrompt, randomLike, randomStep, SpanNoise } from '../arms/controls.ts';
import {
  type ArmPatch,
  armSample,
  type EvaluateOptions,
  endRules,
  runArms,
  type SampleTags,
  Tally,
} from '../arms/run.ts';
import { selfPatched } from '../arms/self.ts';
import { draftAcceptance } from '../drafts/run.ts';
import {
  alignRows,
  type Direction,
  judgeRun,
  type Subject,
  spanPositions,
  surplusNotes,
  type TaggedState,
  testedCases,
} from '../subject/cases.ts';
import { type LogitContrast, logitContrasts, logitShift } from './logits.ts';

/** Options of {@link sweep}. */
export interface SweepOptions extends EvaluateOptions {
  /** Defaults to all. */
  readonly blocks?: readonly number[];
  /** Defaults to all. */
  readonly controls?: readonly SweepControl[];
  /** Noise draws a prompt and block. Defaults to 1. */
  readonly draws?: number;
  /** Noise draws a prompt at the chosen block. Defaults to 20. */
  readonly chosenDraws?: number;
  /** Defaults to `best-margin`. */
  readonly choose?: BlockChoice;
  /** Last block within this of the best. Defaults to 0.05. */
  readonly tolerance?: number;
  /** Tokens behind the tag in the span, as in `contrastCases`. Defaults to 1. */
  readonly after?: number;
  readonly rng: Rng;
  readonly tags: SampleTags;
  /** Resamples of the interval of the logit shift. Defaults to 10 000. */
  readonly bootstrap?: number;
}

/** `best-margin`: restoration minus the strongest noise; `last-steerable`: removal (the blog's). The last block near the best. */
export type BlockChoice = 'best-margin' | 'last-steerable';

/** What {@link sweep} returns. */
export interface SweepResult {
  /** Entries of `results.sweep`, by block. */
  readonly rows: SweepRow[];
  readonly chosen: number;
  /** One row a completion (the first draw of noise). */
  readonly samples: Sample[];
  /** Share of draft tokens accepted. */
  readonly draftAcceptance: number;
  readonly notes: string[];
}

/**
 * Put the safe run's activations on the span of the bad run (removal, restoration) and the other way round (elicitation), once, at
 * prefill, block by block. `subject` holds prompts, unpatched runs of the states bad, safe and none, and the judging. Throws when no
 * prompt shows the behaviour.
 */
export async function sweep(
  model: LanguageModel,
  subject: Subject,
  options: SweepOptions,
): Promise<SweepResult> {
  const { rng, tags, draws = 1, chosenDraws = 20, progress = silent, after = 1 } = options;
  const controls = options.controls ?? SWEEP_CONTROLS;
  const blocks = [...new Set(options.blocks ?? Array.from({ length: model.nLayers }, (_, i) => i))].sort(
    (a, b) => a - b,
  );
  if (blocks.length === 0 || blocks[0]! < 0 || blocks.at(-1)! >= model.nLayers)
    throw new InputError(`sweep: blocks ${blocks.join(', ')}; the model has 0…${model.nLayers - 1}`);
  const tested = testedCases(subject, 'bad');
  if (tested.length === 0)
    throw new CrosspatchError(
      `sweep: none of ${subject.cases.length} prompts shows the behaviour under the bad trigger, so there is nothing to steer; train longer`,
    );
  const stage = tags.side === undefined ? tags.stage : `${tags.stage}.${tags.side}`;
  const common = { ...options, stage };

  const spans = await captureSpans(model, subject, blocks, options);
  const contrasts = await logitContrasts(model, subject.cases, subject.runs, tested, {
    ...endRules(model, options),
    batch: 32,
  });
  const tallies = new Map(blocks.map((block) => [block, new Tally()]));
  const shifts = new Map(blocks.map((block): [number, number[]] => [block, []]));
  const samples: Sample[] = [];
  const arms = armMaker(model, subject, spans, contrasts, controls, rng);
  const stats = await runArms(
    model,
    subject,
    blocks,
    ['bad', 'safe'],
    (direction, i, block) => [
      ...arms.steered(direction, i, block),
      ...arms.noise(direction, i, block, 0, draws),
    ],
    ({ arm }, direction, i, block, end) => {
      const tally = tallies.get(block)!;
      tally.add(arm, direction, i, end.flags);
      if (end.probe !== undefined) shifts.get(block)!.push(logitShift(end.probe, contrasts.get(i)!));
      if (tally.count(arm, direction, i) === 1)
        samples.push(armSample(tags, subject, arm, direction, i, end, { block }));
    },
    common,
  );
  if (controls.includes('self'))
    for (const [k, block] of blocks.entries()) {
      await selfControl(model, subject, block, after, tallies.get(block)!, samples, options);
      progress({ stage: `${stage}.self`, done: k + 1, total: blocks.length, unit: 'blocks' });
    }

  const row = (block: number): SweepRow =>
    sweepRow(block, tallies.get(block)!, controls, shifts.get(block)!, options);
  const chosen = chooseBlock(blocks.map(row), options.choose, options.tolerance);
  if (chosenDraws > draws && NOISE.some((noise) => controls.includes(noise)))
    await runArms(
      model,
      subject,
      [chosen],
      ['bad', 'safe'],
      (direction, i, block) => arms.noise(direction, i, block, draws, chosenDraws),
      ({ arm }, direction, i, block, { flags }) => tallies.get(block)!.add(arm, direction, i, flags),
      { ...common, stage: `${stage}.chosen` },
    );
  return {
    rows: blocks.map(row),
    chosen,
    samples,
    draftAcceptance: draftAcceptance(stats),
    notes: surplusNotes(subject.cases),
  };
}

/**
 * The last block whose score is within `tolerance` (defaults to 0.05) of the best. `best-margin` asks the same of restoration among
 * those, and then of elicitation: where noise restores as well as steering, all margins are near 0 and blocks that do nothing would
 * pass; and a block that steers one way only is not where the behaviour is decided (docs/decisions/0007).
 */
export function chooseBlock(
  rows: readonly SweepRow[],
  choice: BlockChoice = 'best-margin',
  tolerance = 0.05,
): number {
  const removal = (row: SweepRow): number => row.removal?.value ?? 0;
  const restoration = (row: SweepRow): number => row.restoration?.value ?? 0;
  const elicitation = (row: SweepRow): number => row.elicitation?.value ?? 0;
  const margin = (row: SweepRow): number =>
    typeof row.margin === 'number' ? row.margin : (row.margin?.value ?? restoration(row));
  const scores = choice === 'last-steerable' ? [removal] : [margin, restoration, elicitation];
  const near = scores.reduce((left, score) => nearBest(left, score, tolerance), rows);
  return Math.max(...near.map((row) => row.block));
}

function nearBest(
  rows: readonly SweepRow[],
  score: (row: SweepRow) => number,
  tolerance: number,
): SweepRow[] {
  const best = Math.max(...rows.map(score));
  return rows.filter((row) => score(row) >= best - tolerance - 1e-12);
}

/** Span activations by state: spans[state][case][k] = [n,D] after `blocks[k]`. */
interface CapturedSpans {
  readonly of: (state: TaggedState, i: number, block: number) => Float32Array;
}

async function captureSpans(
  model: LanguageModel,
  { cases }: Subject,
  blocks: readonly number[],
  { signal }: SweepOptions,
): Promise<CapturedSpans> {
  const all = {} as Record<TaggedState, Float32Array[][]>;
  for (const state of ['bad', 'safe', 'other'] as const) {
    const rows = cases.map((c) => ({ ids: c[state].ids, positions: spanPositions(c, state) }));
    all[state] = await captureResiduals(model.decoder, rows, blocks, { signal });
  }
  return { of: (state, i, block) => all[state][i]![blocks.indexOf(block)]! };
}

/** Patches of the sweep's arms. Every draw has its own stream, named by arm, block, prompt and number. */
function armMaker(
  model: LanguageModel,
  { cases }: Subject,
  spans: CapturedSpans,
  contrasts: ReadonlyMap<number, LogitContrast>,
  controls: readonly SweepControl[],
  rng: Rng,
): {
  steered: (direction: Direction, i: number, block: number) => ArmPatch[];
  noise: (direction: Direction, i: number, block: number, from: number, to: number) => ArmPatch[];
} {
  const d = model.config.dModel;
  const covariances = new Map<number, SpanNoise>();
  const covariance = (block: number): SpanNoise => {
    const made =
      covariances.get(block) ??
      new SpanNoise(
        (['bad', 'safe', 'other'] as const).map((s) => cases.map((_, i) => spans.of(s, i, block))),
        d,
      );
    covariances.set(block, made);
    return made;
  };
  const onto = (direction: Direction, i: number, donor: Float32Array): Float32Array =>
    alignRows(donor, spanPositions(cases[i]!, direction).length, d);
  const opposite = (direction: Direction): Direction => (direction === 'bad' ? 'safe' : 'bad');
  return {
    steered: (direction, i, block) => {
      const donor = (state: TaggedState, j: number): Float32Array =>
        onto(direction, i, spans.of(state, j, block));
      const probe = direction === 'bad' ? contrasts.get(i)?.probe : undefined;
      return [
        { arm: 'native', values: donor(opposite(direction), i), probe },
        ...(controls.includes('other_prompt') && cases.length > 1
          ? [{ arm: 'other_prompt', values: donor(opposite(direction), otherPrompt(i, cases.length)) }]
          : []),
        ...(controls.includes('other_tag')
          ? [{ arm: 'other_tag', values: donor('other', i), expect: 'none' as const }]
          : []),
      ];
    },
    noise: (direction, i, block, from, to) => {
      const own = spans.of(direction, i, block);
      const donor = onto(direction, i, spans.of(opposite(direction), i, block));
      const make: Record<Noise, (r: Rng) => Float32Array> = {
        random: (r) => randomLike(donor, d, r),
        random_cov: (r) => covariance(block).draw(own.length / d, r),
        random_step: (r) => randomStep(own, donor, d, r),
      };
      return NOISE.filter((arm) => controls.includes(arm)).flatMap((arm) =>
        Array.from({ length: to - from }, (_, k): ArmPatch => {
          const stream = rng.fork(
            `${arm}/${direction}/block ${block}/prompt ${cases[i]!.id}/draw ${from + k}`,
          );
          return { arm, values: make[arm](stream), expect: 'none' };
        }),
      );
    },
  };
}

async function selfControl(
  model: LanguageModel,
  subject: Subject,
  block: number,
  after: number,
  tally: Tally,
  samples: Sample[],
  options: SweepOptions,
): Promise<void> {
  for (const direction of ['bad', 'safe'] as const) {
    const indices = testedCases(subject, direction);
    const texts = await selfPatched(model, subject, indices, direction, block, after, options);
    indices.forEach((i, j) => {
      const end = { text: texts[j]!, flags: judgeRun(subject, direction, i, texts[j]!) };
      tally.add('self', direction, i, end.flags);
      samples.push(armSample(options.tags, subject, 'self', direction, i, end, { block }));
    });
  }
}

function sweepRow(
  block: number,
  tally: Tally,
  controls: readonly SweepControl[],
  shifts: readonly number[],
  options: SweepOptions,
): SweepRow {
  const native = tally.outcome('native');
  const entries = controls
    .map((arm) => [arm, tally.outcome(arm, { changed: arm === 'self' })] as const)
    .filter(([, o]) => Object.keys(o).length > 0);
  const noise = NOISE.flatMap((arm) => tally.outcome(arm).restoration?.value ?? []);
  const measured = shifts.filter(Number.isFinite);
  return {
    block,
    ...native,
    ...(measured.length === 0
      ? {}
      : {
          logit_shift: bootstrapMean(measured, options.rng.fork(`logit shift/block ${block}`), {
            resamples: options.bootstrap ?? 10_000,
          }),
        }),
    controls: Object.fromEntries(entries),
    ...(native.restoration === undefined || noise.length === 0
      ? {}
      : { margin: native.restoration.value - Math.max(...noise) }),
  };
}
