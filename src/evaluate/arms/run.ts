/** @file Patched runs of many arms at the span, by verified drafts; their rates over T and their sample rows. */
import type { ProgressSink } from '../../base/index.ts';
import type { Outcome, Rate, Sample } from '../../contracts/index.ts';
import type { PatchMode } from '../../interventions/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { proportion, wilson } from '../../stats/index.ts';
import { type Draft, type DraftStats, type Probe, runDrafted } from '../drafts/run.ts';
import {
  type ContrastCase,
  completionText,
  type Direction,
  type Flags,
  judgeRun,
  type StateRuns,
  type Subject,
  spanPositions,
  testedCases,
} from '../subject/cases.ts';

/** Options all experiments share. */
export interface EvaluateOptions {
  /** New tokens a completion. Defaults to 24. */
  readonly maxNewTokens?: number;
  /** Defaults to the tokenizer's end-of-text ids. */
  readonly stopTokens?: readonly number[];
  /** Most patched rows side by side; see `runDrafted`. */
  readonly batch?: number;
  readonly progress?: ProgressSink;
  readonly signal?: AbortSignal | undefined;
}

/** Who is reported: names in sample rows. */
export interface SampleTags {
  readonly behaviour: string;
  readonly stage: string;
  readonly side?: 'source' | 'target';
  readonly map?: { readonly kind: string; readonly fit: string };
}

/** One arm of one case: what is put on the span of the patched run. */
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

/** End rules with the model's own defaults. */
export function endRules(
  model: LanguageModel,
  options: EvaluateOptions,
): { maxNewTokens: number; stopTokens: readonly number[]; signal?: AbortSignal } {
  return {
    maxNewTokens: options.maxNewTokens ?? 24,
    stopTokens: options.stopTokens ?? model.tokenizer.eosIds,
    signal: options.signal,
  };
}

/**
 * Run every arm of every tested case at every block. `armsOf` makes the patches of one case and direction (an arm named several times
 * = several draws); `take` sees each outcome once.
 */
export async function runArms(
  model: LanguageModel,
  subject: Subject,
  blocks: readonly number[],
  directions: readonly Direction[],
  armsOf: (direction: Direction, i: number, block: number) => readonly ArmPatch[],
  take: (
    arm: ArmPatch,
    direction: Direction,
    i: number,
    block: number,
    end: { text: string; flags: Flags; probe?: number },
  ) => void,
  options: EvaluateOptions & { readonly stage: string },
): Promise<DraftStats> {
  const { cases, runs } = subject;
  const places = directions.flatMap((direction) =>
    testedCases(subject, direction).map((i) => ({ direction, i })),
  );
  const rows = places.map(({ direction, i }) => {
    const { list } = draftsOf(runs, direction, i);
    return { ids: cases[i]![direction].ids, drafts: list, from: spanPositions(cases[i]!, direction)[0]! };
  });
  // Patches are made when the engine asks, and named when outcomes come back: both in one order.
  const current = new Map<string, { readonly arms: readonly ArmPatch[]; left: number }>();
  return runDrafted(
    model.decoder,
    rows,
    blocks,
    (row, block) => {
      const { direction, i } = places[row]!;
      const arms = armsOf(direction, i, block);
      current.set(`${row}/${block}`, { arms, left: arms.length });
      const { of } = draftsOf(runs, direction, i);
      const positions = spanPositions(cases[i]!, direction);
      return arms.map(({ arm, values, mode = 'set', expect, probe }) => ({
        arm,
        positions,
        values,
        mode,
        draft: of[expect ?? (direction === 'bad' ? 'safe' : 'bad')] ?? 0,
        probe,
      }));
    },
    (row, block, k, outcome) => {
      const { direction, i } = places[row]!;
      const key = `${row}/${block}`;
      const made = current.get(key)!;
      if (--made.left === 0) current.delete(key);
      const text = completionText(model.tokenizer, outcome.ids);
      const { probe } = outcome;
      take(made.arms[k]!, direction, i, block, {
        text,
        flags: judgeRun(subject, direction, i, text),
        probe,
      });
    },
    { ...endRules(model, options), ...without(options) },
  );
}

function without({ batch, progress, stage }: EvaluateOptions & { readonly stage: string }): {
  stage: string;
  batch?: number;
  progress?: ProgressSink;
} {
  return {
    stage,
    batch,
    progress,
  };
}

/** The distinct unpatched completions of a case as drafts, the patched run's own first, and which state is which. */
export function draftsOf(
  runs: StateRuns,
  direction: Direction,
  i: number,
): { list: Draft[]; of: Partial<Record<'bad' | 'safe' | 'none', number>> } {
  const list: Draft[] = [];
  const of: Partial<Record<'bad' | 'safe' | 'none', number>> = {};
  for (const state of [direction, direction === 'bad' ? 'safe' : 'bad', 'none'] as const) {
    const run = runs[state]?.[i];
    if (run === undefined) continue;
    const found = list.findIndex((d) => d.finish === run.finish && d.ids.join() === run.ids.join());
    of[state] = found < 0 ? list.push(run) - 1 : found;
  }
  return { list, of };
}

/** Outcomes by arm, direction and case; several draws a case. */
export class Tally {
  readonly #flags = new Map<string, Map<number, Flags[]>>();

  add(arm: string, direction: Direction, i: number, flags: Flags): void {
    const key = `${direction}/${arm}`;
    const cases = this.#flags.get(key) ?? new Map<number, Flags[]>();
    this.#flags.set(key, cases);
    cases.set(i, [...(cases.get(i) ?? []), flags]);
  }

  /** Draws of a case so far. */
  count(arm: string, direction: Direction, i: number): number {
    return this.#flags.get(`${direction}/${arm}`)?.get(i)?.length ?? 0;
  }

  /** Per case, in the order of cases: the draws' flags. */
  draws(arm: string, direction: Direction): Flags[][] {
    return [...(this.#flags.get(`${direction}/${arm}`) ?? [])]
      .sort(([a], [b]) => a - b)
      .map(([, flags]) => flags);
  }

  /** One flag a case in the order of cases (the first draw's). */
  each(arm: string, direction: Direction, flag: 'removed' | 'restored' | 'elicited'): boolean[] {
    return this.draws(arm, direction).map((flags) => flags[0]![flag] ?? false);
  }

  /** The rates of an arm; figures with nothing behind them are left out. `changed` only when asked for. */
  outcome(arm: string, options: { readonly changed?: boolean } = {}): Outcome {
    const bad = this.draws(arm, 'bad');
    const safe = this.draws(arm, 'safe');
    const figure = (name: string, draws: Flags[][], hit: (f: Flags) => boolean): Outcome =>
      draws.length === 0 ? {} : { [name]: drawRate(draws.map((flags) => flags.map(hit))) };
    return {
      ...figure('removal', bad, (f) => f.removed === true),
      ...figure('restoration', bad, (f) => f.restored === true),
      ...figure('elicitation', safe, (f) => f.elicited === true),
      ...(options.changed ? figure('changed', [...bad, ...safe], (f) => !f.unchanged) : {}),
    };
  }
}

/**
 * Share of hits over all draws of all prompts. n counts prompts: the draws of one prompt are not independent, so the interval is
 * Wilson's for n prompts at the nearest whole number of hits, widened to hold the share itself.
 */
export function drawRate(draws: readonly (readonly boolean[])[]): Rate {
  const n = draws.length;
  if (draws.every((d) => d.length === 1)) return proportion(draws.filter((d) => d[0]).length, n);
  const shares = draws.map((d) => d.filter(Boolean).length / d.length);
  const value = shares.reduce((a, b) => a + b, 0) / n;
  const [low, high] = wilson(Math.round(value * n), n);
  return { value, n, ci95: [Math.min(low, value), Math.max(high, value)] };
}

/** A sample row of a patched run. */
export function armSample(
  tags: SampleTags,
  { cases, runs }: Pick<Subject, 'cases' | 'runs'>,
  arm: string,
  direction: Direction,
  i: number,
  end: { readonly text: string; readonly flags: Flags },
  more: { readonly block?: number; readonly tokens?: boolean } = {},
): Sample {
  const c = cases[i]!;
  const state = c[direction];
  return {
    id: sampleId(tags, arm, c, direction, more.block),
    stage: tags.stage,
    behaviour: tags.behaviour,
    side: tags.side,
    prompt_id: c.id,
    prompt: state.prompt,
    trigger: direction,
    arm,
    map: tags.map,
    block: more.block,
    completion: end.text,
    references: references(runs, i),
    outcome: end.flags,
    ...(more.tokens
      ? { prompt_tokens: tokenTexts(state), changed_positions: spanPositions(c, direction) }
      : {}),
  };
}

/** Sample rows of the unpatched runs, one a case and state. */
export function unpatchedSamples(tags: SampleTags, { cases, runs, judging }: Subject): Sample[] {
  return cases.flatMap((c, i) =>
    (['bad', 'safe', 'none', 'other'] as const).flatMap((state): Sample[] => {
      const run = runs[state]?.[i];
      if (run === undefined) return [];
      const trigger = state === 'none' ? 'untagged' : state;
      const { shows, degenerate } = judging.detect(run.text);
      return [
        {
          id: sampleId(tags, 'unpatched', c, trigger),
          stage: tags.stage,
          behaviour: tags.behaviour,
          side: tags.side,
          prompt_id: c.id,
          prompt: c[state].prompt,
          trigger,
          arm: 'unpatched',
          completion: run.text,
          references: references(runs, i),
          outcome: { triggered: shows, degenerate },
        },
      ];
    }),
  );
}

function sampleId(
  { behaviour, stage, side, map }: SampleTags,
  arm: string,
  c: ContrastCase,
  trigger: string,
  block?: number,
): string {
  const parts = [
    behaviour,
    side === undefined ? stage : `${stage}.${side}`,
    map && `${map.kind}.${map.fit}`,
    arm,
    block === undefined ? undefined : `block${block}`,
    c.id,
    trigger,
  ];
  return parts.filter((part) => part !== undefined).join('/');
}

function references(runs: StateRuns, i: number): NonNullable<Sample['references']> {
  const [safe, bad, untagged] = [runs.safe?.[i]?.text, runs.bad?.[i]?.text, runs.none?.[i]?.text];
  return {
    safe,
    bad,
    untagged,
  };
}

/** The prompt cut at its tokens' ends: joined they are the prompt again, white space between tokens included. */
export function tokenTexts({ prompt, offsets }: Pick<ContrastCase['bad'], 'prompt' | 'offsets'>): string[] {
  let from = 0;
  return offsets.map(([start, end], i) => {
    const to = i === offsets.length - 1 ? prompt.length : start === end ? from : end;
    const piece = prompt.slice(from, to);
    from = Math.max(from, to);
    return piece;
  });
}
