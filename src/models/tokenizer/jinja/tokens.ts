/** @file Reading the tokens of one tag. */
import { TemplateError } from './error.ts';
import type { Token } from './lexer.ts';

/** Brackets, blocks and operators within each other that are parsed; real templates nest below 30. */
const MAX_DEPTH = 120;

/** A cursor over tokens. The last token is `end`, and stays. */
export class Tokens {
  readonly #all: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(all: readonly Token[]) {
    this.#all = all;
  }

  get current(): Token {
    return this.#all[this.#at] as Token;
  }

  get line(): number {
    return this.current.line;
  }

  look(): Token {
    return this.#all[Math.min(this.#at + 1, this.#all.length - 1)] as Token;
  }

  next(): Token {
    const token = this.current;
    if (token.type !== 'end') this.#at++;
    return token;
  }

  isOp(...texts: readonly string[]): boolean {
    return this.current.type === 'op' && texts.includes(this.current.text);
  }

  isName(...texts: readonly string[]): boolean {
    return this.current.type === 'name' && texts.includes(this.current.text);
  }

  skipOp(text: string): boolean {
    const found = this.isOp(text);
    if (found) this.next();
    return found;
  }

  skipName(text: string): boolean {
    const found = this.isName(text);
    if (found) this.next();
    return found;
  }

  expectOp(text: string): void {
    if (!this.skipOp(text)) throw this.unexpected(`'${text}'`);
  }

  expectName(wanted = 'a name'): string {
    if (this.current.type !== 'name') throw this.unexpected(wanted);
    return this.next().text;
  }

  expectEnd(): void {
    if (this.current.type !== 'end') throw this.unexpected('the end of the tag');
  }

  unexpected(wanted: string): TemplateError {
    return new TemplateError(`expected ${wanted}, got '${this.current.text.slice(0, 40)}'`, this.line);
  }

  /** Run a rule that may contain itself, up to a depth. */
  nested<T>(rule: () => T): T {
    if (++this.#depth > MAX_DEPTH)
      throw new TemplateError(`expressions nest deeper than ${MAX_DEPTH} levels`, this.line);
    const result = rule();
    this.#depth--;
    return result;
  }
}
