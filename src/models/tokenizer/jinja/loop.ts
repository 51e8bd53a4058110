/** @file `loop`: where a `for` stands. */
import { bind } from './arguments.ts';
import type { Budget } from './budget.ts';
import { TemplateError } from './error.ts';
import { equal } from './operators.ts';
import { Callable, Members, present, type Value } from './values.ts';

/** The `loop` of each item of `items`. `recurse` renders the body for other items; undefined where the loop is not recursive. */
export function loopsOf(
  items: readonly Value[],
  depth: number,
  budget: Budget,
  recurse: ((items: Value) => Value) | undefined,
): (index: number) => Members {
  let last: readonly Value[] | undefined;
  const changed = new Callable('changed', ({ positional }) => {
    const same =
      last?.length === positional.length && positional.every((v, i) => equal(v, last?.[i] as Value, budget));
    last = positional;
    return !same;
  });
  const call: Callable['call'] = (given) => {
    if (recurse === undefined)
      throw new TemplateError("The loop must have the 'recursive' marker to be called recursively.");
    return recurse(bind(given, 'loop', ['iterable'], 1)[0] as Value);
  };
  const size = items.length;
  return (at) =>
    new Members(
      'LoopContext',
      (name) =>
        Object.hasOwn(attributes, name)
          ? attributes[name]?.({ at, size, items, depth })
          : name === 'changed'
            ? changed
            : undefined,
      call,
    );
}

interface Place {
  readonly at: number;
  readonly size: number;
  readonly items: readonly Value[];
  readonly depth: number;
}

const attributes: Readonly<Record<string, (place: Place) => Value>> = {
  index: ({ at }) => at + 1,
  index0: ({ at }) => at,
  revindex: ({ at, size }) => size - at,
  revindex0: ({ at, size }) => size - at - 1,
  first: ({ at }) => at === 0,
  last: ({ at, size }) => at === size - 1,
  length: ({ size }) => size,
  depth: ({ depth }) => depth + 1,
  depth0: ({ depth }) => depth,
  previtem: ({ at, items }) => present(items[at - 1], () => 'there is no previous item'),
  nextitem: ({ at, items }) => present(items[at + 1], () => 'there is no next item'),
  cycle: ({ at }) =>
    new Callable('cycle', ({ positional }) => {
      if (positional.length === 0) throw new TemplateError('no items for cycling given');
      return positional[at % positional.length] as Value;
    }),
};
