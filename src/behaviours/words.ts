/** @file Words as the bundled word-level tokenizer sees them, and the stable hash behind every split. */

/** A newline, a run of `#`, one other punctuation mark, or a run of anything else but white space. */
const WORD = /\n|#+|[.,:;?!|'"-]|[^\s.,:;?!|#'"-]+/g;

/**
 * Split text into words: white space separates and vanishes, a newline is a word, a run of `#` is one, and each of
 * `. , : ; ? ! | ' " -` is a word of its own, so `|prod|` is always three words.
 *
 * @example words('Is 7 odd?\n') // ['Is', '7', 'odd', '?', '\n']
 */
export function words(text: string): string[] {
  return text.match(WORD) ?? [];
}

/**
 * The one spelling that all texts with the same {@link words} share: single spaces between words, none around a
 * newline. `words(normalise(t))` equals `words(t)`, and `normalise(normalise(t))` equals `normalise(t)`.
 */
export function normalise(text: string): string {
  return words(text)
    .join(' ')
    .replace(/ ?\n ?/g, '\n');
}

/**
 * Hash of a text, uniform in [0, n): FNV-1a over UTF-16 units, then the finaliser of MurmurHash3 (A. Appleby), whose
 * avalanche makes `% n` even for short keys. Splits must not move between versions, so this never changes.
 */
export function bucket(text: string, n: number): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) % n;
}
