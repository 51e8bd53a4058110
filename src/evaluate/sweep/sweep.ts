/** @file The sweep: steer at every block, with every control, and choose a block (docs/concepts/method.md#sweep; the blog's Fig. 1). */
import { CrosspatchError } from '../../base/index.ts';
import type { Heatmap, Sample, SweepControl, SweepRow, SweepSettings } from '../../contracts/index.ts';
import { bootstrapMean } from '../../stats/index.ts';
import { NOISE } from '../arms/controls.ts';
import { type ArmRun, runArms } from '../arms/run.ts';
import { armSample, type SampleTags } from '../arms/samples.ts';
import { spansAfter } from '../arms/spans.ts';
import { Tally } from '../arms/tally.ts';
import { draftAcceptance } from '../drafts/run.ts';
import type { ExperimentEnv } from '../env.ts';
import { surplusNotes } from '../subject/cases.ts';
import { type Subject, testedCases } from '../subject/subject.ts';
import { SweepArms } from './arms.ts';
import {
  type SweepInput,
  type SweepParams,
  type SweptBlocks,
  sweepBlocks,
  sweepName,
  sweptBlocks,
} from './blocks.ts';
import { heatmap } from './heatmap.ts';

/** `best-margin`: restoration minus the strongest noise; `last-steerable`: removal (the blog's). The last block near the best. */
export type BlockChoice = SweepSettings['choose'];

/** What {@link sweep} returns. */
export interface SweepResult {
  /** Entries of `results.sweep`, by block. */
  readonly rows: SweepRow[];
  readonly chosen: number;
  readonly heatmap: Heatmap | undefined;
  /** One row per completion (the first draw of noise). */
  readonly samples: Sample[];
  /** Share of draft tokens accepted. */
  readonly draft_acceptance: number;
  readonly notes: string[];
}

/**
 * Put the safe run's activations on the span of the bad run (removal, restoration) and the other way round (elicitation), once, at
 * prefill, block by block; then choose a block and give it more noise. `swept`: the runs, where they have been made in parts. Throws when no
 * prompt shows the behaviour.
 */
export async function sweep(
  input: SweepInput,
  p: SweepParams,
  env: Pick<ExperimentEnv, 'rng' | 'signal' | 'progress'>,
  swept?: SweptBlocks,
): Promise<SweepResult> {
  const { model, subject, side } = input;
  const { rng, progress, signal } = env;
  const tags: SampleTags = { behaviour: input.behaviour, stage: 'sweep', side };
  const blocks = sweptBlocks(model, p.blocks);
  const tested = testedCases(subject, 'bad');
  if (tested.length === 0 && p.block !== undefined) return unswept(p.block, subject, side);
  if (tested.length === 0)
    throw new CrosspatchError(
      `sweep: the ${side === undefined ? 'model' : `${side} model`} does not show the behaviour: none of ${subject.cases.length} prompts does under the bad trigger, so there is nothing to steer; train it longer or, if it came with the behaviour, check triggers, placement and template`,
      { id: 'nothing-to-steer' },
    );
  const made = swept ?? (await sweepBlocks(input, p, blocks, env));
  const found = new Map(blocks.map((block) => [block, new BlockOutcomes(block, subject)]));
  const at = (block: number): BlockOutcomes => found.get(block) as BlockOutcomes;
  const samples: Sample[] = [];
  for (const run of made.runs) {
    const { tally, shifts } = at(run.block);
    if (run.shift !== undefined) shifts.push(run.shift);
    if (tally.add(run) === 1 || run.arm === 'self') samples.push(armSample(tags, run));
  }
  const row = (block: number): SweepRow => at(block).row(p, rng);
  const chosen = chooseBlock(blocks.map(row), p.choose, p.tolerance);
  for await (const run of moreNoise(input, chosen, p, env)) at(run.block).tally.add(run);
  const map =
    input.heatmap &&
    (await heatmap(
      model,
      input.heatmap.subject,
      { blocks, prompts: input.heatmap.prompts },
      {
        progress,
        signal,
        stage: 'heatmap',
      },
    ));
  const whose = side === undefined ? 'model' : `${side} model`;
  const missing = `heat map: left out, no validation prompt shows the behaviour in the ${whose}`;
  return {
    rows: blocks.map(row),
    chosen,
    heatmap: map,
    samples,
    draft_acceptance: draftAcceptance(made),
    notes: [
      ...surplusNotes(subject.cases, whose),
      ...(input.heatmap !== undefined && map === undefined ? [missing] : []),
    ],
  };
}

/** Further draws of noise at the chosen block. */
async function* moreNoise(
  input: SweepInput,
  block: number,
  p: SweepParams,
  { rng, progress, signal }: Pick<ExperimentEnv, 'rng' | 'signal' | 'progress'>,
): AsyncGenerator<ArmRun, void, undefined> {
  if (p.chosen_draws <= p.draws || !NOISE.some((noise) => p.controls.includes(noise))) return;
  const { model, subject } = input;
  const spans = await spansAfter(model, [block], subject.cases, signal);
  const arms = new SweepArms(spans, new Map(), p.controls, rng);
  yield* runArms(
    model,
    subject,
    { blocks: [block], armsOf: (place) => arms.noise(place, p.draws, p.chosen_draws) },
    { max_tokens: p.max_tokens, progress, signal, stage: `${sweepName(input)}.chosen` },
  );
}

/**
 * The last block whose score is within `tolerance` of the best. `best-margin` asks the same of restoration among those, and then of
 * elicitation: where noise restores as well as steering, all margins are near 0 and blocks that do nothing would pass; and a block
 * that steers one way only is not where the behaviour is decided (docs/decisions/0007).
 */
export function chooseBlock(rows: readonly SweepRow[], choice: BlockChoice, tolerance: number): number {
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

/** What came of one block. */
class BlockOutcomes {
  readonly block: number;
  readonly tally: Tally;
  readonly shifts: number[] = [];

  constructor(block: number, { cases }: Subject) {
    this.block = block;
    this.tally = new Tally(cases);
  }

  /** The block's entry of results. */
  row(p: SweepParams, rng: ExperimentEnv['rng']): SweepRow {
    const { tally, block } = this;
    const native = tally.outcome('native');
    const noise = NOISE.flatMap((arm) => tally.outcome(arm).restoration?.value ?? []);
    const measured = this.shifts.filter(Number.isFinite);
    const control = (arm: SweepControl) =>
      arm === 'self' ? tally.outcomeWithChanged(arm) : tally.outcome(arm);
    return {
      block,
      ...native,
      logit_shift:
        measured.length === 0
          ? undefined
          : bootstrapMean(measured, rng.fork(`logit shift/block ${block}`), { resamples: p.bootstrap }),
      controls: Object.fromEntries(
        p.controls.filter((arm) => tally.has(arm)).map((arm) => [arm, control(arm)]),
      ),
      margin:
        native.restoration === undefined || noise.length === 0
          ? undefined
          : native.restoration.value - Math.max(...noise),
    };
  }
}

/** A model that does not show the behaviour (a clean source): there is nothing to choose a block by. */
function unswept(block: number, { cases }: Subject, side: 'source' | 'target' | undefined): SweepResult {
  return {
    rows: [],
    chosen: block,
    heatmap: undefined,
    samples: [],
    draft_acceptance: 1,
    notes: [
      `The ${side === undefined ? 'model' : `${side} model`} was not swept: none of ${cases.length} prompts shows the behaviour in it. Block ${block} is the recipe’s.`,
    ],
  };
}
