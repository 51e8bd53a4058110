/** @file `'%s' % x` and `'{}'.format(x)`. */
import type { Budget } from './budget.ts';
import { notSupported, TemplateError } from './error.ts';
import { formatNumber, padded, type Spec } from './format-number.ts';
import { fail, repr, str } from './print.ts';
import { charsOf } from './python-text.ts';
import { Dict, type Given, isInteger, numberOf, Tuple, typeName, Undefined, type Value } from './values.ts';

const PERCENT = /%(?:\(([^)]*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+)?)?[hlL]?([\s\S]?)/g;

/** `text % values`: a tuple gives several, a dict the named ones. */
export function formatPercent(text: string, values: Value, budget: Budget): string {
  const list = values instanceof Tuple ? values.items : [values];
  let at = 0;
  let named = false;
  const next = (): Value => {
    if (at >= list.length) throw new TemplateError('not enough arguments for format string');
    return list[at++] as Value;
  };
  const result = text.replace(
    PERCENT,
    (all: string, key?: string, flags = '', width?: string, precision?: string, type = '') => {
      if (type === '') throw new TemplateError('incomplete format');
      if (width === '*' || precision === '*') throw notSupported('a width or precision of * in %');
      if (type === '%') return '%';
      let value: Value;
      if (key === undefined) value = next();
      else {
        if (!(values instanceof Dict)) throw new TemplateError('format requires a mapping');
        named = true;
        const found = values.get(key);
        if (found === undefined) throw new TemplateError(`'${key}'`);
        value = found;
      }
      const hasPrecision = all.includes('.');
      const spec: Spec = {
        fill: flags.includes('0') && !flags.includes('-') && !'rsca'.includes(type) ? '0' : ' ',
        align: flags.includes('-') ? '<' : flags.includes('0') && !'rsca'.includes(type) ? '=' : '>',
        sign: flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '-',
        alternate: flags.includes('#'),
        width: Number(width ?? 0),
        precision: hasPrecision ? Number(precision ?? 0) : undefined,
        grouping: '',
        type,
      };
      budget.make(spec.width);
      return percentValue(value, spec, budget);
    },
  );
  if (!named && at < list.length && !(list.length === 1 && values instanceof Dict))
    throw new TemplateError('not all arguments converted during string formatting');
  budget.make(result.length);
  return result;
}

function percentValue(value: Value, spec: Spec, budget: Budget): string {
  const { type } = spec;
  if (type === 's' || type === 'r' || type === 'a') {
    if (type === 'a') throw notSupported('%a');
    const text = type === 's' ? str(value, budget) : repr(value, budget);
    return padded(
      spec.precision === undefined ? text : charsOf(text).slice(0, spec.precision).join(''),
      spec,
    );
  }
  if (value instanceof Undefined) return fail(value);
  if (type === 'c')
    return padded(typeof value === 'string' ? value : String.fromCodePoint(Number(numberOf(value))), spec);
  const number = numberOf(value);
  if (number === undefined) {
    const wanted = 'diuoxX'.includes(type) ? 'a real number is required' : 'must be real number';
    throw new TemplateError(`%${type} format: ${wanted}, not ${typeName(value)}`);
  }
  if ('diu'.includes(type)) return formatNumber(Math.trunc(number), true, { ...spec, type: 'd' });
  if ('oxX'.includes(type) && !isInteger(value))
    throw new TemplateError(`%${type} format: an integer is required, not ${typeName(value)}`);
  if (!'oxXeEfFgG'.includes(type)) throw new TemplateError(`unsupported format character '${type}'`);
  return formatNumber(number, 'oxX'.includes(type), spec);
}

/** How a field of `str.format` finds attributes and items. */
export interface Lookup {
  attribute(value: Value, name: string): Value;
  item(value: Value, key: Value): Value;
}

const FIELD = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;
const FIELD_PARTS = /^(\w*)((?:\.\w+|\[[^\]]+\])*)(?:!([rsa]))?(?::([\s\S]*))?$/u;
const SPEC = /^(?:([\s\S])?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/u;

/** `text.format(…)`. */
export function formatBraces(text: string, given: Given, lookup: Lookup, budget: Budget): string {
  let at = 0;
  let numbering: boolean | undefined;
  const result = text.replace(FIELD, (all: string, field?: string) => {
    if (all === '{{') return '{';
    if (all === '}}') return '}';
    if (field === undefined) throw new TemplateError(`Single '${all}' encountered in format string`);
    const [, name = '', path = '', conversion, spec = ''] = FIELD_PARTS.exec(field) ?? badField(field);
    const manual = name !== '';
    if (/^\d*$/.test(name)) {
      if (numbering !== undefined && numbering !== manual)
        throw new TemplateError(
          'cannot switch between manual field specification and automatic field numbering',
        );
      numbering = manual;
    }
    let value =
      name === '' || /^\d+$/.test(name)
        ? given.positional[name === '' ? at++ : Number(name)]
        : given.named.get(name);
    if (value === undefined)
      throw new TemplateError(`format: no argument for the field {${field.slice(0, 40)}}`);
    for (const [, attribute, key] of path.matchAll(/\.(\w+)|\[([^\]]+)\]/gu))
      value =
        attribute === undefined
          ? lookup.item(value, /^\d+$/.test(key as string) ? Number(key) : (key as string))
          : lookup.attribute(value, attribute);
    if (value instanceof Undefined && path !== '') fail(value);
    if (conversion === 'a') throw notSupported('the conversion !a');
    if (conversion === 'r') value = repr(value, budget);
    if (conversion === 's') value = str(value, budget);
    return formatSpec(value, spec, budget);
  });
  budget.make(result.length);
  return result;
}

/** `format(value, spec)`. */
function formatSpec(value: Value, text: string, budget: Budget): string {
  if (text === '') return str(value, budget);
  const match = SPEC.exec(text);
  if (match === null) throw new TemplateError(`Invalid format specifier '${text.slice(0, 40)}'`);
  const [, fill, align, sign, alternate, zero, width, grouping, precision, type] = match;
  const number = numberOf(value);
  const spec: Spec = {
    fill: fill ?? (zero ? '0' : ' '),
    align: (align as Spec['align'] | undefined) ?? (number === undefined ? '<' : zero ? '=' : '>'),
    sign: (sign ?? '-') as Spec['sign'],
    alternate: alternate !== undefined,
    width: Number(width ?? 0),
    precision: precision === undefined ? undefined : Number(precision),
    grouping: (grouping ?? '') as Spec['grouping'],
    type: type ?? '',
  };
  budget.make(spec.width + Math.min(spec.precision ?? 0, 1000));
  if (number === undefined) {
    if (typeof value !== 'string')
      throw new TemplateError(`unsupported format string passed to ${typeName(value)}.__format__`);
    if (type !== undefined && type !== 's')
      throw new TemplateError(`Unknown format code '${type}' for object of type 'str'`);
    const whole = value;
    return padded(
      spec.precision === undefined ? whole : charsOf(whole).slice(0, spec.precision).join(''),
      spec,
    );
  }
  if (type === 'n' || type === 'c') throw notSupported(`the format code ${type}`);
  return formatNumber(number, isInteger(value), spec);
}

function badField(field: string): never {
  throw new TemplateError(`the field {${field.slice(0, 40)}} of a format string is not supported`);
}
