/** @file `str` and `repr`. */
import type { Budget } from './budget.ts';
import { TemplateError } from './error.ts';
import { charsOf } from './python-text.ts';
import {
  Callable,
  Dict,
  Float,
  isList,
  Members,
  Namespace,
  Range,
  Stream,
  Tuple,
  Undefined,
  type Value,
} from './values.ts';

/** `str(value)`. */
export function str(value: Value, budget: Budget): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) return '';
  return repr(value, budget);
}

/** `repr(value)`. */
export function repr(value: Value, budget: Budget): string {
  const text = budget.nested(() => reprOf(value, budget));
  budget.make(text.length);
  return text;
}

/** `repr` of a float: the shortest digits that give it back, with an exponent below 1e-4 and from 1e16 on. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0';
  const [digits, power] = value.toExponential().split('e') as [string, string];
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) {
    const sign = exponent < 0 ? '-' : '+';
    return `${digits}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
  }
  const text = value.toString();
  if (!text.includes('e')) return text.includes('.') ? text : `${text}.0`;
  return value.toFixed(Math.max(1, digits.replace(/^-?\d\.?/, '').length - exponent));
}

/** `repr` of a string: single quotes unless only they occur in it. */
export function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = charsOf(text)
    .map((char) => {
      if (char === mark || char === '\\') return `\\${char}`;
      if (char === '\n') return '\\n';
      if (char === '\r') return '\\r';
      if (char === '\t') return '\\t';
      return char === ' ' || !/[\p{C}\p{Z}]/u.test(char) ? char : escaped(char);
    })
    .join('');
  return `${mark}${body}${mark}`;
}

/** The error an undefined value raises where it is used. */
export function fail(value: Undefined): never {
  throw new TemplateError(value.message);
}

/** `\xNN`, `\uNNNN` or `\UNNNNNNNN`. */
function escaped(char: string): string {
  const code = char.codePointAt(0) as number;
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

function reprOf(value: Value, budget: Budget): string {
  if (value === null) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return quote(value);
  if (value instanceof Float) return floatText(value.value);
  if (value instanceof Undefined) return 'Undefined';
  if (isList(value)) return `[${joined(value, budget)}]`;
  if (value instanceof Dict) return `{${pairs(value, budget)}}`;
  if (value instanceof Range) return value.text;
  if (value instanceof Tuple)
    return value.items.length === 1
      ? `(${joined(value.items, budget)},)`
      : `(${joined(value.items, budget)})`;
  if (value instanceof Stream && value.type !== 'generator')
    return `${value.type}([${joined(value.take(), budget)}])`;
  if (value instanceof Namespace) return `<Namespace ${reprOf(new Dict(value.values), budget)}>`;
  if (value instanceof Callable && 'arguments' in value.attributes) return `<Macro ${quote(value.name)}>`;
  const type = value instanceof Members || value instanceof Stream ? value.type : 'function';
  throw new TemplateError(`printing a value of type ${type} is not supported`);
}

function joined(items: readonly Value[], budget: Budget): string {
  return items.map((item) => repr(item, budget)).join(', ');
}

function pairs(dict: Dict, budget: Budget): string {
  return dict
    .entries()
    .map(([key, value]) => `${repr(key, budget)}: ${repr(value, budget)}`)
    .join(', ');
}
