/** @file Strict readers for the untyped JSON of tokenizer files: wrong types and unknown keys end in one `InputError` that names the place. */
import { InputError, showValue } from '../../base/index.ts';

export type JsonObject = Record<string, unknown>;

/** Deepest nesting of `Sequence` components; real files use 2. */
const MAX_DEPTH = 16;

/** One error of the form `tokenizer.json at model.merges: wanted …, got …; next step`. */
export function badTokenizer(
  where: string,
  wanted: string,
  got: unknown,
  next = 'take the file from the model again',
): InputError {
  return new InputError(`tokenizer at ${where}: wanted ${wanted}, got ${describeValue(got)}; ${next}`, {
    id: 'tokenizer-damaged',
  });
}

export function asObject(value: unknown, where: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badTokenizer(where, 'an object', value);
  return value as JsonObject;
}

export function asArray(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw badTokenizer(where, 'an array', value);
  return value as unknown[];
}

export function asString(value: unknown, where: string): string {
  if (typeof value !== 'string') throw badTokenizer(where, 'a string', value);
  return value;
}

/** A boolean; `fallback` where the key is absent or null. */
export function asBoolean(value: unknown, where: string, fallback: boolean): boolean {
  if (value === undefined || value === null) return fallback;
  if (typeof value !== 'boolean') throw badTokenizer(where, 'true or false', value);
  return value;
}

/** A token id: an integer in [0, 2³¹). */
export function asId(value: unknown, where: string): number {
  if (!isId(value)) throw badTokenizer(where, 'a token id (integer ≥ 0)', value);
  return value;
}

export function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}

/** `obj.type` of a component. */
export function typeOf(obj: JsonObject, where: string): string {
  return asString(obj.type, `${where}.type`);
}

/** Refuse keys outside `known`: an option we do not know may change ids. */
export function refuseUnknownKeys(obj: JsonObject, known: readonly string[], where: string): void {
  for (const key of Object.keys(obj))
    if (key !== 'type' && !known.includes(key))
      throw new InputError(
        `tokenizer at ${where}: unknown option ${describeValue(key)} (known: ${known.join(', ') || 'none'}); running without it could give wrong ids`,
        { id: 'tokenizer-unsupported' },
      );
}

export function refuseDepth(depth: number, where: string): void {
  if (depth > MAX_DEPTH)
    throw new InputError(
      `tokenizer at ${where}: components nested deeper than ${MAX_DEPTH}; the file is damaged`,
      { id: 'tokenizer-damaged' },
    );
}

/** Component of a kind this project does not run. */
export function unsupported(where: string, kind: unknown, supported: readonly string[]): InputError {
  return new InputError(
    `tokenizer at ${where}: ${describeValue(kind)} is not supported (supported: ${supported.join(', ')})`,
    { id: 'tokenizer-unsupported' },
  );
}

/** A value in an error message: short, and of one line. */
export function describeValue(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return showValue(value, 60);
}

/** Makes one part of a tokenizer from its description. */
export type PartBuilder<T> = (description: Record<string, unknown>, where: string, depth: number) => T;

/** The part that `value` describes by its `type`; undefined where it describes none. */
export function buildPart<T>(
  builders: Readonly<Record<string, PartBuilder<T>>>,
  value: unknown,
  { where, depth }: { readonly where: string; readonly depth: number },
): T | undefined {
  refuseDepth(depth, where);
  if (value === null || value === undefined) return undefined;
  const description = asObject(value, where);
  const type = typeOf(description, where);
  const build = Object.hasOwn(builders, type) ? builders[type] : undefined;
  if (!build) throw unsupported(where, type, Object.keys(builders));
  return build(description, where, depth);
}
