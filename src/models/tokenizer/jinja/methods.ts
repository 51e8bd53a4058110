/** @file Methods of Python's `str`, `list`, `tuple` and `dict` that templates may call. What changes a value is refused, as in transformers' sandbox. */
import { bind, bounds, type Method } from './arguments.ts';
import type { Budget } from './budget.ts';
import { notSupported, TemplateError } from './error.ts';
import type { Lookup } from './format.ts';
import { equal } from './operators.ts';
import { strMethods } from './str-methods.ts';
import { Dict, Float, type Given, isList, Stream, Tuple, Undefined, type Value } from './values.ts';

/** The method `name` of a value, bound to it; undefined where its type has none. A refused one is an undefined value that says so. */
export function methodOf(
  self: Value,
  name: string,
  lookup: Lookup,
): ((given: Given, budget: Budget) => Value) | Undefined | undefined {
  const found = tableOf(self);
  if (found === undefined) return undefined;
  const [type, table, refused, mutating] = found;
  if (mutating.includes(name))
    return new Undefined(`access to attribute '${name}' of '${type}' object is unsafe.`);
  if (refused.includes(name)) throw notSupported(`${type}.${name}`);
  const method = Object.hasOwn(table, name) ? table[name] : undefined;
  if (method === undefined) return undefined;
  return (given, budget) => {
    if (NO_ARGUMENTS.test(name)) bind(given, `${type}.${name}`, []);
    return method(self, given, budget, lookup);
  };
}

/** Methods without parameters. */
const NO_ARGUMENTS =
  /^(?:is\w+|capitalize|casefold|lower|upper|title|swapcase|keys|values|items|copy|bit_length)$/;

const LIST_CHANGES = ['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove'];
const DICT_CHANGES = ['clear', 'pop', 'popitem', 'setdefault', 'update'];
const STR_REFUSED = ['encode', 'translate', 'maketrans'];
const NUMBER_REFUSED = ['real', 'imag', 'conjugate'];

type Table = readonly [
  type: string,
  methods: Readonly<Record<string, Method<never>>>,
  refused: readonly string[],
  mutating: readonly string[],
];

function tableOf(
  self: Value,
): [string, Readonly<Record<string, Method<Value>>>, readonly string[], readonly string[]] | undefined {
  const table: Table | undefined =
    typeof self === 'string'
      ? ['str', strMethods, STR_REFUSED, []]
      : isList(self)
        ? ['list', listMethods, [], LIST_CHANGES]
        : self instanceof Dict
          ? ['dict', dictMethods, ['fromkeys'], DICT_CHANGES]
          : self instanceof Tuple
            ? ['tuple', tupleMethods, [], []]
            : self instanceof Float
              ? ['float', floatMethods, ['as_integer_ratio', 'hex', 'fromhex', ...NUMBER_REFUSED], []]
              : typeof self === 'number'
                ? [
                    'int',
                    intMethods,
                    [
                      'to_bytes',
                      'from_bytes',
                      'as_integer_ratio',
                      'numerator',
                      'denominator',
                      ...NUMBER_REFUSED,
                    ],
                    [],
                  ]
                : undefined;
  return table as ReturnType<typeof tableOf>;
}

const floatMethods: Readonly<Record<string, Method<Float>>> = {
  is_integer: (self) => Number.isInteger(self.value),
};

const intMethods: Readonly<Record<string, Method<number>>> = {
  bit_length: (self) => (self === 0 ? 0 : Math.abs(self).toString(2).length),
  is_integer: () => true,
};

const listMethods: Readonly<Record<string, Method<readonly Value[]>>> = {
  count: countItems,
  index: indexOfItem,
  copy: (self, given, budget) => {
    bind(given, 'list.copy', []);
    budget.make(self.length);
    return [...self];
  },
};

const tupleMethods: Readonly<Record<string, Method<Tuple>>> = {
  count: (self, given, budget) => countItems(self.items, given, budget),
  index: (self, given, budget) => indexOfItem(self.items, given, budget),
};

const dictMethods: Readonly<Record<string, Method<Dict>>> = {
  get: (self, given) => {
    const [key, fallback = null] = bind(given, 'dict.get', ['key', 'default'], 1);
    const found = self.get(key as Value);
    return found === undefined ? fallback : found;
  },
  keys: (self) => new Stream(self.keys(), 'dict_keys'),
  values: (self) => new Stream(self.values(), 'dict_values'),
  items: (self) => new Stream(pairsOf(self), 'dict_items'),
  copy: (self, _, budget) => {
    budget.make(self.size);
    return new Dict(self.entries());
  },
};

/** The items of a dict as tuples. */
export function pairsOf(dict: Dict): Tuple[] {
  return dict.entries().map(([key, value]) => new Tuple([key, value]));
}

function countItems(self: readonly Value[], given: Given, budget: Budget): Value {
  const [value] = bind(given, 'count', ['value'], 1);
  return self.filter((item) => equal(item, value as Value, budget)).length;
}

function indexOfItem(self: readonly Value[], given: Given, budget: Budget): Value {
  const [value, start = 0, stop = self.length] = bind(given, 'index', ['value', 'start', 'stop'], 1);
  const [from, to] = bounds(self.length, start, stop);
  for (let i = from; i < to; i++) if (equal(self[i] as Value, value as Value, budget)) return i;
  throw new TemplateError('value is not in list');
}
