/** @file Python's values as templates see them. Integers are JavaScript numbers, lists are arrays; the rest of Python has a class here. */
import type { Budget } from './budget.ts';
import { TemplateError } from './error.ts';

/** Any value. */
export type Value =
  | null
  | boolean
  | number
  | string
  | readonly Value[]
  | Float
  | Tuple
  | Dict
  | Range
  | Stream
  | Undefined
  | Callable
  | Namespace
  | Members;

/** A Python float: `1.0` is another value than `1`. */
export class Float {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** A tuple; with `names` a named one (`groupby`). */
export class Tuple {
  readonly items: readonly Value[];
  readonly names: readonly string[];

  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

/** A dict. Keys equal in Python (`1`, `1.0`, `True`) are one. */
export class Dict {
  readonly #entries = new Map<string | number | null, readonly [key: Value, value: Value]>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) this.set(key, value);
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hashOf(key))?.[1];
  }

  has(key: Value): boolean {
    return this.#entries.has(hashOf(key));
  }

  set(key: Value, value: Value): void {
    const hash = hashOf(key);
    this.#entries.set(hash, [this.#entries.get(hash)?.[0] ?? key, value]);
  }

  entries(): (readonly [Value, Value])[] {
    return [...this.#entries.values()];
  }

  keys(): Value[] {
    return this.entries().map(([key]) => key);
  }

  values(): Value[] {
    return this.entries().map(([, value]) => value);
  }
}

/** `range(start, stop, step)`. */
export class Range {
  readonly items: readonly number[];
  readonly text: string;

  constructor(items: readonly number[], text: string) {
    this.items = items;
    this.text = text;
  }
}

/** What Python hands out lazily: a generator can be walked once and has no length; the view of a dict has one. */
export class Stream {
  readonly type: 'generator' | 'dict_keys' | 'dict_values' | 'dict_items';
  readonly #items: readonly Value[];
  #at = 0;

  constructor(items: readonly Value[], type: Stream['type'] = 'generator') {
    this.#items = items;
    this.type = type;
  }

  /** What is left to walk. */
  take(): readonly Value[] {
    if (this.type !== 'generator') return this.#items;
    const rest = this.#at === 0 ? this.#items : this.#items.slice(this.#at);
    this.#at = this.#items.length;
    return rest;
  }

  /** The next item of a generator. */
  next(): Value | undefined {
    return this.#items[this.#at++];
  }
}

/** A name or attribute that is not there: empty as text and as a list, an error where anything else is asked of it. */
export class Undefined {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

/** Arguments of a call, evaluated. */
export interface Given {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** A function of the renderer, or a macro. */
export class Callable {
  readonly name: string;
  readonly call: (given: Given, budget: Budget) => Value;
  /** Attributes (`name`, `arguments`, … of a macro). */
  readonly attributes: Readonly<Record<string, Value>>;

  constructor(name: string, call: Callable['call'], attributes: Readonly<Record<string, Value>> = {}) {
    this.name = name;
    this.call = call;
    this.attributes = attributes;
  }
}

/** `namespace()`: attributes that `set` may change. */
export class Namespace {
  readonly values: Map<string, Value>;

  constructor(values: Map<string, Value>) {
    this.values = values;
  }
}

/** An object with attributes computed when asked for: `loop`, `cycler`. */
export class Members {
  readonly type: string;
  readonly of: (name: string) => Value | undefined;
  readonly call: Callable['call'] | undefined;

  constructor(type: string, of: Members['of'], call?: Callable['call']) {
    this.type = type;
    this.of = of;
    this.call = call;
  }
}

/** Values within each other that are taken from outside. */
const MAX_DEPTH = 100;

/** A JavaScript value from outside (messages, variables). Whole numbers are integers. */
export function fromJs(value: unknown, depth = 0): Value {
  if (depth > MAX_DEPTH) throw new TemplateError(`a variable nests deeper than ${MAX_DEPTH} levels`);
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (value === undefined) return null;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : new Float(value);
  if (typeof value === 'bigint') return safeInteger(Number(value));
  if (Array.isArray(value)) return value.map((item: unknown) => fromJs(item, depth + 1));
  if (typeof value === 'object')
    return new Dict(Object.entries(value).map(([key, item]) => [key, fromJs(item, depth + 1)] as const));
  throw new TemplateError(`a variable is a ${typeof value}`);
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return 'int';
  if (typeof value === 'string') return 'str';
  if (value instanceof Float) return 'float';
  if (value instanceof Tuple) return 'tuple';
  if (value instanceof Dict) return 'dict';
  if (value instanceof Range) return 'range';
  if (value instanceof Stream) return value.type;
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Callable) return 'function';
  if (value instanceof Namespace) return 'Namespace';
  if (value instanceof Members) return value.type;
  return 'list';
}

/** A value that may not be there (null is there); undefined becomes an undefined value with this message. */
export function present(value: Value | undefined, message: () => string): Value {
  return value === undefined ? new Undefined(message()) : value;
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

/** An integer within ±2^53, beyond which JavaScript would round. */
export function safeInteger(value: number): number {
  if (!Number.isSafeInteger(value)) throw new TemplateError('integers beyond 2^53 are not supported');
  return value === 0 ? 0 : value;
}

/** The number a value counts as (`True` is 1), undefined for anything else. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return Number(value);
  return value instanceof Float ? value.value : undefined;
}

export function isInteger(value: Value): value is number | boolean {
  return typeof value === 'number' || typeof value === 'boolean';
}

function hashOf(key: Value): string | number | null {
  if (key === null || typeof key === 'string') return key;
  const number = numberOf(key);
  if (number !== undefined) return number;
  if (key instanceof Undefined || key instanceof Tuple)
    throw new TemplateError(`dict keys of type ${typeName(key)} are not supported`);
  throw new TemplateError(`unhashable type: '${typeName(key)}'`);
}
