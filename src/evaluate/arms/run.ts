/** @file Patched runs of many arms at the span, by verified drafts. */
import type { ProgressSink } from '../../base/index.ts';
import type { PatchMode } from '../../interventions/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { EndRules } from '../drafts/decode.ts';
import { type Draft, type DraftStats, type Probe, runDrafted } from '../drafts/run.ts';
import { type Direction, opposite } from '../subject/cases.ts';
import { type Case, completionText } from '../subject/completions.ts';
import { type Flags, judgeRuns, type PatchedAnswer, type Subject, testedCases } from '../subject/subject.ts';

/** Where a patched run is: the prompt, which of its runs, after which block. */
export interface Place {
  readonly case: Case;
  readonly direction: Direction;
  readonly block: number;
}

/** One arm at one place: what is put on the span of the patched run. */
export interface ArmPatch {
  readonly arm: string;
  /** [span, D] of the patched run. */
  readonly values: Float32Array;
  /** Defaults to `set`. */
  readonly mode?: PatchMode;
  /** State whose unpatched completion is tried first. Defaults to `safe` for the bad run, `bad` for the safe run. */
  readonly expect?: 'bad' | 'safe' | 'none';
  readonly probe?: Probe | undefined;
}

/** One arm at one place, run and judged. */
export interface ArmRun extends Place {
  readonly arm: string;
  readonly text: string;
  readonly flags: Flags;
  /** logit(up) − logit(down) of the probe. */
  readonly probe?: number | undefined;
}

/** Which arms are run where. */
export interface ArmPlan {
  readonly blocks: readonly number[];
  /** Defaults to both. */
  readonly directions?: readonly Direction[];
  /** An arm that is named several times is several draws. */
  readonly armsOf: (place: Place) => readonly ArmPatch[];
}

/** How the runs are decoded, and who hears of them. */
export interface ArmOptions {
  readonly max_tokens: number;
  readonly progress?: ProgressSink | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Name of the progress events. */
  readonly stage: string;
  /** Counts up while runs end. */
  readonly stats?: DraftStats;
}

/** A completion ends at the tokenizer's end-of-text tokens, or after `max_tokens`. */
export function endRules(
  model: LanguageModel,
  { max_tokens, signal }: { readonly max_tokens: number; readonly signal?: AbortSignal | undefined },
): EndRules {
  return { maxNewTokens: max_tokens, stopTokens: model.tokenizer.eosIds, signal };
}

/** Completions read at once: a detector that runs a model or asks a server is quicker with many. */
const READ_AT_ONCE = 64;

/** Run every arm of every tested case at every block, and judge it. */
export async function* runArms(
  model: LanguageModel,
  subject: Subject,
  { blocks, directions = ['bad', 'safe'], armsOf }: ArmPlan,
  options: ArmOptions,
): AsyncGenerator<ArmRun, void, undefined> {
  const runs = directions.flatMap((direction) =>
    testedCases(subject, direction).map((c) => ({ case: c, direction, drafts: draftsOf(c, direction) })),
  );
  const ended = runDrafted(
    model.decoder,
    {
      rows: runs.map(({ case: c, direction, drafts }) => {
        const { ids, span } = c.states[direction];
        return { ids, drafts: drafts.list, from: span.start };
      }),
      blocks,
      runsOf: (row, block) => {
        const { case: c, direction, drafts } = runs[row];
        const { positions } = c.states[direction];
        const { choice } = c.states[direction];
        return armsOf({ case: c, direction, block }).map(({ arm, values, mode = 'set', expect, probe }) => {
          const draft = drafts.of[expect ?? opposite(direction)];
          return {
            arm,
            positions,
            values,
            mode,
            draft,
            probe: choice ?? probe,
            isProbed: probe !== undefined,
          };
        });
      },
    },
    { ...endRules(model, options), stage: options.stage, stats: options.stats, progress: options.progress },
  );
  let unread: UnreadRun[] = [];
  for await (const { row, block, run, outcome } of ended) {
    const { case: c, direction } = runs[row];
    const text = completionText(model.tokenizer, outcome.ids);
    const { probe } = outcome;
    const choice = c.states[direction].choice && probe;
    const asked = run.isProbed ? probe : undefined;
    unread.push({ case: c, direction, block, arm: run.arm, text, choice, probe: asked });
    if (unread.length < READ_AT_ONCE) continue;
    yield* await judged(subject, unread);
    unread = [];
  }
  yield* await judged(subject, unread);
}

/** A run that has ended and is not judged yet. */
type UnreadRun = PatchedAnswer & Omit<ArmRun, 'flags'>;

/** Runs with their flags, in their order. */
export async function judged(
  { judging }: Pick<Subject, 'judging'>,
  runs: readonly UnreadRun[],
): Promise<ArmRun[]> {
  const flags = await judgeRuns(judging, runs);
  return runs.map((run, i) => ({ ...run, flags: flags[i] }));
}

/**
 * The distinct unpatched completions of a case as drafts, the patched run's own first, and which state is which. Where a choice between
 * two answers is read, what these share is the last draft: a run's logits are read along a draft that begins with it.
 */
export function draftsOf(
  { unpatched, states }: Case,
  direction: Direction,
): { list: Draft[]; of: Record<'bad' | 'safe' | 'none', number> } {
  const list: Draft[] = [];
  const of = { bad: 0, safe: 0, none: 0 };
  for (const state of [direction, opposite(direction), 'none'] as const) {
    const run = unpatched[state];
    const found = list.findIndex((d) => d.finish === run.finish && d.ids.join() === run.ids.join());
    of[state] = found < 0 ? list.push(run) - 1 : found;
  }
  const { prefix = [] } = states[direction].choice ?? {};
  if (prefix.length > 0) list.push({ ids: prefix, finish: 'length' });
  return { list, of };
}
