/** @file Expressions, with jinja2's precedence: `or`, `and`, `not`, comparisons, `+ -`, `~`, `* / // %`, `**`, signs, postfixes, filters. */
import type { Arguments, BinaryOp, CompareOp, Expr } from './ast.ts';
import { TemplateError } from './error.ts';
import type { Tokens } from './tokens.ts';

const COMPARISONS = ['==', '!=', '<', '<=', '>', '>='] as const;
const CONSTANTS: Readonly<Record<string, boolean | null>> = {
  true: true,
  false: false,
  True: true,
  False: false,
  none: null,
  None: null,
};

/** An expression; `conditional` false leaves `… if …` to the caller. */
export function parseExpression(tokens: Tokens, conditional = true): Expr {
  return tokens.nested(() => (conditional ? parseConditional(tokens) : parseOr(tokens)));
}

/** One expression, or several with commas between them, which make a tuple. */
export function parseTuple(tokens: Tokens, options: { conditional?: boolean; endName?: string } = {}): Expr {
  const { conditional = true, endName } = options;
  const items: Expr[] = [];
  let comma = false;
  while (!isTupleEnd(tokens, endName)) {
    items.push(parseExpression(tokens, conditional));
    if (!tokens.isOp(',')) break;
    tokens.next();
    comma = true;
  }
  if (comma) return { kind: 'tuple', items };
  const [only] = items;
  if (only === undefined) throw tokens.unexpected('an expression');
  return only;
}

/** `name(args)|name…` after `|` or in a filter block, applied to `of`. */
export function parseFilters(tokens: Tokens, of: Expr, first: boolean): Expr {
  let node = of;
  let begin = first;
  while (begin || tokens.isOp('|')) {
    if (!begin) tokens.next();
    begin = false;
    const name = parseDotted(tokens);
    node = { kind: 'filter', of: node, name, args: tokens.isOp('(') ? parseArguments(tokens) : NONE };
  }
  return node;
}

/** Arguments in brackets. */
export function parseArguments(tokens: Tokens): Arguments {
  const positional: Expr[] = [];
  const named: [string, Expr][] = [];
  let rest: Expr | undefined;
  let namedRest: Expr | undefined;
  tokens.expectOp('(');
  while (!tokens.isOp(')')) {
    if (tokens.skipOp('**')) namedRest = parseExpression(tokens);
    else if (tokens.skipOp('*')) rest = parseExpression(tokens);
    else if (tokens.current.type === 'name' && tokens.look().type === 'op' && tokens.look().text === '=') {
      const name = tokens.next().text;
      tokens.next();
      named.push([name, parseExpression(tokens)]);
    } else {
      if (named.length > 0 || namedRest !== undefined)
        throw new TemplateError('invalid syntax for function call expression', tokens.line);
      positional.push(parseExpression(tokens));
    }
    if (!tokens.isOp(')')) tokens.expectOp(',');
  }
  tokens.expectOp(')');
  return { positional, named, rest, namedRest };
}

const NONE: Arguments = { positional: [], named: [] };

function isTupleEnd(tokens: Tokens, endName: string | undefined): boolean {
  return (
    tokens.current.type === 'end' || tokens.isOp(')') || (endName !== undefined && tokens.isName(endName))
  );
}

function parseConditional(tokens: Tokens): Expr {
  let node = parseOr(tokens);
  while (tokens.skipName('if')) {
    const test = parseOr(tokens);
    const otherwise = tokens.skipName('else') ? parseExpression(tokens) : undefined;
    node = { kind: 'conditional', test, value: node, otherwise };
  }
  return node;
}

function parseOr(tokens: Tokens): Expr {
  let left = parseAnd(tokens);
  while (tokens.skipName('or')) left = { kind: 'or', left, right: parseAnd(tokens) };
  return left;
}

function parseAnd(tokens: Tokens): Expr {
  let left = parseNot(tokens);
  while (tokens.skipName('and')) left = { kind: 'and', left, right: parseNot(tokens) };
  return left;
}

function parseNot(tokens: Tokens): Expr {
  if (tokens.skipName('not')) return { kind: 'unary', op: 'not', of: tokens.nested(() => parseNot(tokens)) };
  return parseComparison(tokens);
}

function parseComparison(tokens: Tokens): Expr {
  const first = parseSum(tokens);
  const rest: [CompareOp, Expr][] = [];
  for (;;) {
    const op = COMPARISONS.find((text) => tokens.isOp(text));
    if (op !== undefined) {
      tokens.next();
      rest.push([op, parseSum(tokens)]);
    } else if (tokens.skipName('in')) rest.push(['in', parseSum(tokens)]);
    else if (tokens.isName('not') && tokens.look().type === 'name' && tokens.look().text === 'in') {
      tokens.next();
      tokens.next();
      rest.push(['not in', parseSum(tokens)]);
    } else break;
  }
  return rest.length === 0 ? first : { kind: 'compare', first, rest };
}

function parseSum(tokens: Tokens): Expr {
  return leftToRight(tokens, ['+', '-'], parseConcat);
}

function parseConcat(tokens: Tokens): Expr {
  const items = [parseProduct(tokens)];
  while (tokens.skipOp('~')) items.push(parseProduct(tokens));
  return items.length === 1 ? (items[0] as Expr) : { kind: 'concat', items };
}

function parseProduct(tokens: Tokens): Expr {
  return leftToRight(tokens, ['*', '/', '//', '%'], parsePower);
}

function parsePower(tokens: Tokens): Expr {
  return leftToRight(tokens, ['**'], (t) => parseUnary(t, true));
}

function leftToRight(tokens: Tokens, ops: readonly BinaryOp[], operand: (tokens: Tokens) => Expr): Expr {
  let left = operand(tokens);
  for (;;) {
    const op = ops.find((text) => tokens.isOp(text));
    if (op === undefined) return left;
    tokens.next();
    left = { kind: 'binary', op, left, right: operand(tokens) };
  }
}

function parseUnary(tokens: Tokens, withFilters: boolean): Expr {
  const op = (['-', '+'] as const).find((text) => tokens.isOp(text));
  if (op !== undefined) tokens.next();
  let node: Expr =
    op === undefined
      ? parsePrimary(tokens)
      : { kind: 'unary', op, of: tokens.nested(() => parseUnary(tokens, false)) };
  node = parsePostfix(tokens, node);
  return withFilters ? parseFilterExpression(tokens, node) : node;
}

function parsePrimary(tokens: Tokens): Expr {
  const token = tokens.current;
  if (token.type === 'name') {
    tokens.next();
    return Object.hasOwn(CONSTANTS, token.text)
      ? { kind: 'constant', value: CONSTANTS[token.text] as boolean | null }
      : { kind: 'name', name: token.text };
  }
  if (token.type === 'string') {
    let value = '';
    while (tokens.current.type === 'string') value += tokens.next().text;
    return { kind: 'constant', value };
  }
  if (token.type === 'integer') return { kind: 'constant', value: integer(tokens.next().text, token.line) };
  if (token.type === 'float') return { kind: 'float', value: Number(tokens.next().text.replaceAll('_', '')) };
  if (tokens.skipOp('(')) {
    const node: Expr = tokens.isOp(')') ? { kind: 'tuple', items: [] } : parseTuple(tokens);
    tokens.expectOp(')');
    return node;
  }
  if (tokens.skipOp('[')) return { kind: 'list', items: parseItems(tokens, ']', parseExpression) };
  if (tokens.skipOp('{'))
    return {
      kind: 'dict',
      items: parseItems(tokens, '}', (t): [Expr, Expr] => {
        const key = parseExpression(t);
        t.expectOp(':');
        return [key, parseExpression(t)];
      }),
    };
  throw tokens.unexpected('an expression');
}

function parseItems<T>(tokens: Tokens, close: string, item: (tokens: Tokens) => T): T[] {
  const items: T[] = [];
  while (!tokens.isOp(close)) {
    if (items.length > 0) {
      tokens.expectOp(',');
      if (tokens.isOp(close)) break;
    }
    items.push(item(tokens));
  }
  tokens.expectOp(close);
  return items;
}

function parsePostfix(tokens: Tokens, of: Expr): Expr {
  let node = of;
  for (;;) {
    if (tokens.isOp('.', '[')) node = parseSubscript(tokens, node);
    else if (tokens.isOp('(')) node = { kind: 'call', of: node, args: parseArguments(tokens) };
    else return node;
  }
}

function parseFilterExpression(tokens: Tokens, of: Expr): Expr {
  let node = of;
  for (;;) {
    if (tokens.isOp('|')) node = parseFilters(tokens, node, false);
    else if (tokens.skipName('is')) node = parseTest(tokens, node);
    else if (tokens.isOp('(')) node = { kind: 'call', of: node, args: parseArguments(tokens) };
    else return node;
  }
}

function parseSubscript(tokens: Tokens, of: Expr): Expr {
  if (tokens.skipOp('.')) {
    const token = tokens.next();
    if (token.type === 'name') return { kind: 'attribute', of, name: token.text };
    if (token.type === 'integer')
      return { kind: 'item', of, index: { kind: 'constant', value: integer(token.text, token.line) } };
    throw new TemplateError('expected name or number', token.line);
  }
  tokens.expectOp('[');
  if (tokens.isOp(']')) throw tokens.unexpected('a subscript');
  const bound = (): Expr | undefined => (tokens.isOp(':', ']', ',') ? undefined : parseExpression(tokens));
  const start = bound();
  if (!tokens.skipOp(':')) {
    if (tokens.isOp(','))
      throw new TemplateError('a subscript of several values is not supported', tokens.line);
    tokens.expectOp(']');
    return { kind: 'item', of, index: start as Expr };
  }
  const stop = bound();
  const step = tokens.skipOp(':') ? bound() : undefined;
  tokens.expectOp(']');
  return { kind: 'slice', of, start, stop, step };
}

function parseTest(tokens: Tokens, of: Expr): Expr {
  const negated = tokens.skipName('not');
  const name = parseDotted(tokens);
  let args = NONE;
  if (tokens.isOp('(')) args = parseArguments(tokens);
  else if (
    (['name', 'string', 'integer', 'float'].includes(tokens.current.type) || tokens.isOp('[', '{')) &&
    !tokens.isName('else', 'or', 'and')
  ) {
    if (tokens.isName('is')) throw new TemplateError('You cannot chain multiple tests with is', tokens.line);
    args = { positional: [parsePostfix(tokens, parsePrimary(tokens))], named: [] };
  }
  return { kind: 'test', of, name, args, negated };
}

function parseDotted(tokens: Tokens): string {
  let name = tokens.expectName();
  while (tokens.skipOp('.')) name += `.${tokens.expectName()}`;
  return name;
}

function integer(text: string, line: number): number {
  const value = Number(text.replaceAll('_', '').toLowerCase());
  if (!Number.isSafeInteger(value))
    throw new TemplateError(`the integer ${text.slice(0, 40)} is too large`, line);
  return value;
}
