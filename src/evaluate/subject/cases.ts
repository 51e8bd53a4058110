/** @file Contrast prompts as tokens: one text under every tag, and the span that is patched (docs/concepts/method.md#span). */
import { InputError } from '../../base/index.ts';
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
  const place = spanOfChars(encoding, span.start, span.end);
  if (place === null)
    throw new InputError(
      `prompt ${JSON.stringify(prompt.slice(0, 60))}: the tag ${tag} is in no token of the model's tokenizer; choose another tag`,
      { id: 'span-invalid' },
    );
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

/** What the report must say where spans of two states differ in length; empty when they never do. */
export function surplusNotes(cases: readonly ContrastCase[]): string[] {
  const surplus = cases.reduce(
    (n, { states }) => n + pairSpans(states.bad.span, states.safe.span).surplus,
    0,
  );
  if (surplus === 0) return [];
  return [
    `${surplus} span positions of the bad runs have no partner in the safe runs and take the activation of the nearest paired position.`,
  ];
}
