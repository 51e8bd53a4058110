/** @file Statements carried out: a parsed template and variables → text. */
import type { Body, Statement } from './ast.ts';
import { Budget, type Limits } from './budget.ts';
import { TemplateError } from './error.ts';
import { Evaluator } from './evaluate.ts';
import { globalsOf } from './globals.ts';
import { loopsOf } from './loop.ts';
import { makeMacro } from './macro.ts';
import { itemsOf, truth } from './operators.ts';
import { parse } from './parser.ts';
import { str } from './print.ts';
import { Scope } from './scope.ts';
import { fromJs, type Value } from './values.ts';

/** What a rendering is given besides variables. */
export interface RenderOptions {
  /** The date `strftime_now` writes. */
  readonly now: Date;
  readonly limits?: Limits;
}

/**
 * A chat template, rendered as transformers renders it (jinja2 3.1: `ImmutableSandboxedEnvironment`, `trim_blocks`,
 * `lstrip_blocks`, loop controls, `generation` blocks). It runs under a budget; what jinja2 has and this has not is an error that names it.
 *
 * @example new Template('{{ name|upper }}').render({ name: 'ann' }, { now: new Date() }) // 'ANN'
 */
export class Template {
  readonly #body: Body;

  constructor(source: string) {
    this.#body = withinStack(() => parse(source));
  }

  render(variables: Readonly<Record<string, unknown>>, options: RenderOptions): string {
    const values = new Map(Object.entries(variables).map(([name, value]) => [name, fromJs(value)] as const));
    const root = new Scope(
      new Scope(
        undefined,
        globalsOf(() => options.now),
      ),
      values,
    );
    return withinStack(() => new Renderer(new Budget(options.limits)).text(this.#body, new Scope(root)));
  }
}

/** What ends a loop's body early. */
type Jump = 'break' | 'continue' | undefined;

class Renderer {
  readonly #budget: Budget;
  readonly #evaluator: Evaluator;
  #out: string[] = [];

  constructor(budget: Budget) {
    this.#budget = budget;
    this.#evaluator = new Evaluator(budget);
  }

  /** The text a body writes. */
  text(body: Body, scope: Scope): string {
    return this.#captured(() => this.#run(body, scope));
  }

  #run(body: Body, scope: Scope): Jump {
    for (const statement of body) {
      const jump = this.#budget.nested(() => this.#statement(statement, scope));
      if (jump !== undefined) return jump;
    }
    return undefined;
  }

  #statement(statement: Statement, scope: Scope): Jump {
    this.#budget.step();
    try {
      return (this.#rules[statement.kind] as Rule<Statement>)(statement, scope);
    } catch (error) {
      if (error instanceof TemplateError) error.line ??= statement.line;
      throw error;
    }
  }

  #write(text: string): undefined {
    this.#budget.make(text.length);
    this.#out.push(text);
  }

  readonly #rules: { [K in Statement['kind']]: Rule<Extract<Statement, { kind: K }>> } = {
    text: ({ text }) => this.#write(text),
    output: ({ value }, scope) => this.#write(str(this.#evaluator.value(value, scope), this.#budget)),
    if: ({ branches, otherwise }, scope) => {
      const branch = branches.find(({ test }) => truth(this.#evaluator.value(test, scope)));
      return this.#run(branch?.body ?? otherwise, scope);
    },
    for: (loop, scope) => this.#loop(loop, this.#evaluator.value(loop.over, scope), scope, 0),
    set: ({ target, value }, scope) => {
      scope.assign(target, this.#evaluator.value(value, scope), this.#budget);
    },
    capture: ({ target, value, body }, scope) => {
      const text = this.text(body, new Scope(scope));
      scope.assign(target, this.#filtered(text, value, scope), this.#budget);
    },
    'filter-block': ({ value, body }, scope) => {
      const text = this.text(body, new Scope(scope));
      this.#write(str(this.#filtered(text, value, scope), this.#budget));
    },
    with: ({ bindings, body }, scope) => {
      const inner = new Scope(scope);
      const values = bindings.map(([, value]) => this.#evaluator.value(value, scope));
      bindings.forEach(([target], i) => {
        inner.assign(target, values[i] as Value, this.#budget);
      });
      return this.#run(body, inner);
    },
    macro: ({ name, signature, body }, scope) => {
      scope.set(name, makeMacro({ name, signature, body, scope, ...this.#macroParts() }));
    },
    'call-block': ({ call, signature, body }, scope) => {
      if (call.kind !== 'call') return;
      const caller = makeMacro({ name: 'caller', signature, body, scope, ...this.#macroParts() });
      const callee = this.#evaluator.value(call.of, scope);
      const given = this.#evaluator.given(call.args, scope);
      const named = new Map([...given.named, ['caller', caller] as const]);
      this.#write(str(this.#evaluator.call(callee, { ...given, named }), this.#budget));
    },
    scoped: ({ body }, scope) => this.#write(this.text(body, new Scope(scope))),
    'named-block': ({ body }, scope) => this.#run(body, new Scope(scope)),
    break: () => 'break',
    continue: () => 'continue',
  };

  #filtered(text: string, value: Extract<Statement, { kind: 'capture' }>['value'], scope: Scope): Value {
    this.#evaluator.captured = text;
    return this.#evaluator.value(value, scope);
  }

  #macroParts() {
    return {
      evaluator: this.#evaluator,
      render: (body: Body, scope: Scope): string => this.text(body, scope),
    };
  }

  #loop(loop: Extract<Statement, { kind: 'for' }>, over: Value, scope: Scope, depth: number): Jump {
    const { target, test, body, otherwise, recursive } = loop;
    const all = itemsOf(over, this.#budget);
    const items =
      test === undefined
        ? all
        : all.filter((item) => {
            const inner = new Scope(scope);
            inner.assign(target, item, this.#budget);
            return truth(this.#evaluator.value(test, inner));
          });
    const recurse = recursive
      ? (deeper: Value): Value => this.#captured(() => this.#loop(loop, deeper, scope, depth + 1))
      : undefined;
    const loopAt = loopsOf(items, depth, this.#budget, recurse);
    for (let i = 0; i < items.length; i++) {
      this.#budget.step();
      const inner = new Scope(scope);
      inner.set('loop', loopAt(i));
      inner.assign(target, items[i] as Value, this.#budget);
      if (this.#run(body, inner) === 'break') break;
    }
    if (items.length === 0) return this.#run(otherwise, new Scope(scope));
    return undefined;
  }

  /** What `run` writes, as text. */
  #captured(run: () => void): string {
    const outer = this.#out;
    this.#out = [];
    try {
      run();
      return this.#out.join('');
    } finally {
      this.#out = outer;
    }
  }
}

type Rule<T> = (statement: T, scope: Scope) => Jump;

/** A template that outgrows JavaScript's stack ends in a {@link TemplateError} too. */
function withinStack<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof RangeError)
      throw new TemplateError(`the template nests too deeply (${error.message})`);
    throw error;
  }
}
