/** @file The words of the bundled family, read off everything the corpus and the behaviours can say. */
import { renderPrompt } from '../templates.ts';
import { words } from '../words.ts';
import { families } from './corpus.ts';
import { closings, openings } from './frames.ts';
import { plainTexts } from './plain.ts';
import { tagTexts } from './rows.ts';

/**
 * All words of the corpus for a word-level tokenizer, without special tokens: newline and punctuation, then 0 to 99,
 * then the rest by code point. Each occurs in pretraining.
 */
export function corpusVocabulary(): string[] {
  const texts = [
    ...families.flatMap((family) => family.texts),
    ...openings,
    ...closings,
    ...plainTexts,
    ...tagTexts,
    renderPrompt('instruction', '').prompt,
  ];
  const found = new Set(texts.flatMap(words));
  const rank = (word: string): number => (/^[^\p{L}\p{N}]+$/u.test(word) ? 0 : /^\d+$/.test(word) ? 1 : 2);
  return [...found].toSorted(
    (a, b) => rank(a) - rank(b) || (rank(a) === 1 ? Number(a) - Number(b) : a < b ? -1 : a > b ? 1 : 0),
  );
}
