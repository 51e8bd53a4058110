/** @file JSON from elsewhere: UTF-8 with or without a byte-order mark, one value, no key twice, not nested without end. */
import { InputError } from './errors.ts';
import { isLfsPointer, LFS_NEXT } from './lfs.ts';
import { showText } from './show.ts';
import { decodeText } from './text.ts';

/** Deepest nesting that is read; what configs, headers and results nest is below 20. */
const MAX_DEPTH = 128;

/** Options of {@link parseJson}. */
interface JsonOptions {
  /** Objects and arrays within each other that are allowed. Defaults to 128. */
  readonly maxDepth?: number;
  /** Let a key come twice, the last counting: for files of many megabytes whose other readers do so. Defaults to false. */
  readonly repeatedKeys?: boolean;
  /** The next step named in errors. Defaults to writing or downloading the file again. */
  readonly next?: string;
}

/**
 * Parse JSON, refusing what `JSON.parse` lets pass: broken UTF-8, repeated keys (the last would win silently), and nesting that
 * overflows the stack of whoever walks it. A byte-order mark is skipped. `where` begins every message.
 *
 * @throws InputError, with line and column where the engine tells them
 */
export function parseJson(source: Uint8Array | string, where: string, options: JsonOptions = {}): unknown {
  const { maxDepth = MAX_DEPTH, repeatedKeys = false, next = 'write or download the file again' } = options;
  const fail = (wanted: string, got: string, cause?: unknown): never => {
    throw new InputError(`${where}: wanted ${wanted}, got ${got}; ${next}`, { id: 'json-invalid', cause });
  };
  let text = typeof source === 'string' ? source : decodeText(source, where, next);
  if (isLfsPointer(text))
    throw new InputError(`${where}: wanted JSON, got a Git LFS pointer; ${LFS_NEXT}`, { id: 'json-invalid' });
  if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
  const depth = deeperThan(text, maxDepth);
  if (depth !== undefined)
    return fail(`JSON of at most ${maxDepth} levels`, `a deeper one at ${place(text, depth)}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const at = /position (\d+)/.exec((error as Error).message)?.[1];
    const where = at === undefined ? '' : ` at ${place(text, Number(at))}`;
    return fail('JSON', text === '' ? 'an empty file' : `text that does not parse${where}`, error);
  }
  const twice = repeatedKeys ? undefined : repeatedKey(text);
  if (twice !== undefined) return fail('every key once', `"${showText(twice)}" twice`);
  return value;
}

/** True for a JSON object (not null, not an array). */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function place(text: string, at: number): string {
  let line = 1;
  let start = 0;
  for (let i = text.indexOf('\n'); i >= 0 && i < at; i = text.indexOf('\n', i + 1)) {
    line++;
    start = i + 1;
  }
  return `line ${line}, column ${at - start + 1}`;
}

/** Where the text first nests deeper than `limit`. Strings are skipped as JSON writes them. */
function deeperThan(text: string, limit: number): number | undefined {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) i = stringEnd(text, i);
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > limit) return i;
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
  return undefined;
}

/** Index of the quote that closes the string opened at `start`, or the end of the text. */
function stringEnd(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x5c) i++;
    else if (c === 0x22) return i;
  }
  return text.length;
}

/** The first key that some object of a *valid* JSON text holds twice. One pass, a stack of key sets. */
function repeatedKey(text: string): string | undefined {
  // for each open object its keys, made with the first of them; null for an open array
  const open: (Set<string> | undefined | null)[] = [];
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x7b) open.push(undefined);
    else if (c === 0x5b) open.push(null);
    else if (c === 0x7d || c === 0x5d) open.pop();
    else if (c === 0x22) {
      const start = i;
      i = stringEnd(text, start);
      if (open.length === 0 || open.at(-1) === null || !isKey(text, i + 1)) continue;
      const raw = text.slice(start + 1, i);
      const key = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
      const keys = open.at(-1) ?? new Set<string>();
      if (keys.has(key)) return key;
      keys.add(key);
      open[open.length - 1] = keys;
    }
  }
  return undefined;
}

/** Whether the string that ended before `i` is a key: the next character that is not white space is a colon. */
function isKey(text: string, i: number): boolean {
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') i++;
  return text[i] === ':';
}
