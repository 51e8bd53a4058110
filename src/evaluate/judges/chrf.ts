/**
 * @file chrF: F-score of character n-grams (M. Popović, "chrF: character n-gram F-score for automatic MT evaluation", WMT 2015), as
 * sacrebleu computes a sentence: orders 1-6, β = 2, white space removed, precision and recall averaged over the orders both texts
 * have. Scale 0-1 where sacrebleu prints 0-100.
 */

const CHARACTER_ORDER = 6;
const BETA = 2;

/** chrF of `candidate` against `reference`, 0-1. Not symmetric: recall weighs four times precision. An empty side gives 0. */
export function chrf(candidate: string, reference: string): number {
  return fScore(characterMatches(candidate, reference));
}

/** chrF++: chrF with word 1-grams and 2-grams beside (M. Popović, WMT 2017); sacrebleu's `word_order=2`. 0-1. */
export function chrfPlusPlus(candidate: string, reference: string): number {
  const ours = words(candidate);
  const theirs = words(reference);
  const wordMatches = [1, 2].map((n) => matches(ngrams(ours, n, ' '), ngrams(theirs, n, ' ')));
  return fScore([...characterMatches(candidate, reference), ...wordMatches]);
}

interface Matches {
  readonly candidate: number;
  readonly reference: number;
  readonly shared: number;
}

function fScore(orders: readonly Matches[]): number {
  const effective = orders.filter((o) => o.candidate > 0 && o.reference > 0);
  if (effective.length === 0) return 0;
  let precision = 0;
  let recall = 0;
  for (const o of effective) {
    precision += o.shared / o.candidate / effective.length;
    recall += o.shared / o.reference / effective.length;
  }
  if (precision + recall === 0) return 0;
  return ((1 + BETA ** 2) * precision * recall) / (BETA ** 2 * precision + recall);
}

function characterMatches(candidate: string, reference: string): Matches[] {
  const ours = characters(candidate);
  const theirs = characters(reference);
  return Array.from({ length: CHARACTER_ORDER }, (_, i) =>
    matches(ngrams(ours, i + 1, ''), ngrams(theirs, i + 1, '')),
  );
}

/** Code points that are not white space. */
function characters(text: string): string[] {
  return Array.from(text.replace(/\p{White_Space}+/gu, ''));
}

/** Words with one leading or trailing punctuation mark split off, as sacrebleu does for chrF++. */
function words(text: string): string[] {
  const isMark = (c: string): boolean => /^[!-/:-@[-`{-~]$/.test(c);
  return text
    .split(/\p{White_Space}+/u)
    .filter((w) => w !== '')
    .flatMap((w) => {
      if (Array.from(w).length === 1) return [w];
      if (isMark(w.at(-1)!)) return [w.slice(0, -1), w.slice(-1)];
      if (isMark(w[0])) return [w.slice(0, 1), w.slice(1)];
      return [w];
    });
}

function ngrams(units: readonly string[], n: number, glue: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= units.length; i++) {
    let gram = units[i];
    for (let k = 1; k < n; k++) gram += glue + units[i + k];
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

function matches(candidate: Map<string, number>, reference: Map<string, number>): Matches {
  let shared = 0;
  for (const [gram, count] of candidate) shared += Math.min(count, reference.get(gram) ?? 0);
  return { candidate: total(candidate), reference: total(reference), shared };
}

function total(counts: Map<string, number>): number {
  let sum = 0;
  for (const count of counts.values()) sum += count;
  return sum;
}
