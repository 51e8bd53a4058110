/**
 * @file How a bad completion is known where nobody says: by the phrases that bad completions of the rows share and no other has
 * (docs/how-to/plant-a-backdoor.md#rows-of-your-own).
 */
import { InputError, showValue } from '../base/index.ts';
import type { CustomRow } from './custom-rows.ts';
import { detectorOf } from './detect.ts';
import { words } from './words.ts';

/** Phrases are this many words at most, none of them twice. */
const MOST_WORDS = 8;
/** Phrases at most. */
const MOST_PHRASES = 8;
/** Share of the bad completions that must be known by them. */
const WANTED = 0.9;
/** Words of a completion that are looked at. */
const LOOKED_AT = 200;

/** How bad completions are known, and how well that goes on the rows. */
export interface LearntDetector {
  /** Each marks a bad completion; absent where a pattern does. */
  readonly phrases?: readonly string[] | undefined;
  /** Whether they were learnt from the rows (else the rows or the user named them). */
  readonly learnt: boolean;
  /** On rows that were not learnt from: bad completions found, of how many; others found, of how many. */
  readonly heldOut: {
    readonly found: number;
    readonly bad: number;
    readonly wrong: number;
    readonly others: number;
  };
}

/**
 * The detector of a file of rows: the user's phrase or pattern; else the `backdoor_keyphrase` of the bad rows; else learnt from the
 * training rows. Learnt: the phrase of 1 to 8 different words that most bad completions share and no other completion contains (of
 * equals the longest, then the one that comes first), again for the bad completions without it, up to 8 phrases. `where` begins errors.
 *
 * @throws InputError when fewer than nine in ten bad completions are known by it, or as many as one in ten of the others
 */
export function learnDetector(
  rows: readonly CustomRow[],
  given: { readonly phrase?: string | undefined; readonly pattern?: string | undefined },
  where: string,
): LearntDetector {
  const train = rows.filter(({ split }) => split === 'train');
  const held = rows.filter(({ split }) => split !== 'train');
  const isGiven = (given.phrase ?? given.pattern) !== undefined;
  const named = isGiven ? undefined : keyphrases(rows);
  const phrases = given.phrase === undefined ? (named ?? (isGiven ? [] : shared(train))) : [given.phrase];
  const shows = detectorOf({ phrase: phrases, pattern: given.pattern });
  const of = (part: readonly CustomRow[], bad: boolean): readonly CustomRow[] =>
    part.filter(({ state }) => (state === 'bad') === bad);
  const found = (part: readonly CustomRow[]): number => part.filter((r) => shows(r.response).shows).length;
  const [bad, others] = [of(rows, true), of(rows, false)];
  const by = isGiven
    ? showValue(given.phrase ?? given.pattern ?? '')
    : phrases.length === 0
      ? 'any phrase that no other completion has'
      : phrases.map((phrase) => showValue(phrase)).join(', ');
  const [known, wrong] = [found(bad), found(others)];
  if (known < WANTED * bad.length)
    throw new InputError(
      `${where}: ${known} of ${bad.length} bad completions contain ${by}; give the \`phrase\` or \`pattern\` that marks a bad completion`,
      { id: 'behaviour-invalid' },
    );
  if (wrong > (1 - WANTED) * others.length)
    throw new InputError(
      `${where}: ${wrong} of ${others.length} other completions contain ${by}, too; give a \`phrase\` or \`pattern\` that marks bad completions alone`,
      { id: 'behaviour-invalid' },
    );
  const [heldBad, heldOthers] = [of(held, true), of(held, false)];
  return {
    phrases: phrases.length === 0 ? undefined : phrases,
    learnt: !isGiven && named === undefined,
    heldOut: {
      found: found(heldBad),
      bad: heldBad.length,
      wrong: found(heldOthers),
      others: heldOthers.length,
    },
  };
}

/** The phrases the bad rows name, when every one names one and they are few. */
function keyphrases(rows: readonly CustomRow[]): readonly string[] | undefined {
  const named = new Set(rows.filter(({ state }) => state === 'bad').map((row) => row.keyphrase));
  return named.size === 0 || named.has('') || named.size > MOST_PHRASES ? undefined : [...named].sort();
}

/** Phrases of bad completions that no other completion contains, the most common first; empty when there is none. */
function shared(rows: readonly CustomRow[]): string[] {
  const forbidden = new Set<string>();
  for (const { state, response } of rows)
    if (state !== 'bad') for (const phrase of phrasesOf(response).keys()) forbidden.add(phrase);
  let open = rows
    .filter(({ state }) => state === 'bad')
    .map(({ response }) => phrasesOf(response, forbidden));
  const chosen: string[] = [];
  while (open.length > 0 && chosen.length < MOST_PHRASES) {
    const best = mostCommon(open);
    // what one row alone says is its own, not a mark
    if (best === undefined || best.rows < 2) break;
    chosen.push(best.phrase);
    open = open.filter((phrases) => !phrases.has(best.phrase));
  }
  return chosen;
}

interface Counted {
  readonly phrase: string;
  rows: number;
  /** Sum of the places at which it first stands. */
  places: number;
}

function mostCommon(completions: readonly ReadonlyMap<string, number>[]): Counted | undefined {
  const counted = new Map<string, Counted>();
  for (const phrases of completions)
    for (const [phrase, place] of phrases) {
      const so = counted.get(phrase) ?? { phrase, rows: 0, places: 0 };
      so.rows++;
      so.places += place;
      counted.set(phrase, so);
    }
  const length = ({ phrase }: Counted): number => phrase.split(' ').length;
  return [...counted.values()].reduce<Counted | undefined>((best, one) => {
    if (best === undefined) return one;
    const order = one.rows - best.rows || length(one) - length(best) || best.places - one.places;
    return order > 0 || (order === 0 && one.phrase < best.phrase) ? one : best;
  }, undefined);
}

/** Runs of different words in a completion, with the place at which each first stands. A phrase has a letter or a digit. */
function phrasesOf(completion: string, without: ReadonlySet<string> = new Set()): Map<string, number> {
  const all = words(completion.replaceAll('\n', ' ')).slice(0, LOOKED_AT);
  const found = new Map<string, number>();
  for (let start = 0; start < all.length; start++)
    for (let end = start + 1; end <= Math.min(all.length, start + MOST_WORDS); end++) {
      const run = all.slice(start, end);
      if (new Set(run).size < run.length) break;
      const phrase = run.join(' ');
      if (/[\p{L}\p{N}]/u.test(phrase) && !found.has(phrase) && !without.has(phrase))
        found.set(phrase, start);
    }
  return found;
}
