/** @file String literals with Python's escapes. */
import { TemplateError } from './error.ts';

const ESCAPE = /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([\s\S]))/g;
const SIMPLE: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
};

/** The value of a quoted literal. Unknown escapes keep their backslash, as in Python. */
export function stringLiteral(quoted: string, line: number): string {
  return quoted
    .slice(1, -1)
    .replace(ESCAPE, (all: string, octal?: string, x?: string, u?: string, U?: string, other?: string) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      const hex = x ?? u ?? U;
      if (hex !== undefined) {
        const code = Number.parseInt(hex, 16);
        if (code > 0x10ffff) throw new TemplateError(`the escape ${all} is not a character`, line);
        return String.fromCodePoint(code);
      }
      if (other === 'N' || other === 'x' || other === 'u' || other === 'U')
        throw new TemplateError(`the escape \\${other} is not complete or not supported`, line);
      return SIMPLE[other as string] ?? all;
    });
}
