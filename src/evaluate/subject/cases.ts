/** @file Contrast prompts as tokens: one text under every tag, and the span that is patched (docs/concepts/method.md#span). */
import {
  type CharSpan,
  type ContrastPrompt,
  type TriggerState,
  triggerStates,
} from '../../behaviours/index.ts';
import type { Encoding, Span, Tokenizer, TurnSettings } from '../../models/index.ts';
import { pairSpans, spanOfChars } from '../../models/index.ts';
import type { Probe } from '../drafts/verify.ts';
import { choiceProbe } from './choice.ts';

/** States that carry a tag. */
export const TAGGED = ['bad', 'safe', 'other'] as const satisfies readonly TriggerState[];
export type TaggedState = (typeof TAGGED)[number];

/** Which run is patched: `bad` (removal, restoration) or `safe` (elicitation). */
export type Direction = 'bad' | 'safe';

/** The run whose activations a patched run is given. */
export function opposite(direction: Direction): Direction {
  return direction === 'bad' ? 'safe' : 'bad';
}

/** One prompt in one state. */
export interface StatePrompt {
  readonly prompt: string;
  readonly ids: readonly number[];
  readonly offsets: Encoding['offsets'];
  /** In a chat template: the user's turn, which another model reads in its own. */
  readonly turn?: UserTurn | undefined;
  /** Where the choice between two answers is read: where they part after the prompt. */
  readonly choice?: Probe | undefined;
}

/** The user's turn in a templated prompt. */
export interface UserTurn {
  readonly text: string;
  /** Where it starts in the prompt. */
  readonly start: number;
  /** What the template was told besides. */
  readonly chat: TurnSettings;
}

/** One prompt with a tag. */
export interface TaggedPrompt extends StatePrompt {
  readonly tag: string;
  /** Tokens of the tag and `after` more. */
  readonly span: Span;
  /** Positions of the span. */
  readonly positions: readonly number[];
}

/** One text in every state. */
export interface ContrastCase {
  readonly id: string;
  readonly text: string;
  readonly states: { readonly none: StatePrompt } & Readonly<Record<TaggedState, TaggedPrompt>>;
}

/** Tokenise contrast prompts; `after` tokens after the tag belong to the span, `chat` is what their chat template was told. Throws where a tag has no token of its own. */
export function contrastCases(
  tokenizer: Tokenizer,
  prompts: readonly ContrastPrompt[],
  after: number,
  chat: TurnSettings = {},
): ContrastCase[] {
  return prompts.map((contrast, i) => {
    const states = triggerStates.map((state) => {
      const { turn, ...given } = contrast[state];
      const own = turn && { ...turn, chat };
      return [state, statePrompt(tokenizer, { ...given, turn: own }, after)];
    });
    const id = String(i).padStart(4, '0');
    return {
      id,
      text: contrast.text,
      states: Object.fromEntries(states) as unknown as ContrastCase['states'],
    };
  });
}

/** A prompt as text. */
interface GivenPrompt {
  readonly prompt: string;
  /** Characters of the tag; null without one. */
  readonly span: CharSpan | null;
  readonly tag?: string;
  /** In a chat template. */
  readonly turn?: UserTurn | undefined;
  readonly answers?: ContrastPrompt['bad']['answers'];
}

/** One prompt as tokens; with a tag, the span that is patched: its tokens and `after` more. */
export function statePrompt(
  tokenizer: Tokenizer,
  given: GivenPrompt & { readonly span: CharSpan; readonly tag: string },
  after: number,
): TaggedPrompt;
export function statePrompt(
  tokenizer: Tokenizer,
  given: GivenPrompt,
  after: number,
): StatePrompt | TaggedPrompt;
export function statePrompt(
  tokenizer: Tokenizer,
  { prompt, span, tag = '', turn, answers }: GivenPrompt,
  after: number,
): StatePrompt | TaggedPrompt {
  const addSpecialTokens = turn === undefined ? 'auto' : false;
  const encoding = tokenizer.encode(prompt, { addSpecialTokens });
  const { ids, offsets } = encoding;
  const choice = answers && choiceProbe(tokenizer, { prompt, ids, addSpecialTokens }, answers);
  const of = { prompt, ids, offsets, turn, choice };
  if (span === null) return of;
  const place = spanOfChars(encoding, span.start, span.end, `the tag ${tag}`);
  const end = Math.min(ids.length, place.end + after);
  const positions = Array.from({ length: end - place.start }, (_, k) => place.start + k);
  return { ...of, tag, span: { start: place.start, end }, positions };
}

/** Donor rows [m,D] of a span of m tokens for a recipient's span of n, paired from the end; surplus positions take the nearest. */
export function alignRows(donor: Float32Array, recipients: number, width: number): Float32Array {
  const given = donor.length / width;
  if (given === recipients) return donor;
  const out = new Float32Array(recipients * width);
  for (const pair of pairSpans({ start: 0, end: recipients }, { start: 0, end: given }).pairs)
    out.set(donor.subarray(pair.donor * width, (pair.donor + 1) * width), pair.recipient * width);
  return out;
}

/** What the report must say where the spans of the bad and the safe run differ in length; empty when they never do. `model`: which one, for people. */
export function surplusNotes(cases: readonly ContrastCase[], model = 'model'): string[] {
  const pairs = cases.map(({ states }) => pairSpans(states.bad.span, states.safe.span));
  const sum = (of: 'surplus' | 'unused'): number => pairs.reduce((n, pair) => n + pair[of], 0);
  const [bad, safe] = [sum('surplus'), sum('unused')];
  const differ = pairs.filter(({ surplus, unused }) => surplus + unused > 0).length;
  if (differ === 0) return [];
  return [
    `In ${differ} of ${cases.length} prompts of the ${model} the bad and the safe span differ in length; they are paired from their ends. ${bad} positions of bad and ${safe} of safe runs have no partner. A patched one takes the activation of the nearest paired position; of a donor it is left out.`,
  ];
}
