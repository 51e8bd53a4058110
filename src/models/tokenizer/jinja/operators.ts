/** @file Operators, truth, order, membership and walking of values. */
import type { BinaryOp, CompareOp } from './ast.ts';
import type { Budget } from './budget.ts';
import { TemplateError } from './error.ts';
import { formatPercent } from './format.ts';
import { fail } from './print.ts';
import { charsOf, lengthOf } from './python-text.ts';
import {
  Callable,
  Dict,
  Float,
  isInteger,
  isList,
  Namespace,
  numberOf,
  Range,
  Stream,
  safeInteger,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** `bool(value)`. */
export function truth(value: Value): boolean {
  if (value === null) return false;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') return value !== '';
  if (isList(value)) return value.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof Tuple || value instanceof Range) return value.items.length > 0;
  if (value instanceof Stream) return value.type === 'generator' || value.take().length > 0;
  if (value instanceof Undefined) return false;
  const number = numberOf(value);
  return number === undefined || number !== 0;
}

/** `value` as a list of what walking over it gives: characters, items, keys. */
export function itemsOf(value: Value, budget: Budget): readonly Value[] {
  const items = walk(value);
  if (items === undefined) throw new TemplateError(`'${typeName(value)}' object is not iterable`);
  budget.step(1 + Math.ceil(items.length / 8));
  return items;
}

/** Whether a value can be walked over. */
export function isIterable(value: Value): boolean {
  return (
    typeof value === 'string' ||
    isList(value) ||
    value instanceof Tuple ||
    value instanceof Dict ||
    value instanceof Range ||
    value instanceof Stream ||
    value instanceof Undefined
  );
}

function walk(value: Value): readonly Value[] | undefined {
  if (typeof value === 'string') return charsOf(value);
  if (isList(value)) return value;
  if (value instanceof Tuple || value instanceof Range) return value.items;
  if (value instanceof Dict) return value.keys();
  if (value instanceof Stream) return value.take();
  if (value instanceof Undefined) return [];
  return undefined;
}

/** `len(value)`. */
export function length(value: Value): number {
  if (typeof value === 'string') return lengthOf(value);
  if (isList(value)) return value.length;
  if (value instanceof Tuple || value instanceof Range) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof Undefined) return 0;
  if (value instanceof Stream && value.type !== 'generator') return value.take().length;
  throw new TemplateError(`object of type '${typeName(value)}' has no len()`);
}

/** `a == b`. */
export function equal(a: Value, b: Value, budget: Budget): boolean {
  budget.step();
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== undefined || y !== undefined) return x === y;
  if (isList(a)) return isList(b) && sameItems(a, b, budget);
  if (a instanceof Tuple) return b instanceof Tuple && sameItems(a.items, b.items, budget);
  if (a instanceof Range) return b instanceof Range && sameItems(a.items, b.items, budget);
  if (a instanceof Undefined) return b instanceof Undefined;
  if (!(a instanceof Dict && b instanceof Dict)) return a === b;
  return budget.nested(
    () =>
      a.size === b.size &&
      a.entries().every(([key, value]) => {
        const other = b.get(key);
        return other !== undefined && equal(value, other, budget);
      }),
  );
}

function sameItems(a: readonly Value[], b: readonly Value[], budget: Budget): boolean {
  return budget.nested(
    () => a.length === b.length && a.every((item, i) => equal(item, b[i] as Value, budget)),
  );
}

/** Below 0, 0 or above as `a` is less than, equal to or greater than `b`; NaN compares as neither. */
export function order(a: Value, b: Value, op: string, budget: Budget): number {
  budget.step();
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== undefined && y !== undefined) return x < y ? -1 : x > y ? 1 : x === y ? 0 : Number.NaN;
  if (typeof a === 'string' && typeof b === 'string') return orderText(a, b);
  if (a instanceof Undefined) return fail(a);
  if (b instanceof Undefined) return fail(b);
  const [p, q] = [sequence(a), sequence(b)];
  if (p === undefined || q === undefined || typeName(a) !== typeName(b))
    throw new TemplateError(
      `'${op}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`,
    );
  const at = p.findIndex((item, i) => i >= q.length || !equal(item, q[i] as Value, budget));
  if (at < 0) return p.length - q.length;
  if (at >= q.length) return 1;
  return budget.nested(() => order(p[at] as Value, q[at] as Value, op, budget));
}

/** Order by code points, as Python's (JavaScript's is by UTF-16 units). */
export function orderText(a: string, b: string): number {
  const size = Math.min(a.length, b.length);
  for (let i = 0; i < size; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) {
      const [high, low] = [x >= 0xd800 && x <= 0xdfff, y >= 0xd800 && y <= 0xdfff];
      return high === low ? x - y : high ? 1 : -1;
    }
  }
  return a.length - b.length;
}

/** A comparison. */
export function compare(op: CompareOp, a: Value, b: Value, budget: Budget): boolean {
  if (op === '==') return equal(a, b, budget);
  if (op === '!=') return !equal(a, b, budget);
  if (op === 'in') return contains(b, a, budget);
  if (op === 'not in') return !contains(b, a, budget);
  const found = order(a, b, op, budget);
  return op === '<' ? found < 0 : op === '<=' ? found <= 0 : op === '>' ? found > 0 : found >= 0;
}

/** `item in container`. */
export function contains(container: Value, item: Value, budget: Budget): boolean {
  if (typeof container === 'string') {
    if (typeof item !== 'string') {
      if (item instanceof Undefined) fail(item);
      throw new TemplateError(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    }
    budget.step(1 + Math.ceil(container.length / 64));
    return container.includes(item);
  }
  if (container instanceof Dict) return container.has(item);
  if (!isIterable(container))
    throw new TemplateError(`argument of type '${typeName(container)}' is not iterable`);
  return itemsOf(container, budget).some((other) => equal(other, item, budget));
}

/** An arithmetic operator, on numbers, texts and lists as Python has it. */
export function binary(op: BinaryOp, a: Value, b: Value, budget: Budget): Value {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== undefined && y !== undefined) {
    const value = arithmetic[op](x, y);
    const whole = isInteger(a) && isInteger(b) && op !== '/' && !(op === '**' && y < 0);
    return whole ? safeInteger(value) : new Float(value);
  }
  if (op === '%' && typeof a === 'string') return formatPercent(a, b, budget);
  if (a instanceof Undefined) return fail(a);
  if (b instanceof Undefined) return fail(b);
  if (op === '+') {
    if (typeof a === 'string' && typeof b === 'string') {
      budget.make(a.length + b.length);
      return a + b;
    }
    if (isList(a) && isList(b)) {
      budget.make(a.length + b.length);
      return [...a, ...b];
    }
    if (a instanceof Tuple && b instanceof Tuple) return new Tuple([...a.items, ...b.items]);
    if (typeof a === 'string')
      throw new TemplateError(`can only concatenate str (not "${typeName(b)}") to str`);
  }
  if (op === '*') {
    if (isInteger(b)) return repeated(a, Number(b), budget) ?? unsupported(op, a, b);
    if (isInteger(a)) return repeated(b, Number(a), budget) ?? unsupported(op, a, b);
  }
  return unsupported(op, a, b);
}

/** `-value`, `+value`. */
export function signed(op: '-' | '+', value: Value): Value {
  const number = numberOf(value);
  if (value instanceof Undefined) return fail(value);
  if (number === undefined) throw new TemplateError(`bad operand type for unary ${op}: '${typeName(value)}'`);
  const result = op === '-' ? -number : number;
  return isInteger(value) ? safeInteger(result) : new Float(result);
}

/** Whether a value can be called. */
export function isCallable(value: Value): boolean {
  return value instanceof Callable;
}

const arithmetic: Record<BinaryOp, (x: number, y: number) => number> = {
  '+': (x, y) => x + y,
  '-': (x, y) => x - y,
  '*': (x, y) => x * y,
  '/': (x, y) => x / notZero(y, 'division by zero'),
  '//': (x, y) => Math.floor(x / notZero(y, 'integer division or modulo by zero')),
  '%': (x, y) => {
    const rest = x % notZero(y, 'integer modulo by zero');
    return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
  },
  '**': (x, y) => x ** y,
};

function notZero(value: number, message: string): number {
  if (value === 0) throw new TemplateError(message);
  return value;
}

function repeated(value: Value, times: number, budget: Budget): Value | undefined {
  const count = Math.max(0, times);
  if (typeof value === 'string') {
    budget.make(value.length * count);
    return value.repeat(value === '' ? 0 : count);
  }
  const items = isList(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (items === undefined) return undefined;
  budget.make(items.length * count);
  const all = items.length === 0 ? [] : Array.from({ length: count }, () => items).flat(1);
  return value instanceof Tuple ? new Tuple(all) : all;
}

function unsupported(op: string, a: Value, b: Value): never {
  throw new TemplateError(`unsupported operand type(s) for ${op}: '${typeName(a)}' and '${typeName(b)}'`);
}

function sequence(value: Value): readonly Value[] | undefined {
  return isList(value) ? value : value instanceof Tuple ? value.items : undefined;
}

/** A namespace is only equal to itself; exported for tests of identity (`is sameas`). */
export function same(a: Value, b: Value): boolean {
  if (a instanceof Namespace || b instanceof Namespace) return a === b;
  if (a instanceof Float && b instanceof Float) return a.value === b.value;
  return a === b;
}
