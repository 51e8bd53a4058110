/** @file Arguments of functions, filters and methods, as Python binds them. */
import { TemplateError } from './error.ts';
import { type Given, isInteger, typeName, type Value } from './values.ts';

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
