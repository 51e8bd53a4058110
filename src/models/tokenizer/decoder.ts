/** @file Decoders: token strings → text. Each step maps a list of strings to a list of strings; the end is joined. */
import { byteCharsToBytes, byteOfFallback, fromUtf8, utf8 } from './bytes.ts';
import { GROWTH, refuseGrowth, SLACK } from './normalizer.ts';
import {
  asArray,
  asBoolean,
  asId,
  asObject,
  asString,
  badTokenizer,
  refuseDepth,
  refuseUnknownKeys,
  typeOf,
  unsupported,
} from './parse.ts';
import { parsePattern } from './pattern.ts';
import { parseScheme } from './pretokenizer.ts';

export interface Decoder {
  /** `first` is false where the tokens continue a text whose beginning was decoded before. */
  decode(tokens: readonly string[], first: boolean): string;
  /** Bytes a token stands for when it may be a part of a character, undefined when it is whole text. */
  bytesOf(token: string): readonly number[] | undefined;
}

type Step = (tokens: readonly string[], first: boolean) => readonly string[];
type BytesOf = Decoder['bytesOf'];

/** The `decoder` field of tokenizer.json; null joins with spaces. */
export function parseDecoder(value: unknown, where: string): Decoder {
  if (value === null || value === undefined)
    return {
      decode: (tokens, first) => (first || tokens.length === 0 ? '' : ' ') + tokens.join(' '),
      bytesOf: () => undefined,
    };
  const kinds = new Set<string>();
  const step = parseStep(value, where, 0, kinds);
  const bytesOf: BytesOf = kinds.has('ByteLevel')
    ? byteCharsToBytes
    : kinds.has('ByteFallback')
      ? fallbackBytes
      : () => undefined;
  return { decode: (tokens, first) => step(tokens, first).join(''), bytesOf };
}

const builders: Record<
  string,
  (obj: Record<string, unknown>, where: string, depth: number, kinds: Set<string>) => Step
> = {
  Sequence(obj, where, depth, kinds) {
    refuseUnknownKeys(obj, ['decoders'], where);
    const steps = asArray(obj.decoders, `${where}.decoders`).map((d, i) =>
      parseStep(d, `${where}[${i}]`, depth + 1, kinds),
    );
    return (tokens, first) => {
      const limit = GROWTH * sizeOf(tokens) + SLACK;
      return steps.reduce((before, step) => {
        const after = step(before, first);
        refuseGrowth(sizeOf(after), limit);
        return after;
      }, tokens);
    };
  },
  ByteLevel(obj, where) {
    refuseUnknownKeys(obj, ['add_prefix_space', 'trim_offsets', 'use_regex'], where);
    return (tokens) => [
      fromUtf8(Uint8Array.from(tokens.flatMap((t) => byteCharsToBytes(t) ?? [...utf8(t)]))),
    ];
  },
  ByteFallback(obj, where) {
    refuseUnknownKeys(obj, [], where);
    return joinFallbackBytes;
  },
  Fuse(obj, where) {
    refuseUnknownKeys(obj, [], where);
    return (tokens) => [tokens.join('')];
  },
  Replace(obj, where) {
    refuseUnknownKeys(obj, ['pattern', 'content'], where);
    const pattern = parsePattern(obj.pattern, `${where}.pattern`);
    const content = asString(obj.content, `${where}.content`);
    return (tokens) => {
      let length = sizeOf(tokens);
      const limit = GROWTH * length + SLACK;
      return tokens.map((t) =>
        t.replace(pattern, (match) => {
          length += content.length - match.length;
          refuseGrowth(length, limit);
          return content;
        }),
      );
    };
  },
  Strip(obj, where) {
    refuseUnknownKeys(obj, ['content', 'start', 'stop'], where);
    const content = asString(obj.content, `${where}.content`);
    if (Array.from(content).length !== 1) throw badTokenizer(`${where}.content`, 'one character', content);
    const start = asId(obj.start, `${where}.start`);
    const stop = asId(obj.stop, `${where}.stop`);
    return (tokens, first) => (first ? tokens.map((t) => stripEnds(t, content, start, stop)) : tokens);
  },
  Metaspace(obj, where) {
    refuseUnknownKeys(obj, ['replacement', 'prepend_scheme', 'add_prefix_space', 'split', 'str_rep'], where);
    const mark = asString(obj.replacement, `${where}.replacement`);
    const dropsFirst = parseScheme(obj, where) !== 'never';
    return (tokens, first) =>
      tokens.map((t, i) => t.replaceAll(mark, first && i === 0 && dropsFirst ? '' : ' '));
  },
  WordPiece(obj, where) {
    refuseUnknownKeys(obj, ['prefix', 'cleanup'], where);
    const prefix = asString(obj.prefix, `${where}.prefix`);
    const clean = asBoolean(obj.cleanup, `${where}.cleanup`, true) ? cleanUp : (t: string) => t;
    return (tokens, first) =>
      tokens.map((t, i) =>
        clean(first && i === 0 ? t : t.startsWith(prefix) ? t.slice(prefix.length) : ` ${t}`),
      );
  },
};

function parseStep(value: unknown, where: string, depth: number, kinds: Set<string>): Step {
  refuseDepth(depth, where);
  const obj = asObject(value, where);
  const type = typeOf(obj, where);
  const build = Object.hasOwn(builders, type) ? builders[type] : undefined;
  if (!build) throw unsupported(where, type, Object.keys(builders));
  kinds.add(type);
  return build(obj, where, depth, kinds);
}

function sizeOf(tokens: readonly string[]): number {
  return tokens.reduce((n, t) => n + t.length, 0);
}

function fallbackBytes(token: string): number[] | undefined {
  const byte = byteOfFallback(token);
  return byte === undefined ? undefined : [byte];
}

/** A run of byte tokens becomes its text if it is valid UTF-8, else one U+FFFD a byte. */
function joinFallbackBytes(tokens: readonly string[]): string[] {
  const out: string[] = [];
  let run: number[] = [];
  const flush = (): void => {
    if (run.length === 0) return;
    const bytes = Uint8Array.from(run);
    const text = fromUtf8(bytes);
    const valid = Buffer.from(text, 'utf8').equals(bytes);
    out.push(...(valid ? [text] : run.map(() => '\ufffd')));
    run = [];
  };
  for (const token of tokens) {
    const byte = byteOfFallback(token);
    if (byte !== undefined) run.push(byte);
    else {
      flush();
      out.push(token);
    }
  }
  flush();
  return out;
}

function stripEnds(token: string, content: string, start: number, stop: number): string {
  let from = 0;
  let to = token.length;
  for (let i = 0; i < start && token.startsWith(content, from); i++) from += content.length;
  for (let i = 0; i < stop && token.slice(from, to).endsWith(content); i++) to -= content.length;
  return token.slice(from, to);
}

/** English punctuation and contractions without the space a word-piece join puts before them (the Rust library's list). */
function cleanUp(token: string): string {
  const rules: [string, string][] = [
    [' .', '.'],
    [' ?', '?'],
    [' !', '!'],
    [' ,', ','],
    [" ' ", "'"],
    [" n't", "n't"],
    [" 'm", "'m"],
    [' do not', " don't"],
    [" 's", "'s"],
    [" 've", "'ve"],
    [" 're", "'re"],
  ];
  return rules.reduce((t, [from, to]) => t.replaceAll(from, to), token);
}
