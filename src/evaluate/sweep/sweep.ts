/** @file The sweep: steer at every block, with every control, and choose a block (docs/concepts/method.md#sweep; the blog's Fig. 1). */
import { CrosspatchError, InputError } from '../../base/index.ts';
import type {
  EvaluationSettings,
  Heatmap,
  Sample,
  SweepControl,
  SweepRow,
  SweepSettings,
} from '../../contracts/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { bootstrapMean } from '../../stats/index.ts';
import { NOISE } from '../arms/controls.ts';
import { type ArmOptions, type ArmRun, judged, runArms } from '../arms/run.ts';
import { armSample, type SampleTags } from '../arms/samples.ts';
import { selfPatched } from '../arms/self.ts';
import { spansAfter } from '../arms/spans.ts';
import { Tally } from '../arms/tally.ts';
import { draftAcceptance, noStats } from '../drafts/run.ts';
import type { ExperimentEnv } from '../env.ts';
import { surplusNotes } from '../subject/cases.ts';
import { type Subject, testedCases } from '../subject/subject.ts';
import { SweepArms } from './arms.ts';
import { heatmap } from './heatmap.ts';
import { logitContrasts, logitShift } from './logits.ts';

/** The model that is steered, on which prompts. */
export interface SweepInput {
  readonly model: LanguageModel;
  /** Prompts with the model's unpatched completions. */
  readonly subject: Subject;
  /** Prompts of the heat map, where there is one. Those that do not show the behaviour are passed over. */
  readonly heatmap?: { readonly subject: Subject; readonly prompts: number } | undefined;
  readonly behaviour: string;
  /** Which of a pair it is. */
  readonly side?: 'source' | 'target' | undefined;
}

/** Settings of {@link sweep}: the recipe's sections. */
export type SweepParams = Omit<SweepSettings, 'prompts'> &
  Omit<EvaluationSettings, 'batch'> & {
    /** Tokens after the tag in the span, as in `contrastCases`. */
    readonly after: number;
    /** The block is given, so that a model without the behaviour needs no sweep. */
    readonly block?: number | undefined;
  };

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
 * prefill, block by block; then choose a block and give it more noise. Throws when no prompt shows the behaviour.
 */
export async function sweep(
  input: SweepInput,
  p: SweepParams,
  { rng, progress, signal }: Pick<ExperimentEnv, 'rng' | 'signal' | 'progress'>,
): Promise<SweepResult> {
  const { model, subject, side } = input;
  const tags: SampleTags = { behaviour: input.behaviour, stage: 'sweep', side };
  const stage = side === undefined ? 'sweep' : `sweep.${side}`;
  const blocks = blocksOf(model, p.blocks);
  const tested = testedCases(subject, 'bad');
  if (tested.length === 0 && p.block !== undefined) return unswept(p.block, subject, side);
  if (tested.length === 0)
    throw new CrosspatchError(
      `sweep: the ${side === undefined ? 'model' : `${side} model`} does not show the behaviour: none of ${subject.cases.length} prompts does under the bad trigger, so there is nothing to steer; train it longer or, if it came with the behaviour, check triggers, placement and template`,
      { id: 'nothing-to-steer' },
    );
  const options = { max_tokens: p.max_tokens, progress, signal };
  const spans = await spansAfter(model, blocks, subject.cases, signal);
  const contrasts = await logitContrasts(model, tested, signal);
  const arms = new SweepArms(spans, contrasts, p.controls, rng);
  const found = new Map(blocks.map((block) => [block, new BlockOutcomes(block, subject)]));
  const at = (block: number): BlockOutcomes => found.get(block) as BlockOutcomes;
  const samples: Sample[] = [];
  const stats = noStats();
  const runs = runArms(
    model,
    subject,
    { blocks, armsOf: (place) => [...arms.steered(place), ...arms.noise(place, 0, p.draws)] },
    { ...options, stage, stats },
  );
  for await (const run of runs) {
    const { tally, shifts } = at(run.block);
    const contrast = contrasts.get(run.case);
    if (run.probe !== undefined && contrast !== undefined) shifts.push(logitShift(run.probe, contrast));
    if (tally.add(run) === 1) samples.push(armSample(tags, run));
  }
  if (p.controls.includes('self'))
    for (const [k, block] of blocks.entries()) {
      for await (const run of selfRuns(input, block, p, options)) {
        at(block).tally.add(run);
        samples.push(armSample(tags, run));
      }
      progress({ stage: `${stage}.self`, done: k + 1, total: blocks.length, unit: 'blocks' });
    }

  const row = (block: number): SweepRow => at(block).row(p, rng);
  const chosen = chooseBlock(blocks.map(row), p.choose, p.tolerance);
  if (p.chosen_draws > p.draws && NOISE.some((noise) => p.controls.includes(noise))) {
    const more = runArms(
      model,
      subject,
      { blocks: [chosen], armsOf: (place) => arms.noise(place, p.draws, p.chosen_draws) },
      { ...options, stage: `${stage}.chosen` },
    );
    for await (const run of more) at(run.block).tally.add(run);
  }
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
    draft_acceptance: draftAcceptance(stats),
    notes: [
      ...surplusNotes(subject.cases, whose),
      ...(input.heatmap !== undefined && map === undefined ? [missing] : []),
    ],
  };
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

/** Blocks in order, each once. */
function blocksOf(model: LanguageModel, wanted: SweepSettings['blocks']): number[] {
  if (wanted === 'all') return Array.from({ length: model.nLayers }, (_, i) => i);
  const blocks = [...new Set(wanted)].sort((a, b) => a - b);
  if (blocks.length === 0 || blocks.some((b) => b < 0 || b >= model.nLayers))
    throw new InputError(`sweep: blocks ${blocks.join(', ')}; the model has 0…${model.nLayers - 1}`, {
      id: 'block-unknown',
    });
  return blocks;
}

/** The control `self` as runs like the other arms'. */
async function* selfRuns(
  { model, subject }: SweepInput,
  block: number,
  { after, max_tokens }: SweepParams,
  { signal }: Pick<ArmOptions, 'signal'>,
): AsyncGenerator<ArmRun, void, undefined> {
  for (const direction of ['bad', 'safe'] as const) {
    const cases = testedCases(subject, direction);
    const answers = await selfPatched(model, cases, { direction, block, after }, { max_tokens, signal });
    const runs = [...answers].map(([c, answer]) => ({ case: c, direction, block, arm: 'self', ...answer }));
    yield* await judged(subject, runs);
  }
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
