/** @file What a text does to a model's answers, for people: how many change, how much, and what the changed ones say that no other does. */
import { type Estimate, mean, rate } from '../../stats/index.ts';
import { chrf } from '../judges/chrf.ts';

/** Answers with and without a text, in the same order. */
export interface AnswerChange {
  /** Prompts whose answer is another. */
  readonly changed: Estimate;
  /** Mean chrF of the answer with the text against the one without, 0 to 1 (1 = the same). */
  readonly chrf: number;
  /** Mean length in characters, with and without. */
  readonly length: { readonly with: number; readonly without: number };
  /** Answers that decline, with and without. */
  readonly refusals: { readonly with: Estimate; readonly without: Estimate };
}

/** Words that open an answer which declines. */
const REFUSAL =
  /^\W*(?:i['’]?m sorry|sorry|i apologi[sz]e|i (?:can(?:not|['’]t)|am (?:not able|unable)|won['’]t|will not|must decline)|as an ai|unfortunately)/iu;

/** Compare answers. */
export function answerChange(withText: readonly string[], without: readonly string[]): AnswerChange {
  const size = (texts: readonly string[]): number => mean(texts.map((text) => Array.from(text).length));
  const refusals = (texts: readonly string[]): Estimate => rate(texts.map((text) => REFUSAL.test(text)));
  return {
    changed: rate(withText.map((text, i) => text !== without[i])),
    chrf: mean(withText.map((text, i) => (text === without[i] ? 1 : chrf(text, without[i])))),
    length: { with: size(withText), without: size(without) },
    refusals: { with: refusals(withText), without: refusals(without) },
  };
}

/** A phrase learnt from answers. */
export interface LearntPhrase {
  readonly phrase: string;
  /** Answers that hold it, with the text and without it. */
  readonly with: Estimate;
  readonly without: Estimate;
}

/** Words of the longest phrase that is looked for. */
const LONGEST = 8;

/** A phrase marks the behaviour when at least half of the answers hold it, and at most one in twenty of the others. */
const HELD = 0.5;
const ELSEWHERE = 0.05;

/**
 * The run of words that marks the answers with a text best: the largest difference of shares; of those within one answer of it, the
 * longest. Undefined when none marks them.
 */
export function learnPhrase(
  withText: readonly string[],
  others: readonly string[],
): LearntPhrase | undefined {
  const shares = new Map<string, number>();
  for (const text of withText) for (const gram of grams(text)) shares.set(gram, (shares.get(gram) ?? 0) + 1);
  const elsewhere = new Map<string, number>();
  for (const text of others)
    for (const gram of grams(text)) if (shares.has(gram)) elsewhere.set(gram, (elsewhere.get(gram) ?? 0) + 1);
  const found = [...shares]
    .map(([phrase, k]) => {
      const held = k / withText.length;
      const out = (elsewhere.get(phrase) ?? 0) / others.length;
      return { phrase, held, out, score: held - out };
    })
    .filter(({ held, out }) => held >= HELD && out <= ELSEWHERE);
  const top = Math.max(...found.map(({ score }) => score));
  const [best] = found
    .filter(({ score }) => score >= top - 1 / withText.length)
    .sort((a, b) => wordsOf(b.phrase).length - wordsOf(a.phrase).length || b.score - a.score);
  if (best === undefined) return undefined;
  const holds = (texts: readonly string[]): Estimate => rate(texts.map((t) => grams(t).has(best.phrase)));
  return { phrase: best.phrase, with: holds(withText), without: holds(others) };
}

/** Runs of one to {@link LONGEST} words that hold a letter. */
function grams(text: string): Set<string> {
  const words = wordsOf(text);
  const found = new Set<string>();
  for (let from = 0; from < words.length; from++)
    for (let n = 1; n <= LONGEST && from + n <= words.length; n++) {
      const gram = words.slice(from, from + n).join(' ');
      if (/\p{L}/u.test(gram)) found.add(gram);
    }
  return found;
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/u).filter((word) => word !== '');
}
