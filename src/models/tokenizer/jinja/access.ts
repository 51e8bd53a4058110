/** @file Attributes, items and slices of values. */
import type { Budget } from './budget.ts';
import { TemplateError } from './error.ts';
import type { Lookup } from './format.ts';
import { methodOf } from './methods.ts';
import { fail } from './print.ts';
import { charsOf } from './python-text.ts';
import {
  Callable,
  Dict,
  isInteger,
  isList,
  Members,
  Namespace,
  present,
  Range,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** `value.name`: an attribute or method, else the item of that name. */
export function attribute(value: Value, name: string): Value {
  if (value instanceof Undefined) return fail(value);
  const own = ownAttribute(value, name);
  if (own !== undefined) return own;
  const found = value instanceof Dict ? value.get(name) : undefined;
  return found === undefined ? missing(value, name) : found;
}

/** `value[key]`: an item, else the attribute of that name. */
export function item(value: Value, key: Value): Value {
  if (value instanceof Undefined) return fail(value);
  if (key instanceof Undefined) return value instanceof Dict ? missing(value, '') : fail(key);
  if (value instanceof Dict) {
    const found = isHashable(key) ? value.get(key) : undefined;
    if (found !== undefined) return found;
  } else if (isInteger(key)) {
    const items = typeof value === 'string' ? charsOf(value) : itemsIn(value);
    const index = Number(key);
    const found = items?.[index < 0 ? index + items.length : index];
    return present(found, () => `${typeName(value)} object has no element ${index}`);
  }
  const own = typeof key === 'string' ? ownAttribute(value, key) : undefined;
  return own === undefined ? missing(value, key) : own;
}

/** What {@link item} and {@link attribute} are to `str.format`. */
export const lookup: Lookup = { attribute, item };

/** `value[start:stop:step]`; null bounds are left out. */
export function slice(value: Value, bounds: readonly [Value, Value, Value], budget: Budget): Value {
  if (value instanceof Undefined) return fail(value);
  const items = typeof value === 'string' ? charsOf(value) : itemsIn(value);
  if (items === undefined) throw new TemplateError(`'${typeName(value)}' object cannot be sliced`);
  const [start, stop, step] = bounds.map((bound) => {
    if (bound === null) return undefined;
    if (bound instanceof Undefined) return fail(bound);
    if (!isInteger(bound))
      throw new TemplateError('slice indices must be integers or None or have an __index__ method');
    return Number(bound);
  });
  const part = indices(items.length, start, stop, step ?? 1).map((i) => items[i] as Value);
  budget.make(part.length);
  if (typeof value === 'string') return part.join('');
  if (value instanceof Range) {
    const width = step ?? 1;
    const numbers = part as number[];
    const stride = width * ((value.items[1] ?? 1) - (value.items[0] ?? 0));
    const from = numbers[0] ?? 0;
    const to = numbers.length === 0 ? from : (numbers.at(-1) as number) + stride;
    return new Range(numbers, `range(${from}, ${to}${stride === 1 ? '' : `, ${stride}`})`);
  }
  return value instanceof Tuple ? new Tuple(part) : part;
}

/** An attribute path of a filter: `a.b.0`. */
export function path(value: Value, text: Value): Value {
  const parts = typeof text === 'string' ? text.split('.') : [text];
  return parts.reduce<Value>(
    (at, part) => item(at, typeof part === 'string' && /^\d+$/.test(part) ? Number(part) : part),
    value,
  );
}

/** An attribute or method that Python's `getattr` finds, undefined without one. */
export function ownAttribute(value: Value, name: string): Value | undefined {
  if (name.startsWith('_'))
    return new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe.`);
  if (value instanceof Namespace) return value.values.get(name);
  if (value instanceof Members) return value.of(name);
  if (value instanceof Callable)
    return Object.hasOwn(value.attributes, name) ? value.attributes[name] : undefined;
  if (value instanceof Tuple) {
    const at = value.names.indexOf(name);
    if (at >= 0) return value.items[at];
  }
  const method = methodOf(value, name, lookup);
  if (method === undefined || method instanceof Undefined) return method;
  return new Callable(name, method);
}

function missing(value: Value, key: Value): Undefined {
  if (typeof key === 'string') return new Undefined(`'${typeName(value)} object' has no attribute '${key}'`);
  return new Undefined(`${typeName(value)} object has no element of type ${typeName(key)}`);
}

function itemsIn(value: Value): readonly Value[] | undefined {
  if (isList(value)) return value;
  return value instanceof Tuple || value instanceof Range ? value.items : undefined;
}

function isHashable(value: Value): boolean {
  return !(isList(value) || value instanceof Dict || value instanceof Tuple);
}

/** Indices of a slice, as Python's `slice.indices` gives them. */
function indices(size: number, start: number | undefined, stop: number | undefined, step: number): number[] {
  if (step === 0) throw new TemplateError('slice step cannot be zero');
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const clip = (index: number | undefined, fallback: number): number =>
    index === undefined ? fallback : Math.min(high, Math.max(low, index < 0 ? index + size : index));
  const [from, to] = [clip(start, step > 0 ? low : high), clip(stop, step > 0 ? high : low)];
  const out: number[] = [];
  for (let i = from; step > 0 ? i < to : i > to; i += step) out.push(i);
  return out;
}
