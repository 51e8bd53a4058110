/** @file Expressions → values. */
import { attribute, item, slice } from './access.ts';
import type { Arguments, Expr } from './ast.ts';
import type { Budget } from './budget.ts';
import { notSupported, TemplateError } from './error.ts';
import type { Apply } from './filter.ts';
import { filterNamed } from './filters.ts';
import { binary, compare, itemsOf, signed, truth } from './operators.ts';
import { fail, str } from './print.ts';
import type { Scope } from './scope.ts';
import { testNamed } from './tests.ts';
import {
  Callable,
  Dict,
  Float,
  type Given,
  isList,
  Members,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.ts';

/** Characters or items that one step may read. */
const UNCHARGED = 64;

/** Evaluates expressions under one budget. */
export class Evaluator {
  readonly #budget: Budget;
  readonly #apply: Apply;
  /** Text that a filter block or a `set` block captured, for the expression that follows. */
  captured: Value = '';

  constructor(budget: Budget) {
    this.#budget = budget;
    this.#apply = {
      filter: (name, value, given) => filterNamed(name)(value, given, budget, this.#apply),
      test: (name, value, given) => testNamed(name)(value, given, budget),
    };
  }

  /** The value of an expression. */
  value(node: Expr, scope: Scope): Value {
    const budget = this.#budget;
    budget.step();
    return budget.nested(() => (this.#rules[node.kind] as Rule<Expr>)(node, scope));
  }

  /** Call a value. */
  call(callee: Value, given: Given): Value {
    this.#budget.step();
    if (callee instanceof Undefined) return fail(callee);
    const call = callee instanceof Callable || callee instanceof Members ? callee.call : undefined;
    if (call === undefined) throw new TemplateError(`'${typeName(callee)}' object is not callable`);
    return this.#budget.nested(() => call(given, this.#budget));
  }

  /** Arguments, `*args` and `**kwargs` unpacked. */
  given(args: Arguments, scope: Scope): Given {
    const positional = args.positional.map((arg) => this.value(arg, scope));
    if (args.rest !== undefined) positional.push(...itemsOf(this.value(args.rest, scope), this.#budget));
    const named = new Map(args.named.map(([name, arg]) => [name, this.value(arg, scope)] as const));
    if (args.namedRest !== undefined) {
      const more = this.value(args.namedRest, scope);
      if (!(more instanceof Dict)) throw new TemplateError('argument after ** must be a mapping');
      for (const [key, value] of more.entries()) named.set(str(key, this.#budget), value);
    }
    return { positional, named };
  }

  /** The value of an operand that is about to be read as a whole: reading costs by its length. */
  #operand(node: Expr, scope: Scope): Value {
    const value = this.value(node, scope);
    const size = typeof value === 'string' || isList(value) ? value.length : 0;
    if (size > UNCHARGED) this.#budget.step(Math.ceil(size / UNCHARGED));
    return value;
  }

  readonly #rules: { [K in Expr['kind']]: Rule<Extract<Expr, { kind: K }>> } = {
    constant: ({ value }) => value,
    float: ({ value }) => new Float(value),
    name: ({ name }, scope) => {
      const value = scope.get(name);
      if (name === 'self' && value instanceof Undefined) throw notSupported('the variable self');
      return value;
    },
    list: ({ items }, scope) => items.map((node) => this.value(node, scope)),
    tuple: ({ items }, scope) => new Tuple(items.map((node) => this.value(node, scope))),
    dict: ({ items }, scope) =>
      new Dict(items.map(([key, value]) => [this.value(key, scope), this.value(value, scope)] as const)),
    attribute: ({ of, name }, scope) => attribute(this.#operand(of, scope), name),
    item: ({ of, index }, scope) => item(this.#operand(of, scope), this.value(index, scope)),
    slice: ({ of, start, stop, step }, scope) => {
      const bound = (node: Expr | undefined): Value => (node === undefined ? null : this.value(node, scope));
      return slice(this.#operand(of, scope), [bound(start), bound(stop), bound(step)], this.#budget);
    },
    call: ({ of, args }, scope) => this.call(this.value(of, scope), this.given(args, scope)),
    filter: ({ of, name, args }, scope) =>
      this.#apply.filter(name, this.#operand(of, scope), this.given(args, scope)),
    test: ({ of, name, args, negated }, scope) =>
      this.#apply.test(name, this.#operand(of, scope), this.given(args, scope)) !== negated,
    binary: ({ op, left, right }, scope) =>
      binary(op, this.#operand(left, scope), this.#operand(right, scope), this.#budget),
    unary: ({ op, of }, scope) => {
      const value = this.value(of, scope);
      return op === 'not' ? !truth(value) : signed(op, value);
    },
    concat: ({ items }, scope) => {
      const parts = items.map((node) => str(this.value(node, scope), this.#budget));
      this.#budget.make(parts.reduce((n, part) => n + part.length, 0));
      return parts.join('');
    },
    and: ({ left, right }, scope) => {
      const value = this.value(left, scope);
      return truth(value) ? this.value(right, scope) : value;
    },
    or: ({ left, right }, scope) => {
      const value = this.value(left, scope);
      return truth(value) ? value : this.value(right, scope);
    },
    compare: ({ first, rest }, scope) => {
      let left = this.value(first, scope);
      for (const [op, node] of rest) {
        const right = this.#operand(node, scope);
        if (!compare(op, left, right, this.#budget)) return false;
        left = right;
      }
      return true;
    },
    conditional: ({ test, value, otherwise }, scope) => {
      if (truth(this.value(test, scope))) return this.value(value, scope);
      if (otherwise !== undefined) return this.value(otherwise, scope);
      return new Undefined('the inline if-expression evaluated to false and no else section was defined.');
    },
    captured: () => this.captured,
  };
}

type Rule<T> = (node: T, scope: Scope) => Value;
