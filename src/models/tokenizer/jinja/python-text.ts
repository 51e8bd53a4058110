/** @file Text as Python's `str` sees it: characters are code points, white space is Python's. */

/** A class of Python's white space (`str.isspace`), for regular expressions. */
export const SPACE =
  '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const IS_SPACE = new RegExp(`^${SPACE}$`);
const WORDS = new RegExp(`[^${SPACE.slice(1, -1)}]+`, 'g');
const LINE_BREAK = '[\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029]';
const LINE_END = new RegExp(`\\r\\n|${LINE_BREAK}`, 'g');
const HAS_PAIRS = /[\ud800-\udfff]/;

export function isSpace(char: string): boolean {
  return IS_SPACE.test(char);
}

/** Characters of a text. */
export function charsOf(text: string): string[] {
  return HAS_PAIRS.test(text) ? Array.from(text) : text.split('');
}

/** `len(text)`. */
export function lengthOf(text: string): number {
  return HAS_PAIRS.test(text) ? Array.from(text).length : text.length;
}

/** `text.lstrip(chars)`; without `chars` white space. */
export function trimStart(text: string, chars?: string): string {
  const all = charsOf(text);
  const drop = dropper(chars);
  let from = 0;
  while (from < all.length && drop(all[from] as string)) from++;
  return from === 0 ? text : all.slice(from).join('');
}

/** `text.rstrip(chars)`; without `chars` white space. */
export function trimEnd(text: string, chars?: string): string {
  const all = charsOf(text);
  const drop = dropper(chars);
  let to = all.length;
  while (to > 0 && drop(all[to - 1] as string)) to--;
  return to === all.length ? text : all.slice(0, to).join('');
}

/** `text.split()`: words between runs of white space; after `limit` splits the rest stays whole. */
export function splitWords(text: string, limit = Number.POSITIVE_INFINITY): string[] {
  const words: string[] = [];
  for (const word of text.matchAll(WORDS)) {
    if (words.length >= limit) {
      words.push(text.slice(word.index));
      break;
    }
    words.push(word[0]);
  }
  return words;
}

/** Lines of a text, without their ends (`str.splitlines`). */
export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let from = 0;
  for (const end of text.matchAll(LINE_END)) {
    lines.push(text.slice(from, keepEnds ? end.index + end[0].length : end.index));
    from = end.index + end[0].length;
  }
  if (from < text.length) lines.push(text.slice(from));
  return lines;
}

/** `str.title`: letters after anything but a letter are capitals, all others small. */
export function titleCase(text: string): string {
  return text.replace(/\p{L}[\p{L}\p{M}]*/gu, capitalise);
}

/** `str.capitalize`. */
export function capitalise(text: string): string {
  const [first = '', ...rest] = charsOf(text);
  return first.toUpperCase() + rest.join('').toLowerCase();
}

function dropper(chars: string | undefined): (char: string) => boolean {
  if (chars === undefined) return isSpace;
  const set = new Set(charsOf(chars));
  return (char) => set.has(char);
}
