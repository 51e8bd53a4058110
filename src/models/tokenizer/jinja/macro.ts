/** @file Macros: their parameters bound as jinja2 binds them. */
import type { Body, Signature } from './ast.ts';
import { TemplateError } from './error.ts';
import type { Evaluator } from './evaluate.ts';
import { Scope } from './scope.ts';
import { Callable, Dict, present, Tuple, Undefined, type Value } from './values.ts';

/** What a macro or the body of a `call` block is made of. */
export interface MacroParts {
  readonly name: string;
  readonly signature: Signature;
  readonly body: Body;
  /** Where it stands. */
  readonly scope: Scope;
  readonly evaluator: Evaluator;
  /** Render the body. */
  readonly render: (body: Body, scope: Scope) => string;
}

/** The macro as a value. */
export function makeMacro({ name, signature, body, scope, evaluator, render }: MacroParts): Callable {
  const { names, defaults } = signature;
  const uses = namesIn([body, defaults]);
  const extra = { varargs: uses.has('varargs'), kwargs: uses.has('kwargs'), caller: uses.has('caller') };
  const call: Callable['call'] = ({ positional, named }) => {
    const inner = new Scope(scope);
    const left = new Map(named);
    if (positional.length > names.length && !extra.varargs)
      throw new TemplateError(`macro '${name}' takes not more than ${names.length} argument(s)`);
    names.forEach((parameter, i) => {
      const fallback = defaults[i - (names.length - defaults.length)];
      let value: Value | undefined = positional[i];
      if (left.has(parameter)) {
        if (value !== undefined)
          throw new TemplateError(`macro '${name}' got multiple values for argument '${parameter}'`);
        value = left.get(parameter);
        left.delete(parameter);
      }
      if (value === undefined)
        value =
          fallback === undefined
            ? new Undefined(`parameter '${parameter}' was not provided`)
            : evaluator.value(fallback, inner);
      inner.set(parameter, value);
    });
    if (extra.caller && !names.includes('caller')) {
      inner.set(
        'caller',
        present(left.get('caller'), () => 'No caller defined'),
      );
      left.delete('caller');
    }
    if (extra.varargs) inner.set('varargs', new Tuple(positional.slice(names.length)));
    if (extra.kwargs) inner.set('kwargs', new Dict(left));
    else
      for (const key of left.keys())
        throw new TemplateError(`macro '${name}' takes no keyword argument '${key}'`);
    return render(body, inner);
  };
  return new Callable(name, call, {
    name,
    arguments: new Tuple(names),
    catch_varargs: extra.varargs,
    catch_kwargs: extra.kwargs,
    caller: extra.caller,
  });
}

/** Every name read anywhere in a tree; walked with a list, since chains of operators make deep trees. */
function namesIn(tree: unknown): Set<string> {
  const names = new Set<string>();
  const open: unknown[] = [tree];
  while (open.length > 0) {
    const node = open.pop();
    if (typeof node !== 'object' || node === null) continue;
    const { kind, name } = node as { kind?: unknown; name?: unknown };
    if (kind === 'name' && typeof name === 'string') names.add(name);
    for (const part of Object.values(node)) open.push(part);
  }
  return names;
}
