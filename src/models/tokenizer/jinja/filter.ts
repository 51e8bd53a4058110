/** @file What a filter is. */
import type { Budget } from './budget.ts';
import type { Given, Value } from './values.ts';

/** A filter. `apply` runs another filter or test by name (`map`, `select`). */
export type Filter = (value: Value, given: Given, budget: Budget, apply: Apply) => Value;

/** Filters and tests by name, for those that take names. */
export interface Apply {
  filter(name: string, value: Value, given: Given): Value;
  test(name: string, value: Value, given: Given): boolean;
}
