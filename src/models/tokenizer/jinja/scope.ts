/** @file Names of a template: each block that has its own sees those around it. */
import type { Target } from './ast.ts';
import type { Budget } from './budget.ts';
import { TemplateError } from './error.ts';
import { itemsOf } from './operators.ts';
import { Namespace, Undefined, type Value } from './values.ts';

/** Names and the scope around them. */
export class Scope {
  readonly #values: Map<string, Value>;
  readonly #around: Scope | undefined;

  constructor(around?: Scope, values = new Map<string, Value>()) {
    this.#around = around;
    this.#values = values;
  }

  get(name: string): Value {
    const own = this.#values.get(name);
    if (own !== undefined) return own;
    for (let scope = this.#around; scope !== undefined; scope = scope.#around) {
      const value = scope.#values.get(name);
      if (value !== undefined) return value;
    }
    return new Undefined(`'${name}' is undefined`);
  }

  set(name: string, value: Value): void {
    this.#values.set(name, value);
  }

  /** Bind a target: a name, several, or an attribute of a namespace. */
  assign(target: Target, value: Value, budget: Budget): void {
    if (target.kind === 'name') this.set(target.name, value);
    else if (target.kind === 'attribute') {
      const space = this.get(target.name);
      if (!(space instanceof Namespace))
        throw new TemplateError('cannot assign attribute on non-namespace object');
      space.values.set(target.attribute, value);
    } else {
      const items = itemsOf(value, budget);
      const wanted = target.items.length;
      if (items.length < wanted)
        throw new TemplateError(`not enough values to unpack (expected ${wanted}, got ${items.length})`);
      if (items.length > wanted) throw new TemplateError(`too many values to unpack (expected ${wanted})`);
      target.items.forEach((part, i) => {
        this.assign(part, items[i] as Value, budget);
      });
    }
  }
}
