/** @file Functions every template sees: jinja2's own and those transformers adds. */
import { bind, wantInteger, wantText } from './arguments.ts';
import type { Budget } from './budget.ts';
import { notSupported, TemplateError } from './error.ts';
import { itemsOf } from './operators.ts';
import { str } from './print.ts';
import { strftime } from './strftime.ts';
import {
  Callable,
  Dict,
  type Given,
  Members,
  Namespace,
  Range,
  Tuple,
  typeName,
  type Value,
} from './values.ts';

/** Longest range, as in jinja2's sandbox. */
const MAX_RANGE = 100_000;

/** Globals of a rendering; `now` is what `strftime_now` writes. */
export function globalsOf(now: () => Date): Map<string, Value> {
  const all: Record<string, Callable['call']> = {
    range,
    dict: (given, budget) => dictOf(given, budget),
    namespace: (given, budget) =>
      new Namespace(
        new Map(
          dictOf(given, budget)
            .entries()
            .map(([key, value]) => [wantText(key, 'namespace'), value]),
        ),
      ),
    cycler,
    joiner,
    lipsum: () => {
      throw notSupported('the function lipsum');
    },
    raise_exception: (given, budget) => {
      const [message] = bind(given, 'raise_exception', ['message'], 1);
      throw new TemplateError(str(message as Value, budget));
    },
    strftime_now: (given) => {
      const [format] = bind(given, 'strftime_now', ['format'], 1);
      return strftime(now(), wantText(format as Value, 'strftime_now'));
    },
  };
  return new Map(Object.entries(all).map(([name, call]) => [name, new Callable(name, call)]));
}

function range(given: Given, budget: Budget): Value {
  const numbers = given.positional.map((value) => wantInteger(value, 'range'));
  if (numbers.length < 1 || numbers.length > 3 || given.named.size > 0)
    throw new TemplateError(`range expected 1 to 3 arguments, got ${numbers.length}`);
  const [start, stop] = numbers.length === 1 ? [0, numbers[0] as number] : (numbers as [number, number]);
  const step = numbers[2] ?? 1;
  if (step === 0) throw new TemplateError('range() arg 3 must not be zero');
  const size = Math.max(0, Math.ceil((stop - start) / step));
  if (size > MAX_RANGE)
    throw new TemplateError(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${MAX_RANGE}).`);
  budget.make(size);
  const items = Array.from({ length: size }, (_, i) => start + i * step);
  return new Range(items, step === 1 ? `range(${start}, ${stop})` : `range(${start}, ${stop}, ${step})`);
}

function dictOf(given: Given, budget: Budget): Dict {
  if (given.positional.length > 1) throw new TemplateError('dict expected at most 1 argument');
  const [from] = given.positional;
  const dict = new Dict(from instanceof Dict ? from.entries() : []);
  if (from !== undefined && !(from instanceof Dict))
    for (const pair of itemsOf(from, budget)) {
      const [key, value, ...rest] = itemsOf(pair, budget);
      if (key === undefined || value === undefined || rest.length > 0)
        throw new TemplateError(`cannot convert ${typeName(pair)} to a key and a value`);
      dict.set(key, value);
    }
  for (const [key, value] of given.named) dict.set(key, value);
  return dict;
}

function cycler({ positional }: Given): Value {
  if (positional.length === 0) throw new TemplateError('at least one item has to be provided');
  let at = 0;
  const current = (): Value => positional[at] as Value;
  const next = new Callable('next', () => {
    const item = current();
    at = (at + 1) % positional.length;
    return item;
  });
  const reset = new Callable('reset', () => {
    at = 0;
    return null;
  });
  return new Members('Cycler', (name) =>
    name === 'next'
      ? next
      : name === 'reset'
        ? reset
        : name === 'current'
          ? current()
          : name === 'items'
            ? new Tuple(positional)
            : undefined,
  );
}

function joiner(given: Given): Value {
  const [separator = ', '] = bind(given, 'joiner', ['sep']);
  let used = false;
  return new Callable('joiner', () => {
    const text = used ? separator : '';
    used = true;
    return text;
  });
}
