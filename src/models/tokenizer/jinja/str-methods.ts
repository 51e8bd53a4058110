/** @file Methods of Python's `str`. */
import { bind, bounds, type Method, wantInteger, wantText } from './arguments.ts';
import type { Budget } from './budget.ts';
import { TemplateError } from './error.ts';
import { formatBraces } from './format.ts';
import { padded } from './format-number.ts';
import { itemsOf } from './operators.ts';
import {
  capitalise,
  charsOf,
  isSpace,
  lengthOf,
  splitLines,
  splitWords,
  titleCase,
  trimEnd,
  trimStart,
} from './python-text.ts';
import { Dict, type Given, Tuple, typeName, type Value } from './values.ts';

/** By name. */
export const strMethods: Readonly<Record<string, Method<string>>> = {
  capitalize: (self) => capitalise(self),
  casefold: (self) => self.toLowerCase().replaceAll('ß', 'ss').replaceAll('ς', 'σ'),
  lower: (self) => self.toLowerCase(),
  upper: (self) => self.toUpperCase(),
  title: (self) => titleCase(self),
  swapcase: (self) =>
    charsOf(self)
      .map((c) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase()))
      .join(''),
  strip: (self, given) =>
    trimStart(trimEnd(self, charsArgument(given, 'strip')), charsArgument(given, 'strip')),
  lstrip: (self, given) => trimStart(self, charsArgument(given, 'lstrip')),
  rstrip: (self, given) => trimEnd(self, charsArgument(given, 'rstrip')),
  startswith: (self, given, budget) => affix(self, given, 'startswith', budget),
  endswith: (self, given, budget) => affix(self, given, 'endswith', budget),
  removeprefix: (self, given) => {
    const prefix = wantText(bind(given, 'str.removeprefix', ['prefix'], 1)[0] as Value, 'str.removeprefix');
    return self.startsWith(prefix) ? self.slice(prefix.length) : self;
  },
  removesuffix: (self, given) => {
    const suffix = wantText(bind(given, 'str.removesuffix', ['suffix'], 1)[0] as Value, 'str.removesuffix');
    return suffix !== '' && self.endsWith(suffix) ? self.slice(0, -suffix.length) : self;
  },
  split: (self, given, budget) => split(self, given, budget, false),
  rsplit: (self, given, budget) => split(self, given, budget, true),
  splitlines: (self, given, budget) => {
    const [keepEnds = false] = bind(given, 'str.splitlines', ['keepends']);
    return charged(splitLines(self, keepEnds === true || keepEnds === 1), budget);
  },
  partition: (self, given) => {
    const sep = separator(given, 'str.partition');
    const at = self.indexOf(sep);
    return new Tuple(at < 0 ? [self, '', ''] : [self.slice(0, at), sep, self.slice(at + sep.length)]);
  },
  rpartition: (self, given) => {
    const sep = separator(given, 'str.rpartition');
    const at = self.lastIndexOf(sep);
    return new Tuple(at < 0 ? ['', '', self] : [self.slice(0, at), sep, self.slice(at + sep.length)]);
  },
  replace: (self, given, budget) => {
    const [old, by, count = -1] = bind(given, 'str.replace', ['old', 'new', 'count'], 2);
    const change = {
      old: wantText(old as Value, 'str.replace'),
      by: wantText(by as Value, 'str.replace'),
      count: wantInteger(count, 'str.replace'),
    };
    return replaceText(self, change, budget);
  },
  join: (self, given, budget) => {
    const [items] = bind(given, 'str.join', ['iterable'], 1);
    const parts = itemsOf(items as Value, budget).map((item, i) => {
      if (typeof item === 'string') return item;
      throw new TemplateError(`sequence item ${i}: expected str instance, ${typeName(item)} found`);
    });
    budget.make(parts.reduce((n, part) => n + part.length + self.length, 0));
    return parts.join(self);
  },
  find: (self, given) => find(self, given, 'find'),
  rfind: (self, given) => find(self, given, 'rfind'),
  index: (self, given) => mustFind(find(self, given, 'index')),
  rindex: (self, given) => mustFind(find(self, given, 'rindex')),
  count: (self, given) => {
    const [wanted, start = 0, stop = null] = bind(given, 'str.count', ['sub', 'start', 'end'], 1);
    const sub = wantText(wanted as Value, 'str.count');
    const part = cut(self, start, stop);
    return sub === '' ? lengthOf(part) + 1 : part.split(sub).length - 1;
  },
  format: (self, given, budget, lookup) => formatBraces(self, given, lookup, budget),
  format_map: (self, given, budget, lookup) => {
    const [values] = bind(given, 'str.format_map', ['mapping'], 1);
    if (!(values instanceof Dict)) throw new TemplateError('format_map() argument must be a dict');
    const named = new Map(values.entries().map(([key, value]) => [String(key), value] as const));
    return formatBraces(self, { positional: [], named }, lookup, budget);
  },
  center: (self, given, budget) => pad(self, given, 'center', budget),
  ljust: (self, given, budget) => pad(self, given, 'ljust', budget),
  rjust: (self, given, budget) => pad(self, given, 'rjust', budget),
  zfill: (self, given, budget) => {
    const width = wantInteger(bind(given, 'str.zfill', ['width'], 1)[0] as Value, 'str.zfill');
    budget.make(Math.max(0, width));
    const sign = /^[+-]/.test(self) ? self.slice(0, 1) : '';
    return sign + self.slice(sign.length).padStart(width - sign.length, '0');
  },
  expandtabs: (self, given, budget) => {
    const [size = 8] = bind(given, 'str.expandtabs', ['tabsize']);
    const width = Math.max(0, wantInteger(size, 'str.expandtabs'));
    let column = 0;
    let out = '';
    for (const char of charsOf(self)) {
      const add = char === '\t' ? ' '.repeat(width === 0 ? 0 : width - (column % width)) : char;
      budget.make(add.length);
      out += add;
      column = char === '\n' || char === '\r' ? 0 : column + add.length;
    }
    return out;
  },
  isalnum: (self) => every(self, /[\p{L}\p{N}]/u),
  isalpha: (self) => every(self, /\p{L}/u),
  isascii: (self) => !/[^\0-\x7f]/.test(self),
  isdecimal: (self) => every(self, /\p{Nd}/u),
  isdigit: (self) => every(self, /[\p{Nd}²³¹⁰⁴-⁹₀-₉①-⑨]/u),
  isnumeric: (self) => every(self, /\p{N}/u),
  isidentifier: (self) => /^[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Mn}\p{Mc}\p{Nd}\p{Pc}]*$/u.test(self),
  isspace: (self) => self !== '' && charsOf(self).every(isSpace),
  isprintable: (self) => charsOf(self).every((c) => c === ' ' || !/[\p{C}\p{Z}]/u.test(c)),
  islower: (self) => isLower(self),
  isupper: (self) => isUpper(self),
  istitle: (self) => /\p{L}/u.test(self) && titleCase(self) === self,
};

/** `str.islower`. */
export function isLower(text: string): boolean {
  return text === text.toLowerCase() && text !== text.toUpperCase();
}

/** `str.isupper`. */
export function isUpper(text: string): boolean {
  return text === text.toUpperCase() && text !== text.toLowerCase();
}

/** `text.replace(old, by, count)`; a count below 0 replaces all. */
export function replaceText(
  text: string,
  { old, by, count }: { readonly old: string; readonly by: string; readonly count: number },
  budget: Budget,
): string {
  const parts = old === '' ? ['', ...charsOf(text), ''] : text.split(old);
  const limit = count < 0 ? parts.length - 1 : Math.min(count, parts.length - 1);
  budget.make(text.length + limit * by.length);
  const head = parts.slice(0, limit + 1).join(by);
  return limit === parts.length - 1 ? head : [head, ...parts.slice(limit + 1)].join(old);
}

function charsArgument(given: Given, name: string): string | undefined {
  const [chars = null] = bind(given, `str.${name}`, ['chars']);
  return chars === null ? undefined : wantText(chars, `str.${name}`);
}

function separator(given: Given, what: string): string {
  const sep = wantText(bind(given, what, ['sep'], 1)[0] as Value, what);
  if (sep === '') throw new TemplateError('empty separator');
  return sep;
}

function affix(self: string, given: Given, name: 'startswith' | 'endswith', budget: Budget): boolean {
  const [wanted, start = 0, stop = null] = bind(given, `str.${name}`, ['prefix', 'start', 'end'], 1);
  const part = cut(self, start, stop);
  const all = wanted instanceof Tuple ? itemsOf(wanted, budget) : [wanted as Value];
  return all.some((item) => {
    if (typeof item !== 'string')
      throw new TemplateError(`${name} first arg must be str or a tuple of str, not ${typeName(item)}`);
    return name === 'startswith' ? part.startsWith(item) : part.endsWith(item);
  });
}

function split(self: string, given: Given, budget: Budget, fromRight: boolean): Value {
  const [sep = null, most = -1] = bind(given, 'str.split', ['sep', 'maxsplit']);
  const given_ = wantInteger(most, 'str.split');
  const limit = given_ < 0 ? Number.POSITIVE_INFINITY : given_;
  if (sep === null) {
    if (!fromRight || limit === Number.POSITIVE_INFINITY) return charged(splitWords(self, limit), budget);
    const reversed = (text: string): string => charsOf(text).reverse().join('');
    return charged(splitWords(reversed(self), limit).map(reversed).reverse(), budget);
  }
  const by = wantText(sep, 'str.split');
  if (by === '') throw new TemplateError('empty separator');
  const parts = self.split(by);
  if (parts.length - 1 <= limit) return charged(parts, budget);
  return charged(
    fromRight
      ? [parts.slice(0, parts.length - limit).join(by), ...parts.slice(parts.length - limit)]
      : [...parts.slice(0, limit), parts.slice(limit).join(by)],
    budget,
  );
}

function find(self: string, given: Given, name: 'find' | 'rfind' | 'index' | 'rindex'): number {
  const [wanted, start = 0, stop = null] = bind(given, `str.${name}`, ['sub', 'start', 'end'], 1);
  const sub = wantText(wanted as Value, `str.${name}`);
  const chars = charsOf(self);
  const [from, to] = bounds(chars.length, start, stop);
  if (from > to) return -1;
  const part = chars.slice(from, to).join('');
  const at = name.startsWith('r') ? part.lastIndexOf(sub) : part.indexOf(sub);
  return at < 0 ? -1 : from + lengthOf(part.slice(0, at));
}

function mustFind(at: number): number {
  if (at < 0) throw new TemplateError('substring not found');
  return at;
}

function cut(self: string, start: Value, stop: Value): string {
  if (start === 0 && stop === null) return self;
  const chars = charsOf(self);
  const [from, to] = bounds(chars.length, start, stop);
  return chars.slice(from, Math.max(from, to)).join('');
}

function pad(self: string, given: Given, name: 'center' | 'ljust' | 'rjust', budget: Budget): string {
  const [wanted, fill = ' '] = bind(given, `str.${name}`, ['width', 'fillchar'], 1);
  const width = wantInteger(wanted as Value, `str.${name}`);
  const char = wantText(fill, `str.${name}`);
  if (lengthOf(char) !== 1) throw new TemplateError('The fill character must be exactly one character long');
  budget.make(Math.max(0, width));
  if (name === 'center') {
    const missing = Math.max(0, width - lengthOf(self));
    // where the room is uneven, Python puts the odd one on the left if the width is odd
    const left = Math.floor(missing / 2) + (missing & width & 1);
    return char.repeat(left) + self + char.repeat(missing - left);
  }
  return padded(self, { width, fill: char, align: name === 'ljust' ? '<' : '>' });
}

function every(text: string, test: RegExp): boolean {
  return text !== '' && charsOf(text).every((char) => test.test(char));
}

function charged(parts: readonly string[], budget: Budget): readonly string[] {
  budget.make(parts.length);
  return parts;
}
