/** @file Statements. */
import type { Body, Branch, Expr, Signature, Statement, Target } from './ast.ts';
import { TemplateError } from './error.ts';
import { lex, type Segment } from './lexer.ts';
import { parseExpression, parseFilters, parseTuple } from './parse-expression.ts';
import { Tokens } from './tokens.ts';

/** Longest template, in characters; the longest of known models has 30,000. */
const MAX_LENGTH = 1_000_000;
/** Statements within each other. */
const MAX_DEPTH = 80;

/** Tags of jinja2 that need other files or change the language. */
const REFUSED = new Set([
  'include',
  'import',
  'from',
  'extends',
  'autoescape',
  'trans',
  'pluralize',
  'debug',
]);

/** Parse a template. Throws {@link TemplateError}. */
export function parse(source: string): Body {
  if (source.length > MAX_LENGTH)
    throw new TemplateError(`the template has ${source.length} characters, more than ${MAX_LENGTH}`);
  return new Parser(lex(source)).all();
}

class Parser {
  readonly #segments: readonly Segment[];
  #at = 0;
  /** Tags that are open, innermost last. */
  readonly #open: string[] = [];

  constructor(segments: readonly Segment[]) {
    this.#segments = segments;
  }

  all(): Body {
    const { body } = this.#body([]);
    return body;
  }

  /** Statements up to a tag named in `until`, whose tokens come after its name. */
  #body(until: readonly string[]): { body: Statement[]; ended: string; tokens: Tokens } {
    const body: Statement[] = [];
    for (;;) {
      const segment = this.#segments[this.#at++];
      if (segment === undefined) {
        if (until.length === 0) return { body, ended: '', tokens: new Tokens([]) };
        throw new TemplateError(
          `unexpected end of template; the innermost block that needs to be closed is '${this.#open.at(-1)}'`,
        );
      }
      const { line } = segment;
      if (segment.kind === 'text') body.push({ kind: 'text', text: segment.text, line });
      else {
        const tokens = new Tokens(segment.tokens);
        if (segment.kind === 'output') {
          body.push({ kind: 'output', value: parseTuple(tokens), line });
          tokens.expectEnd();
          continue;
        }
        const tag = tokens.expectName('a tag');
        if (until.includes(tag)) return { body, ended: tag, tokens };
        body.push(this.#statement(tag, tokens, line));
      }
    }
  }

  #statement(tag: string, tokens: Tokens, line: number): Statement {
    if (REFUSED.has(tag)) throw new TemplateError(`the tag '${tag}' is not supported`, line);
    const rule = Object.hasOwn(this.#rules, tag) ? this.#rules[tag] : undefined;
    if (rule === undefined) throw new TemplateError(`Encountered unknown tag '${tag}'.`, line);
    if (this.#open.length >= MAX_DEPTH)
      throw new TemplateError(`blocks nest deeper than ${MAX_DEPTH} levels`, line);
    this.#open.push(tag);
    const statement = rule(tokens, line);
    this.#open.pop();
    return statement;
  }

  /** The body of a block that one tag ends. */
  #until(end: string, begin: Tokens): Statement[] {
    begin.expectEnd();
    const { body, tokens } = this.#body([end]);
    if (end === 'endblock' && tokens.current.type === 'name') tokens.next();
    tokens.expectEnd();
    return body;
  }

  readonly #rules: Readonly<Record<string, (tokens: Tokens, line: number) => Statement>> = {
    if: (tokens, line) => {
      const branches: Branch[] = [];
      let test = parseTuple(tokens, { conditional: false });
      tokens.expectEnd();
      for (;;) {
        const { body, ended, tokens: next } = this.#body(['elif', 'else', 'endif']);
        branches.push({ test, body });
        if (ended === 'elif') test = parseTuple(next, { conditional: false });
        next.expectEnd();
        if (ended === 'endif') return { kind: 'if', branches, otherwise: [], line };
        if (ended === 'else') return { kind: 'if', branches, otherwise: this.#until('endif', next), line };
      }
    },
    for: (tokens, line) => {
      const target = parseTarget(tokens, { endName: 'in' });
      if (!tokens.skipName('in')) throw tokens.unexpected("'in'");
      const over = parseTuple(tokens, { conditional: false, endName: 'recursive' });
      const test = tokens.skipName('if') ? parseExpression(tokens) : undefined;
      const recursive = tokens.skipName('recursive');
      tokens.expectEnd();
      const { body, ended, tokens: next } = this.#body(['else', 'endfor']);
      next.expectEnd();
      const otherwise = ended === 'else' ? this.#until('endfor', next) : [];
      return { kind: 'for', target, over, test, recursive, body, otherwise, line };
    },
    set: (tokens, line) => {
      const target = parseTarget(tokens, { attributes: true });
      if (tokens.skipOp('=')) {
        const value = parseTuple(tokens);
        tokens.expectEnd();
        return { kind: 'set', target, value, line };
      }
      const value = tokens.isOp('|') ? parseFilters(tokens, CAPTURED, false) : CAPTURED;
      return { kind: 'capture', target, value, body: this.#until('endset', tokens), line };
    },
    filter: (tokens, line) => {
      const value = parseFilters(tokens, CAPTURED, true);
      return { kind: 'filter-block', value, body: this.#until('endfilter', tokens), line };
    },
    with: (tokens, line) => {
      const bindings: [Target, Expr][] = [];
      while (tokens.current.type !== 'end') {
        if (bindings.length > 0) tokens.expectOp(',');
        const target = parseTarget(tokens, {});
        tokens.expectOp('=');
        bindings.push([target, parseExpression(tokens)]);
      }
      return { kind: 'with', bindings, body: this.#until('endwith', tokens), line };
    },
    macro: (tokens, line) => {
      const name = tokens.expectName();
      const signature = parseSignature(tokens);
      return { kind: 'macro', name, signature, body: this.#until('endmacro', tokens), line };
    },
    call: (tokens, line) => {
      const signature = tokens.isOp('(') ? parseSignature(tokens) : { names: [], defaults: [] };
      const call = parseExpression(tokens);
      if (call.kind !== 'call') throw new TemplateError('expected call', line);
      return { kind: 'call-block', call, signature, body: this.#until('endcall', tokens), line };
    },
    // marks what the assistant says (transformers); the text is the body's
    generation: (tokens, line) => ({ kind: 'scoped', body: this.#until('endgeneration', tokens), line }),
    block: (tokens, line) => {
      tokens.expectName();
      while (tokens.skipName('scoped') || tokens.skipName('required'));
      return { kind: 'named-block', body: this.#until('endblock', tokens), line };
    },
    print: (tokens, line) => {
      const items: Expr[] = [];
      while (tokens.current.type !== 'end') {
        if (items.length > 0) tokens.expectOp(',');
        items.push(parseExpression(tokens));
      }
      return { kind: 'output', value: { kind: 'concat', items }, line };
    },
    break: (tokens, line) => this.#jump('break', tokens, line),
    continue: (tokens, line) => this.#jump('continue', tokens, line),
  };

  #jump(kind: 'break' | 'continue', tokens: Tokens, line: number): Statement {
    if (!this.#open.includes('for')) throw new TemplateError(`'${kind}' outside loop`, line);
    tokens.expectEnd();
    return { kind, line };
  }
}

const CAPTURED: Expr = { kind: 'captured' };

function parseTarget(tokens: Tokens, options: { endName?: string; attributes?: boolean }): Target {
  const items: Target[] = [];
  let comma = false;
  do {
    if (items.length > 0 && (tokens.current.type === 'end' || tokens.isOp('=', ')') || tokens.isName('in')))
      break;
    items.push(parseOneTarget(tokens, options));
    comma = comma || tokens.isOp(',');
  } while (tokens.skipOp(','));
  return comma ? { kind: 'tuple', items } : (items[0] as Target);
}

function parseOneTarget(tokens: Tokens, options: { attributes?: boolean }): Target {
  if (tokens.skipOp('(')) {
    const target = tokens.nested(() => parseTarget(tokens, options));
    tokens.expectOp(')');
    return target;
  }
  const name = tokens.expectName();
  if (['true', 'false', 'none', 'True', 'False', 'None', 'loop'].includes(name))
    throw new TemplateError(`can't assign to '${name}'`, tokens.line);
  if (options.attributes && tokens.skipOp('.'))
    return { kind: 'attribute', name, attribute: tokens.expectName() };
  return { kind: 'name', name };
}

function parseSignature(tokens: Tokens): Signature {
  const names: string[] = [];
  const defaults: Expr[] = [];
  tokens.expectOp('(');
  while (!tokens.isOp(')')) {
    if (names.length > 0) tokens.expectOp(',');
    names.push(tokens.expectName());
    if (tokens.skipOp('=')) defaults.push(parseExpression(tokens));
    else if (defaults.length > 0)
      throw new TemplateError('non-default argument follows default argument', tokens.line);
  }
  tokens.expectOp(')');
  return { names, defaults };
}
