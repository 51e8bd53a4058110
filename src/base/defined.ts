/** @file Objects whose keys are data: a key without a value must not be there, since readers count keys. */

/** A copy without the keys whose value is undefined. */
export function defined<T>(values: Readonly<Record<string, T | undefined>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, T] => entry[1] !== undefined),
  );
}
