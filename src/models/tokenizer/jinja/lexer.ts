/**
 * @file Template source → text and tokens, white space as transformers renders it (`trim_blocks`, `lstrip_blocks`, the signs `-` and
 * `+`, one newline at the end dropped).
 */
import { TemplateError } from './error.ts';
import { SPACE, trimEnd } from './python-text.ts';
import { stringLiteral } from './string-literal.ts';

/** A token of an expression. `op` covers operators and brackets. */
export interface Token {
  readonly type: 'name' | 'string' | 'integer' | 'float' | 'op' | 'end';
  readonly text: string;
  readonly line: number;
}

/** Template text, or the tokens of one `{{ … }}` or `{% … %}`, closed by an `end` token. */
export type Segment =
  | { readonly kind: 'text'; readonly text: string; readonly line: number }
  | { readonly kind: 'output' | 'block'; readonly tokens: readonly Token[]; readonly line: number };

const OPENING = /\{[%{#]/g;
const RAW = new RegExp(`\\{%[-+]?${SPACE}*raw${SPACE}*(?:-%\\}${SPACE}*|%\\})`, 'y');
const END_RAW = new RegExp(`\\{%([-+]?)${SPACE}*endraw${SPACE}*(?:\\+%\\}|-%\\}${SPACE}*|%\\}\\n?)`, 'g');
const ENDS = {
  output: new RegExp(`-\\}\\}${SPACE}*|\\}\\}`, 'y'),
  block: new RegExp(`\\+%\\}|-%\\}${SPACE}*|%\\}\\n?`, 'y'),
  comment: new RegExp(`\\+#\\}|-#\\}${SPACE}*|#\\}\\n?`, 'g'),
};
const BLANK = new RegExp(`^${SPACE}+$`);
const TOKENS = new RegExp(
  [
    `(?<space>${SPACE}+)`,
    '(?<float>(?<!\\.)(?:\\d+_)*\\d+(?:(?:\\.(?:\\d+_)*\\d+)?[eE][+-]?(?:\\d+_)*\\d+|\\.(?:\\d+_)*\\d+))',
    '(?<integer>0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\\da-fA-F])+|[1-9](?:_?\\d)*|0(?:_?0)*)',
    '(?<name>[\\p{L}\\p{Nl}_][\\p{L}\\p{Nl}\\p{Mn}\\p{Mc}\\p{Nd}\\p{Pc}]*)',
    '(?<string>\'[^\'\\\\]*(?:\\\\[\\s\\S][^\'\\\\]*)*\'|"[^"\\\\]*(?:\\\\[\\s\\S][^"\\\\]*)*")',
    '(?<op>//|\\*\\*|==|!=|>=|<=|[-+/*%~[\\](){}<>=.:|,;])',
  ].join('|'),
  'uy',
);
const CLOSING: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' };

/** Segments of a template. Throws {@link TemplateError}. */
export function lex(template: string): Segment[] {
  const source = template.replace(/\r\n?/g, '\n').replace(/\n$/, '');
  const segments: Segment[] = [];
  let at = 0;
  let line = 1;
  let lineStart = true;
  const advance = (to: number): void => {
    for (let i = source.indexOf('\n', at); i >= 0 && i < to; i = source.indexOf('\n', i + 1)) line++;
    lineStart = source[to - 1] === '\n';
    at = to;
  };
  const text = (raw: string, sign: string, isOutput: boolean): void => {
    const kept = stripBefore(raw, sign, isOutput, lineStart);
    if (kept !== '') segments.push({ kind: 'text', text: kept, line });
  };
  for (;;) {
    OPENING.lastIndex = at;
    const found = OPENING.exec(source);
    if (found === null) break;
    const open = found.index;
    const kind = source[open + 1] === '{' ? 'output' : source[open + 1] === '%' ? 'block' : 'comment';
    const sign = /[-+]/.test(source[open + 2] ?? '') ? (source[open + 2] as string) : '';
    text(source.slice(at, open), sign, kind === 'output');
    advance(open);
    RAW.lastIndex = open;
    const raw = kind === 'block' ? RAW.exec(source) : null;
    if (raw !== null) {
      advance(open + raw[0].length);
      END_RAW.lastIndex = at;
      const end = END_RAW.exec(source);
      if (end === null) throw new TemplateError('missing end of raw directive', line);
      text(source.slice(at, end.index), end[1] as string, false);
      advance(end.index + end[0].length);
    } else if (kind === 'comment') {
      ENDS.comment.lastIndex = open + 2;
      const end = ENDS.comment.exec(source);
      if (end === null) throw new TemplateError('missing end of comment tag', line);
      advance(end.index + end[0].length);
    } else {
      const started = line;
      const { tokens, end } = tokenise(source, open + 2 + sign.length, ENDS[kind], line);
      segments.push({ kind, tokens, line: started });
      advance(end);
    }
  }
  if (at < source.length) segments.push({ kind: 'text', text: source.slice(at), line });
  return segments;
}

/** Text before a tag: `-` strips all white space; before a block or comment that begins its line, the indentation goes. */
function stripBefore(text: string, sign: string, isOutput: boolean, lineStart: boolean): string {
  if (sign === '-') return trimEnd(text);
  if (sign === '+' || isOutput) return text;
  const last = text.lastIndexOf('\n') + 1;
  return (last > 0 || lineStart) && BLANK.test(text.slice(last)) ? text.slice(0, last) : text;
}

function tokenise(
  source: string,
  from: number,
  ending: RegExp,
  firstLine: number,
): { tokens: Token[]; end: number } {
  const tokens: Token[] = [];
  const open: string[] = [];
  let at = from;
  let line = firstLine;
  for (;;) {
    ending.lastIndex = at;
    const end = open.length === 0 ? ending.exec(source) : null;
    if (end !== null) {
      tokens.push({ type: 'end', text: 'end of statement block', line });
      return { tokens, end: at + end[0].length };
    }
    TOKENS.lastIndex = at;
    const match = TOKENS.exec(source);
    if (match === null) {
      if (at >= source.length) throw new TemplateError('unexpected end of template', line);
      throw new TemplateError(`unexpected char ${JSON.stringify(source.slice(at, at + 1))} at ${at}`, line);
    }
    const [text] = match;
    const type = (['space', 'float', 'integer', 'name', 'string', 'op'] as const).find(
      (name) => match.groups?.[name] !== undefined,
    );
    if (type === 'op') {
      if ('([{'.includes(text)) open.push(text);
      const opening = CLOSING[text];
      if (opening !== undefined && open.pop() !== opening)
        throw new TemplateError(`unexpected '${text}'`, line);
    }
    if (type !== 'space' && type !== undefined)
      tokens.push({ type, text: type === 'string' ? stringLiteral(text, line) : text, line });
    for (let i = text.indexOf('\n'); i >= 0; i = text.indexOf('\n', i + 1)) line++;
    at += text.length;
  }
}
