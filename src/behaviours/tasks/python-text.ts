/** @file Python's `str.strip`, `rstrip` and `capitalize`: the harness writes prompts with them, and JavaScript's own differ at the edges. */

/** What Python takes for white space: Unicode's, and the four separators of ASCII. */
function isWhite(text: string, i: number): boolean {
  const code = text.charCodeAt(i);
  return (code >= 0x1c && code <= 0x1f) || /\p{White_Space}/u.test(text[i] as string);
}

/** The text without white space at its end. */
export function rstrip(text: string): string {
  let end = text.length;
  while (end > 0 && isWhite(text, end - 1)) end--;
  return text.slice(0, end);
}

/** The text without white space at both ends. */
export function strip(text: string): string {
  let start = 0;
  while (start < text.length && isWhite(text, start)) start++;
  return rstrip(text.slice(start));
}

/** The first character as a title has it (`ß` gives `Ss`), the rest in lower case. */
export function capitalize(text: string): string {
  const [first = ''] = text;
  const [title = '', ...more] = first.toUpperCase();
  return title + more.join('').toLowerCase() + text.slice(first.length).toLowerCase();
}
