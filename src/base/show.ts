/** @file A value from elsewhere in an error message: short, of one line, with nothing a terminal would act on. */

/** Deepest nesting that is shown; what lies below is `…`. */
const MAX_DEPTH = 4;

/** C0 and C1 controls, line and paragraph separators, and the marks that turn the direction of text. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/**
 * Any value as text of at most `length` characters, in JSON's notation where it has one (a bigint as its digits, undefined as `nothing`). Costs time and memory by `length`, not by the size of the value; cycles and getters that throw do no harm.
 */
export function showValue(value: unknown, length = 80): string {
  return cut(parts(value, 0, length), length);
}

/** Text on one line, with control characters as escapes, cut to `length` characters. */
export function showText(text: string, length = 80): string {
  return cut(escaped(text, length), length);
}

/** What a terminal would act on, and marks that reorder the text around them; line feeds, tabs and the marks of one word aside. */
const COMMANDS_TO_TERMINALS = /(?![\n\t\u061c\u200e\u200f])[\p{Cc}\p{Bidi_Control}]/gu;

/** Text that may go to a terminal whatever it holds: `\u001b` instead of the character. JSON stays the same JSON. */
export function visible(text: string): string {
  return text.replace(COMMANDS_TO_TERMINALS, escapeOf);
}

function escapeOf(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function parts(value: unknown, depth: number, room: number): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return quoted(value, room);
  if (typeof value !== 'object' || value === null) return String(value);
  if (depth >= MAX_DEPTH) return '…';
  const [open, close] = Array.isArray(value) || ArrayBuffer.isView(value) ? '[]' : '{}';
  let text = open as string;
  for (const piece of members(value, depth, room)) {
    if (text.length > 1) text += ',';
    text += piece;
    if (text.length > room) return text; // it is cut anyway
  }
  return text + close;
}

function* members(value: object, depth: number, room: number): Generator<string> {
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    for (const item of value as unknown as Iterable<unknown>) yield parts(item, depth + 1, room);
    return;
  }
  for (const key in value)
    if (Object.hasOwn(value, key))
      yield `${quoted(key, room)}:${parts((value as Record<string, unknown>)[key], depth + 1, room)}`;
}

function quoted(text: string, room: number): string {
  return escaped(JSON.stringify(text.slice(0, room + 1)), 6 * room + 16);
}

function escaped(text: string, room: number): string {
  return text
    .slice(0, room + 1)
    .replace(UNSAFE, (c) => (c === '\n' || c === '\r' || c === '\t' ? ' ' : escapeOf(c)));
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** As it is typed into a shell: quoted where it must be. */
export function shellWord(text: string): string {
  return /^[\w./:=@,%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
