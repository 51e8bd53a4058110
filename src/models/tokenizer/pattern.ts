/**
 * @file Tokenizer patterns are written for Oniguruma; this turns the part of that syntax tokenizers use into a JavaScript
 * `RegExp` of the same meaning and refuses the rest by name (never a pattern that silently splits elsewhere).
 *
 * Measured differences handled here, against the Rust `tokenizers` 0.22: `\s` is White_Space (U+0085 in, U+FEFF out), `\d` is Nd,
 * `\w` is Alphabetic + M + Nd + Pc (+ ²³¹¼½¾), `(?i:…)` folds ſ to s and K (Kelvin) to k, `.` excludes only `\n`.
 * Left over: letters added by a Unicode version newer than Oniguruma's (16.0) are letters here if Node knows them.
 */
import { InputError, patternRisk } from '../../base/index.ts';
import { asObject, asString, badTokenizer, refuseUnknownKeys } from './parse.ts';

const SPACE = '\\p{White_Space}';
const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}²³¹¼½¾';
const CATEGORY = /^(?:L[CultmoC]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|C[cfson]?)$/u;
const FOLDS: Record<string, string> = { s: 'ſ', k: '\u212a' };

/** A `pattern` field (`{"String": …}` or `{"Regex": …}`) as a global, Unicode-aware RegExp. */
export function parsePattern(value: unknown, where: string): RegExp {
  if (typeof value === 'string') return literalPattern(value, where);
  const obj = asObject(value, where);
  refuseUnknownKeys(obj, ['String', 'Regex'], where);
  if (obj.String !== undefined) return literalPattern(asString(obj.String, `${where}.String`), where);
  if (obj.Regex !== undefined) return compilePattern(asString(obj.Regex, `${where}.Regex`), where);
  throw badTokenizer(where, '{"String": …} or {"Regex": …}', value);
}

/** Patterns by source: the Unicode classes make compiling one cost milliseconds. Users of a shared RegExp reset its `lastIndex`. */
const compiled = new Map<string, RegExp>();
const MAX_COMPILED = 256;
/** Longest pattern that is read. */
const MAX_LENGTH = 4096;

/** Oniguruma source → RegExp with flags `gu`. */
export function compilePattern(source: string, where: string): RegExp {
  const known = compiled.get(source);
  if (known) return known;
  const refuse = (what: string): InputError =>
    new InputError(
      `tokenizer at ${where}: pattern uses ${what}, which is not supported: ${JSON.stringify(source.slice(0, 80))}`,
      { id: 'tokenizer-unsupported' },
    );
  if (source.length > MAX_LENGTH) throw refuse(`more than ${MAX_LENGTH} characters`);
  const translated = translate(source, refuse);
  const risk = patternRisk(source.replaceAll('(?i:', '(?:'));
  if (risk !== undefined) throw refuse(risk);
  try {
    const pattern = new RegExp(translated, 'gu');
    if (compiled.size >= MAX_COMPILED) compiled.clear();
    compiled.set(source, pattern);
    return pattern;
  } catch (cause) {
    throw new InputError(
      `tokenizer at ${where}: not a usable pattern: ${JSON.stringify(source.slice(0, 80))}`,
      { id: 'tokenizer-unsupported', cause },
    );
  }
}

function literalPattern(text: string, where: string): RegExp {
  if (text === '') throw badTokenizer(where, 'a pattern that is not empty', text);
  return new RegExp(text.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&'), 'gu');
}

function translate(source: string, refuse: (what: string) => InputError): string {
  const chars = Array.from(source);
  const folding: boolean[] = [false]; // one entry per open group
  let out = '';
  let inClass = false;
  let quantified = false;
  for (let i = 0; i < chars.length; i++) {
    const c = chars[i] as string;
    const wasQuantified: boolean = quantified;
    quantified = false;
    if (c === '\\') {
      const [text, used] = translateEscape(chars, i + 1, inClass, refuse);
      out += text;
      i += used;
    } else if (inClass) {
      if (c === '[') throw refuse('a character class inside a class');
      if (c === '&' && chars[i + 1] === '&') throw refuse('class intersection (&&)');
      if (folding.at(-1)) throw refuse('a character class that ignores case');
      inClass = c !== ']';
      out += c;
    } else if (c === '[') {
      inClass = true;
      out += c;
      if (chars[i + 1] === '^') out += chars[++i];
      if (chars[i + 1] === ']') {
        out += '\\]';
        i++;
      }
    } else if (c === '(') {
      const head = /^\((?:\?(?:i:|:|=|!|<=|<!))?/u.exec(chars.slice(i, i + 4).join(''))?.[0] ?? '(';
      if (head === '(' && chars[i + 1] === '?') throw refuse(`the group ${chars.slice(i, i + 4).join('')}`);
      folding.push(folding.at(-1) === true || head === '(?i:');
      out += head === '(?i:' || head === '(' ? '(?:' : head;
      i += head.length - 1;
    } else if (c === ')') {
      if (folding.length === 1) throw refuse('an unmatched )');
      folding.pop();
      out += c;
    } else if (c === '*' || c === '+' || c === '?') {
      if (wasQuantified && c === '+') throw refuse('a possessive quantifier');
      quantified = !wasQuantified;
      out += c;
    } else if (c === '}') {
      quantified = true;
      out += c;
    } else if (c === '.') out += '[^\\n]';
    else if (c === '^') out += '(?<![^\\n])';
    else if (c === '$') out += '(?![^\\n])';
    else if (folding.at(-1) && /[a-z]/iu.test(c))
      out += `[${c.toLowerCase()}${c.toUpperCase()}${FOLDS[c.toLowerCase()] ?? ''}]`;
    else out += c === '/' ? '\\/' : c;
  }
  return out;
}

/** The escape after a backslash at `chars[at]`: its translation, and how many characters it used. */
function translateEscape(
  chars: readonly string[],
  at: number,
  inClass: boolean,
  refuse: (what: string) => InputError,
): [string, number] {
  const c = chars[at];
  if (c === undefined) throw refuse('a trailing backslash');
  const inside = (set: string): string => (inClass ? set : `[${set}]`);
  const property = /^\{(\^?)([\w ]+)\}/u.exec(chars.slice(at + 1, at + 40).join(''));
  if ((c === 'p' || c === 'P') && property) {
    const negated = (c === 'P') !== (property[1] === '^');
    const name = property[2] as string;
    const js =
      CATEGORY.test(name) || name === 'Alphabetic'
        ? name
        : name === 'Space'
          ? 'White_Space'
          : `Script=${name}`;
    return [`\\${negated ? 'P' : 'p'}{${js}}`, 1 + property[0].length];
  }
  if (c === 'x' && chars[at + 1] === '{') {
    const close = chars.indexOf('}', at);
    return [`\\u{${chars.slice(at + 2, close).join('')}}`, close - at + 1];
  }
  if (c === 'x' || c === 'u') {
    const length = c === 'x' ? 2 : 4;
    const digits = chars.slice(at + 1, at + 1 + length).join('');
    if (digits.length !== length || !/^[0-9a-f]+$/iu.test(digits)) throw refuse(`\\${c}${digits}`);
    return [`\\u{${digits}}`, 1 + length];
  }
  if ('rntfv'.includes(c)) return [`\\${c}`, 1];
  if (c === 's') return [SPACE, 1];
  if (c === 'S') return ['\\P{White_Space}', 1];
  if (c === 'd') return ['\\p{Nd}', 1];
  if (c === 'D') return ['\\P{Nd}', 1];
  if (c === 'w') return [inside(WORD), 1];
  if (c === 'W' && !inClass) return [`[^${WORD}]`, 1];
  if (c === 'h') return [inside('0-9a-fA-F'), 1];
  if (c === 'b' && !inClass) return [`(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`, 1];
  if (c === 'A' && !inClass) return ['(?<![\\s\\S])', 1];
  if (c === 'z' && !inClass) return ['(?![\\s\\S])', 1];
  if (/[\p{L}\p{N}]/u.test(c)) throw refuse(`\\${c}`);
  return [/[\\^$.*+?()[\]{}|/-]/u.test(c) && (inClass || c !== '-') ? `\\${c}` : c, 1];
}
