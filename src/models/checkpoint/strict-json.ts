/** @file JSON as the formats mean it: one value, valid UTF-8, no key twice. */
import { CheckpointError, show } from './errors.ts';

/**
 * Parse UTF-8 JSON that must be an object, refusing what `JSON.parse` lets pass: broken UTF-8 and repeated keys
 * (the last would win silently). `where` begins every message. Throws `CheckpointError`.
 */
export function parseStrictJsonObject(bytes: Uint8Array, where: string): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new CheckpointError(where, { wanted: 'UTF-8 text', got: 'bytes that are not UTF-8' }, error);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CheckpointError(where, { wanted: 'JSON', got: 'text that does not parse' }, error);
  }
  if (!isPlainObject(value)) throw new CheckpointError(where, { wanted: 'a JSON object', got: show(value) });
  const twice = repeatedKey(text);
  if (twice !== undefined)
    throw new CheckpointError(where, { wanted: 'every key once', got: `${show(twice)} twice` });
  return value;
}

/** True for a JSON object (not null, not an array). */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The first key that some object of a *valid* JSON text holds twice. One pass, a stack of key sets. */
function repeatedKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = []; // a set per open object, undefined per open array
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '{') open.push(new Set());
    else if (c === '[') open.push(undefined);
    else if (c === '}' || c === ']') open.pop();
    else if (c === '"') {
      const start = i;
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
      const keys = open.at(-1);
      if (keys !== undefined && isKey(text, i + 1)) {
        const raw = text.slice(start + 1, i);
        const key = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
        if (keys.has(key)) return key;
        keys.add(key);
      }
    }
  }
  return undefined;
}

/** Whether the string that ended before `i` is a key: the next character that is not white space is a colon. */
function isKey(text: string, i: number): boolean {
  while (text[i] === ' ' || text[i] === '\n' || text[i] === '\r' || text[i] === '\t') i++;
  return text[i] === ':';
}
