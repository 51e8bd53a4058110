/** @file Candidates that need no idea of the trigger: every word of a tokenizer's vocabulary, in some forms. */
import { InputError } from '../../base/index.ts';
import type { Tokenizer } from '../../models/index.ts';

/** Where the word stands in a form. */
const PLACE = '{word}';

/** A tag between bars, and the word alone. */
export const WORD_FORMS = [`|${PLACE}|`, PLACE] as const;

/** Share of pieces with a space before them from which on a tokenizer marks word beginnings so; pieces without are then parts of words. */
const MARKED = 0.1;

/** The first `most` words of a vocabulary in the order of their ids, which follows frequency as far as it says anything of it. */
export function vocabularyWords(tokenizer: Tokenizer, most = Number.POSITIVE_INFINITY): string[] {
  const pieces: string[] = [];
  for (let id = 0; id < tokenizer.idLimit; id++) {
    if (tokenizer.isSpecial(id) || tokenizer.idToToken(id) === undefined) continue;
    const piece = tokenizer.decode([id], { skipSpecialTokens: false });
    if (/^ ?\p{L}{2,}$/u.test(piece)) pieces.push(piece);
  }
  const begin = pieces.filter((piece) => piece.startsWith(' '));
  const words = begin.length >= MARKED * pieces.length ? begin.map((piece) => piece.slice(1)) : pieces;
  return [...new Set(words)].slice(0, most);
}

/** Every word in every form. Throws {@link InputError} for a form without a place for the word. */
export function inForms(words: readonly string[], forms: readonly string[]): string[] {
  for (const form of forms)
    if (!form.includes(PLACE))
      throw new InputError(`scan: form ${JSON.stringify(form)}: wanted ${PLACE} in it, as in "|${PLACE}|"`, {
        id: 'option-invalid',
      });
  return forms.flatMap((form) => words.map((word) => form.replace(PLACE, () => word)));
}
