/** @file Tests: `value is name`. */
import { bind } from './arguments.ts';
import type { Budget } from './budget.ts';
import { TemplateError } from './error.ts';
import { filterNamed } from './filters.ts';
import { binary, compare, contains, equal, isIterable, same } from './operators.ts';
import { str } from './print.ts';
import { isLower, isUpper } from './str-methods.ts';
import {
  Callable,
  Dict,
  Float,
  type Given,
  Members,
  numberOf,
  Stream,
  Undefined,
  type Value,
} from './values.ts';

type Test = (value: Value, given: Given, budget: Budget) => boolean;

/** The test `name`. Throws {@link TemplateError} where there is none. */
export function testNamed(name: string): Test {
  const test = Object.hasOwn(tests, name) ? tests[name] : undefined;
  if (test === undefined) throw new TemplateError(`No test named '${name}'.`);
  return test;
}

const comparing =
  (op: '==' | '!=' | '<' | '<=' | '>' | '>='): Test =>
  (value, given, budget) =>
    compare(op, value, bind(given, 'test', ['other'], 1)[0] as Value, budget);

const remainder = (value: Value, by: Value, budget: Budget): Value => binary('%', value, by, budget);

const isMissing = (value: Value): boolean => value instanceof Undefined;

const tests: Readonly<Record<string, Test>> = {
  boolean: (value) => typeof value === 'boolean',
  callable: (value) => value instanceof Callable || (value instanceof Members && value.call !== undefined),
  defined: (value) => !isMissing(value),
  divisibleby: (value, given, budget) =>
    equal(remainder(value, bind(given, 'divisibleby', ['num'], 1)[0] as Value, budget), 0, budget),
  '==': comparing('=='),
  eq: comparing('=='),
  equalto: comparing('=='),
  '!=': comparing('!='),
  ne: comparing('!='),
  '<': comparing('<'),
  lt: comparing('<'),
  lessthan: comparing('<'),
  '<=': comparing('<='),
  le: comparing('<='),
  '>': comparing('>'),
  gt: comparing('>'),
  greaterthan: comparing('>'),
  '>=': comparing('>='),
  ge: comparing('>='),
  escaped: () => false,
  even: (value, _, budget) => equal(remainder(value, 2, budget), 0, budget),
  odd: (value, _, budget) => equal(remainder(value, 2, budget), 1, budget),
  false: (value) => value === false,
  true: (value) => value === true,
  none: (value) => value === null,
  filter: (value) => {
    if (typeof value !== 'string') return false;
    try {
      filterNamed(value);
      return true;
    } catch {
      return false;
    }
  },
  float: (value) => value instanceof Float,
  in: (value, given, budget) => contains(bind(given, 'in', ['seq'], 1)[0] as Value, value, budget),
  integer: (value) => typeof value === 'number',
  iterable: (value) => isIterable(value),
  lower: (value, _, budget) => isLower(str(value, budget)),
  upper: (value, _, budget) => isUpper(str(value, budget)),
  mapping: (value) => value instanceof Dict,
  number: (value) => numberOf(value) !== undefined,
  sameas: (value, given) => same(value, bind(given, 'sameas', ['other'], 1)[0] as Value),
  sequence: (value) => isIterable(value) && !(value instanceof Stream),
  string: (value) => typeof value === 'string',
  test: (value) => typeof value === 'string' && Object.hasOwn(tests, value),
  undefined: isMissing,
};
