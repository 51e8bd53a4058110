/** @file Filters of texts and numbers. */
import { ownAttribute } from './access.ts';
import { bind, wantInteger, wantText } from './arguments.ts';
import { notSupported, TemplateError } from './error.ts';
import type { Filter } from './filter.ts';
import { formatPercent } from './format.ts';
import { fixed } from './format-number.ts';
import { toJson } from './json.ts';
import { listFilters } from './list-filters.ts';
import { length, signed, truth } from './operators.ts';
import { fail, str } from './print.ts';
import { capitalise, charsOf, lengthOf, splitLines, trimEnd, trimStart } from './python-text.ts';
import { replaceText } from './str-methods.ts';
import {
  Dict,
  Float,
  isInteger,
  numberOf,
  present,
  safeInteger,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** jinja2's filters that need what templates of models never use. */
const REFUSED = new Set([
  'filesizeformat',
  'pprint',
  'random',
  'striptags',
  'urlencode',
  'urlize',
  'wordwrap',
  'xmlattr',
]);

const NO_ARGUMENTS = new Set(
  'abs capitalize count e escape first forceescape items last length list lower reverse safe string title upper wordcount'.split(
    ' ',
  ),
);

/** The filter `name`. Throws {@link TemplateError} where there is none. */
export function filterNamed(name: string): Filter {
  const filter = Object.hasOwn(filters, name) ? filters[name] : undefined;
  if (filter !== undefined && NO_ARGUMENTS.has(name))
    return (value, given, budget, apply) => {
      bind(given, name, []);
      return filter(value, given, budget, apply);
    };
  if (filter !== undefined) return filter;
  if (REFUSED.has(name)) throw notSupported(`the filter '${name}'`);
  throw new TemplateError(`No filter named '${name}'.`);
}

const defaultFilter: Filter = (value, given) => {
  const [fallback = '', boolean = false] = bind(given, 'default', ['default_value', 'boolean']);
  return value instanceof Undefined || (truth(boolean) && !truth(value)) ? fallback : value;
};

const lengthFilter: Filter = (value) => length(value);

const escapeFilter: Filter = (value, _, budget) =>
  str(value, budget)
    .replaceAll('&', '&amp;')
    .replaceAll('>', '&gt;')
    .replaceAll('<', '&lt;')
    .replaceAll("'", '&#39;')
    .replaceAll('"', '&#34;');

const filters: Readonly<Record<string, Filter>> = {
  ...listFilters,
  abs: (value) => {
    const number = numberOf(value);
    if (value instanceof Undefined) return fail(value);
    if (number === undefined) throw new TemplateError(`bad operand type for abs(): '${typeName(value)}'`);
    return number < 0 || Object.is(number, -0) ? signed('-', value) : signed('+', value);
  },
  attr: (value, given) => {
    const name = wantText(bind(given, 'attr', ['name'], 1)[0] as Value, 'attr');
    return present(ownAttribute(value, name), () => `'${typeName(value)} object' has no attribute '${name}'`);
  },
  capitalize: (value, _, budget) => capitalise(str(value, budget)),
  center: (value, given, budget) => {
    const [width = 80] = bind(given, 'center', ['width']);
    const size = wantInteger(width, 'center');
    budget.make(Math.max(0, size));
    const text = str(value, budget);
    const missing = Math.max(0, size - lengthOf(text));
    const left = Math.floor(missing / 2) + (missing & size & 1);
    return ' '.repeat(left) + text + ' '.repeat(missing - left);
  },
  count: lengthFilter,
  length: lengthFilter,
  d: defaultFilter,
  default: defaultFilter,
  e: escapeFilter,
  escape: escapeFilter,
  forceescape: escapeFilter,
  float: (value, given) => {
    const [fallback = new Float(0)] = bind(given, 'float', ['default']);
    if (value instanceof Undefined) return fail(value);
    const number = typeof value === 'string' ? parseFloatText(value) : numberOf(value);
    return number === undefined ? fallback : new Float(number);
  },
  format: (value, given, budget) => {
    if (given.positional.length > 0 && given.named.size > 0)
      throw new TemplateError("can't handle positional and keyword arguments at the same time");
    const values = given.named.size > 0 ? new Dict(given.named) : new Tuple(given.positional);
    return formatPercent(str(value, budget), values, budget);
  },
  indent: (value, given, budget) => {
    const [width = 4, first = false, blank = false] = bind(given, 'indent', ['width', 'first', 'blank']);
    const size = typeof width === 'string' ? width.length : wantInteger(width, 'indent');
    budget.make(Math.max(0, size));
    const step = typeof width === 'string' ? width : ' '.repeat(Math.max(0, size));
    const lines = splitLines(`${str(value, budget)}\n`);
    budget.make(step.length * lines.length);
    const rest = lines.slice(1).map((line) => (line !== '' || truth(blank) ? step + line : line));
    return (truth(first) ? step : '') + [lines[0] as string, ...rest].join('\n');
  },
  int: (value, given) => {
    const [fallback = 0, base = 10] = bind(given, 'int', ['default', 'base']);
    if (value instanceof Undefined) return fail(value);
    if (typeof value === 'string') return parseInteger(value, wantInteger(base, 'int')) ?? fallback;
    const number = numberOf(value);
    return number === undefined || !Number.isFinite(number) ? fallback : safeInteger(Math.trunc(number));
  },
  lower: (value, _, budget) => str(value, budget).toLowerCase(),
  replace: (value, given, budget) => {
    const [old, by, count = null] = bind(given, 'replace', ['old', 'new', 'count'], 2);
    const most = count === null ? -1 : wantInteger(count, 'replace');
    const text = str(value, budget);
    const change = { old: str(old as Value, budget), by: str(by as Value, budget), count: most };
    return replaceText(text, change, budget);
  },
  round: (value, given) => {
    const [precision = 0, method = 'common'] = bind(given, 'round', ['precision', 'method']);
    return round(value, wantInteger(precision, 'round'), method);
  },
  safe: (value, _, budget) => str(value, budget),
  string: (value, _, budget) => str(value, budget),
  title: (value, _, budget) =>
    str(value, budget)
      .split(/([-\s({[<]+)/)
      .map(capitalise)
      .join(''),
  tojson: toJson,
  trim: (value, given, budget) => {
    const [chars = null] = bind(given, 'trim', ['chars']);
    const set = chars === null ? undefined : wantText(chars, 'trim');
    return trimStart(trimEnd(str(value, budget), set), set);
  },
  truncate: (value, given, budget) => {
    const [size = 255, kill = false, end = '...', leeway = 5] = bind(given, 'truncate', [
      'length',
      'killwords',
      'end',
      'leeway',
    ]);
    const most = wantInteger(size, 'truncate');
    const text = str(value, budget);
    const tail = wantText(end, 'truncate');
    const chars = charsOf(text);
    if (chars.length <= most + wantInteger(leeway === null ? 5 : leeway, 'truncate')) return text;
    const head = chars.slice(0, most - lengthOf(tail)).join('');
    const space = head.lastIndexOf(' ');
    return (truth(kill) || space < 0 ? head : head.slice(0, space)) + tail;
  },
  upper: (value, _, budget) => str(value, budget).toUpperCase(),
  wordcount: (value, _, budget) => [...str(value, budget).matchAll(/[\p{L}\p{N}_]+/gu)].length,
};

function parseInteger(text: string, base: number): number | undefined {
  const digits = trimStart(trimEnd(text)).replace(/(?<=[\da-z])_(?=[\da-z])/gi, '');
  const [, sign = '', body = ''] = /^([+-]?)(.*)$/s.exec(digits) ?? [];
  const prefix = base === 16 ? /^0x/i : base === 8 ? /^0o/i : base === 2 ? /^0b/i : /^(?!)/;
  const plain = body.replace(prefix, '');
  const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'.slice(0, base);
  const valid = plain !== '' && [...plain.toLowerCase()].every((c) => alphabet.includes(c));
  const value = valid ? Number.parseInt(plain, base) * (sign === '-' ? -1 : 1) : parseFloatText(text);
  return value === undefined || !Number.isFinite(value) ? undefined : safeInteger(Math.trunc(value));
}

function parseFloatText(text: string): number | undefined {
  const body = trimStart(trimEnd(text));
  if (/^[+-]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:e[+-]?\d+)?$/i.test(body))
    return Number(body.replaceAll('_', ''));
  const special = /^([+-]?)(inf(?:inity)?|nan)$/i.exec(body);
  if (special === null) return undefined;
  if (/nan/i.test(special[2] as string)) return Number.NaN;
  return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

function round(value: Value, precision: number, method: Value): Value {
  if (method !== 'common' && method !== 'ceil' && method !== 'floor')
    throw new TemplateError('method must be common, ceil or floor');
  const number = numberOf(value);
  if (value instanceof Undefined) return fail(value);
  if (number === undefined)
    throw new TemplateError(`type ${typeName(value)} doesn't define __round__ method`);
  if (method !== 'common') return new Float(Math[method](number * 10 ** precision) / 10 ** precision);
  if (isInteger(value) && precision >= 0) return Number(value);
  const scale = 10 ** -precision;
  const size = Math.abs(number);
  const rounded =
    precision >= 0 ? Number(fixed(size, Math.min(precision, 60))) : Number(fixed(size / scale, 0)) * scale;
  const result = number < 0 ? -rounded : rounded;
  return isInteger(value) ? safeInteger(result) : new Float(result);
}
