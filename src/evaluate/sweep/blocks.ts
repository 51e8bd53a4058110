/** @file The runs of the sweep: every arm at some of the blocks, over all prompts. A part of the blocks can be run in one place and the rest in another. */
import { InputError } from '../../base/index.ts';
import type { EvaluationSettings, SweepSettings } from '../../contracts/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { type ArmOptions, type ArmRun, judged, runArms } from '../arms/run.ts';
import { selfPatched } from '../arms/self.ts';
import { spansAfter } from '../arms/spans.ts';
import { noStats } from '../drafts/run.ts';
import type { ExperimentEnv } from '../env.ts';
import { type Subject, testedCases } from '../subject/subject.ts';
import { SweepArms } from './arms.ts';
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

/** One patched run, and how far it moved the choice between the safe and the bad completion, where that was asked. */
export interface SweptRun extends ArmRun {
  readonly shift?: number | undefined;
}

/** What came of some blocks. */
export interface SweptBlocks {
  readonly runs: readonly SweptRun[];
  /** Draft tokens checked, and those accepted. */
  readonly offeredTokens: number;
  readonly acceptedTokens: number;
}

/** Steer at every one of `blocks`. No runs where no prompt shows the behaviour. */
export async function sweepBlocks(
  input: SweepInput,
  p: SweepParams,
  blocks: readonly number[],
  { rng, progress, signal }: Pick<ExperimentEnv, 'rng' | 'signal' | 'progress'>,
): Promise<SweptBlocks> {
  const { model, subject } = input;
  const runs: SweptRun[] = [];
  const stats = noStats();
  const tested = testedCases(subject, 'bad');
  if (tested.length > 0) {
    const options = { max_tokens: p.max_tokens, progress, signal };
    const stage = sweepName(input);
    const spans = await spansAfter(model, blocks, subject.cases, signal);
    const contrasts = await logitContrasts(model, tested, signal);
    const arms = new SweepArms(spans, contrasts, p.controls, rng);
    const steered = runArms(
      model,
      subject,
      { blocks, armsOf: (place) => [...arms.steered(place), ...arms.noise(place, 0, p.draws)] },
      { ...options, stage, stats },
    );
    for await (const run of steered) {
      const contrast = contrasts.get(run.case);
      const isMeasured = run.probe !== undefined && contrast !== undefined;
      runs.push(isMeasured ? { ...run, shift: logitShift(run.probe, contrast) } : run);
    }
    if (p.controls.includes('self'))
      for (const [k, block] of blocks.entries()) {
        for await (const run of selfRuns(input, block, p, options)) runs.push(run);
        progress({ stage: `${stage}.self`, done: k + 1, total: blocks.length, unit: 'blocks' });
      }
  }
  const { offeredTokens, acceptedTokens } = stats;
  return { runs, offeredTokens, acceptedTokens };
}

/** Name of the progress events. */
export function sweepName({ side }: Pick<SweepInput, 'side'>): string {
  return side === undefined ? 'sweep' : `sweep.${side}`;
}

/** Blocks in order, each once. */
export function sweptBlocks(model: LanguageModel, wanted: SweepSettings['blocks']): number[] {
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
