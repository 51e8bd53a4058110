/** @file The completions that the patched runs of a batch have come to, as guesses of how the next ones end. */
import { type Draft, sameDraft } from './verify.ts';

/** Completions remembered a row, to guess with. */
const KNOWN = 24;

/** By row of the batch. */
export class KnownEnds {
  readonly #of: readonly Draft[][];
  /** Last outcome of an arm. */
  readonly #last: readonly Map<string, Draft>[];

  /** `given[row]` are the completions known from the start. */
  constructor(given: readonly (readonly Draft[])[]) {
    this.#of = given.map((drafts) => drafts.slice());
    this.#last = given.map(() => new Map());
  }

  /** Those of a row, the one seen last stands last; grows as runs end. */
  of(row: number): readonly Draft[] {
    return this.#of[row];
  }

  /** How the last run of this arm ended. */
  last(row: number, arm: string): Draft | undefined {
    return this.#last[row].get(arm);
  }

  /** A run of the arm has ended so. */
  add(row: number, arm: string, end: Draft): void {
    this.#last[row].set(arm, end);
    remember(this.#of[row], end);
  }
}

/** Of some sequences the one whose draft has most in common with `last`; the first among equals. */
export function likest<T extends { readonly draft: Draft }>(
  candidates: readonly T[],
  last: Draft | undefined,
): T {
  let best = candidates[0];
  for (const candidate of candidates)
    if (last !== undefined && commonPrefix(candidate.draft, last) > commonPrefix(best.draft, last))
      best = candidate;
  return best;
}

/** The completion seen last stands last; those not seen for long are forgotten. */
function remember(known: Draft[], end: Draft): void {
  const found = known.findIndex((k) => sameDraft(k, end));
  if (found >= 0) known.splice(found, 1);
  else if (known.length >= KNOWN) known.shift();
  known.push(end);
}

/** Tokens in common from the start; the end counts as one. */
function commonPrefix(a: Draft, b: Draft): number {
  let n = 0;
  while (n < a.ids.length && n < b.ids.length && a.ids[n] === b.ids[n]) n++;
  return n === a.ids.length && n === b.ids.length ? n + 1 : n;
}
