/** @file Arguments of functions, filters and methods, as Python binds them. */
import type { Budget } from './budget.ts';
import { TemplateError } from './error.ts';
import type { Lookup } from './format.ts';
import { type Given, isInteger, typeName, type Value } from './values.ts';

/** A method of a type of values. */
export type Method<T> = (self: T, given: Given, budget: Budget, lookup: Lookup) => Value;

/** Values of the parameters `names` in order, undefined where none was given; the first `required` must be given. */
export function bind(
  given: Given,
  what: string,
  names: readonly string[],
  required = 0,
): (Value | undefined)[] {
  if (given.positional.length > names.length)
    throw new TemplateError(
      `${what} takes at most ${names.length} arguments, got ${given.positional.length}`,
    );
  for (const name of given.named.keys())
    if (!names.includes(name))
      throw new TemplateError(`${what} got an unexpected keyword argument '${name}'`);
  const values = names.map((name, i) => {
    const value = i < given.positional.length ? given.positional[i] : given.named.get(name);
    if (i < given.positional.length && given.named.has(name))
      throw new TemplateError(`${what} got multiple values for argument '${name}'`);
    return value;
  });
  const missing = names.slice(0, required).filter((_, i) => values[i] === undefined);
  if (missing.length > 0) throw new TemplateError(`${what} is missing the argument ${missing.join(', ')}`);
  return values;
}

/** An integer argument. */
export function wantInteger(value: Value, what: string): number {
  if (!isInteger(value))
    throw new TemplateError(`${what}: '${typeName(value)}' object cannot be interpreted as an integer`);
  return Number(value);
}

/** A text argument. */
export function wantText(value: Value, what: string): string {
  if (typeof value !== 'string') throw new TemplateError(`${what}: wanted a text, got ${typeName(value)}`);
  return value;
}

/** Bounds of a part as Python counts them: below 0 from the end, clipped. */
export function bounds(size: number, start: Value, stop: Value): [number, number] {
  const at = (value: Value, fallback: number): number => {
    if (value === null) return fallback;
    const index = wantInteger(value, 'bounds');
    return Math.min(size + (index < 0 ? 0 : 1), Math.max(0, index < 0 ? index + size : index));
  };
  return [at(start, 0), Math.min(size, at(stop, size))];
}
