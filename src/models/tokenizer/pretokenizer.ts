/** @file Pre-tokenisers: cut normalised text into the words the model works on. */
import { toByteChars, utf8Length } from './bytes.ts';
import { asArray, asBoolean, asString, badTokenizer, buildPart, refuseUnknownKeys } from './parse.ts';
import { compilePattern, parsePattern } from './pattern.ts';
import { atInputStart, editPiece, inputRange, type Piece, slicePiece } from './piece.ts';

type PreTokenizer = (pieces: readonly Piece[], track: boolean) => readonly Piece[];

type Builder = (obj: Record<string, unknown>, where: string, depth: number) => PreTokenizer;

/** GPT-2's word pattern, the `use_regex` of ByteLevel. */
const GPT2_PATTERN = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** Punctuation of Unicode, and all signs of ASCII. */
const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;

const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
type Behavior = (typeof BEHAVIORS)[number];

const builders: Record<string, Builder> = {
  Sequence(obj, where, depth) {
    refuseUnknownKeys(obj, ['pretokenizers'], where);
    const steps = asArray(obj.pretokenizers, `${where}.pretokenizers`).map((p, i) =>
      parsePreTokenizer(p, `${where}[${i}]`, depth + 1),
    );
    return (pieces, track) => steps.reduce((ps, step) => step(ps, track), pieces);
  },
  ByteLevel(obj, where) {
    refuseUnknownKeys(obj, ['add_prefix_space', 'trim_offsets', 'use_regex'], where);
    const addSpace = asBoolean(obj.add_prefix_space, `${where}.add_prefix_space`, true);
    const split = asBoolean(obj.use_regex, `${where}.use_regex`, true)
      ? splitter(compilePattern(GPT2_PATTERN, where), 'Isolated')
      : undefined;
    return (pieces, track) => {
      const spaced = addSpace
        ? pieces.map((p) => (p.text.startsWith(' ') ? p : prepend(p, ' ', track)))
        : pieces;
      return (split ? split(spaced, track) : spaced).map((p) => toBytePiece(p, track));
    };
  },
  Split(obj, where) {
    refuseUnknownKeys(obj, ['pattern', 'behavior', 'invert'], where);
    const behavior = parseBehavior(obj.behavior, `${where}.behavior`);
    return splitter(
      parsePattern(obj.pattern, `${where}.pattern`),
      behavior,
      asBoolean(obj.invert, `${where}.invert`, false),
    );
  },
  Whitespace(obj, where) {
    refuseUnknownKeys(obj, [], where);
    return splitter(
      /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu,
      'Removed',
      true,
    );
  },
  WhitespaceSplit(obj, where) {
    refuseUnknownKeys(obj, [], where);
    return atSpaces;
  },
  BertPreTokenizer(obj, where) {
    refuseUnknownKeys(obj, [], where);
    const atMarks = splitter(PUNCTUATION, 'Isolated');
    return (pieces, track) => atMarks(atSpaces(pieces, track), track);
  },
  CharDelimiterSplit(obj, where) {
    refuseUnknownKeys(obj, ['delimiter'], where);
    return splitter(parsePattern(obj.delimiter, `${where}.delimiter`), 'Removed');
  },
  Digits(obj, where) {
    refuseUnknownKeys(obj, ['individual_digits'], where);
    return splitter(
      /\p{N}/gu,
      asBoolean(obj.individual_digits, `${where}.individual_digits`, false) ? 'Isolated' : 'Contiguous',
    );
  },
  Punctuation(obj, where) {
    refuseUnknownKeys(obj, ['behavior'], where);
    const behavior =
      obj.behavior === undefined ? 'Isolated' : parseBehavior(obj.behavior, `${where}.behavior`);
    return splitter(PUNCTUATION, behavior);
  },
  Metaspace(obj, where) {
    refuseUnknownKeys(obj, ['replacement', 'prepend_scheme', 'add_prefix_space', 'split', 'str_rep'], where);
    const mark = asString(obj.replacement, `${where}.replacement`);
    if (mark.length !== 1) throw badTokenizer(`${where}.replacement`, 'one character', mark);
    const scheme = parseScheme(obj, where);
    const cut = asBoolean(obj.split, `${where}.split`, true)
      ? splitter(parsePattern(mark, where), 'MergedWithNext')
      : undefined;
    return (pieces, track) => {
      const marked = pieces.map((piece) => {
        const p: Piece = { text: piece.text.replaceAll(' ', mark), base: piece.base, map: piece.map };
        const wanted = scheme === 'always' || (scheme === 'first' && atInputStart(p));
        return wanted && !p.text.startsWith(mark) ? prepend(p, mark, track) : p;
      });
      return cut ? cut(marked, track) : marked;
    };
  },
};

/** The `pre_tokenizer` field of tokenizer.json; null means none. */
export function parsePreTokenizer(value: unknown, where: string, depth = 0): PreTokenizer {
  return buildPart(builders, value, { where, depth }) ?? ((pieces) => pieces);
}

/** `prepend_scheme`, or the older boolean `add_prefix_space`. Defaults to `always`. */
export function parseScheme(obj: Record<string, unknown>, where: string): 'always' | 'first' | 'never' {
  const scheme = obj.prepend_scheme;
  if (scheme === 'always' || scheme === 'first' || scheme === 'never') return scheme;
  if (scheme !== undefined) throw badTokenizer(`${where}.prepend_scheme`, 'always, first or never', scheme);
  return asBoolean(obj.add_prefix_space, `${where}.add_prefix_space`, true) ? 'always' : 'never';
}

function parseBehavior(value: unknown, where: string): Behavior {
  const found = BEHAVIORS.find((b) => b.toLowerCase() === String(value).toLowerCase().replaceAll('_', ''));
  if (!found) throw badTokenizer(where, BEHAVIORS.join(', '), value);
  return found;
}

/** Cut at the matches of `pattern`; what happens to a match is `behavior`. `invert` takes the gaps as the matches. */
function splitter(pattern: RegExp, behavior: Behavior, invert = false): PreTokenizer {
  return (pieces) =>
    pieces.flatMap((piece) =>
      joinSpans(matchSpans(piece.text, pattern, invert), behavior).flatMap(([start, end]) =>
        end > start ? [slicePiece(piece, start, end)] : [],
      ),
    );
}

const atSpaces = splitter(/\p{White_Space}/gu, 'Removed');

/** The matches of `pattern` and the gaps between them, in order. */
function matchSpans(
  text: string,
  pattern: RegExp,
  invert: boolean,
): [start: number, end: number, isMatch: boolean][] {
  const spans: [start: number, end: number, isMatch: boolean][] = [];
  let at = 0;
  pattern.lastIndex = 0;
  for (let m = pattern.exec(text); m; m = pattern.exec(text)) {
    const end = m.index + m[0].length;
    if (end === m.index) {
      pattern.lastIndex += (text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1;
      continue;
    }
    if (m.index > at) spans.push([at, m.index, invert]);
    spans.push([m.index, end, !invert]);
    at = end;
  }
  if (at < text.length) spans.push([at, text.length, invert]);
  return spans;
}

/** The five behaviours of the Rust library, quirks included (of two matches in a row only the first is merged). */
function joinSpans(spans: [number, number, boolean][], behavior: Behavior): [number, number, boolean][] {
  if (behavior === 'Isolated') return spans;
  if (behavior === 'Removed') return spans.filter((s) => !s[2]);
  const forward = behavior !== 'MergedWithNext';
  const joined: [number, number, boolean][] = [];
  let previous = false;
  for (const span of forward ? spans : spans.toReversed()) {
    const last = joined.at(-1);
    const merge = behavior === 'Contiguous' ? span[2] === previous : span[2] && !previous;
    if (last && merge) {
      if (forward) last[1] = span[1];
      else last[0] = span[0];
    } else joined.push([span[0], span[1], span[2]]);
    previous = span[2];
  }
  return forward ? joined : joined.reverse();
}

function prepend(piece: Piece, text: string, track: boolean): Piece {
  return piece.text === '' ? piece : editPiece(piece, [{ start: 0, end: 0, text }], track);
}

/** Every UTF-8 byte as its own character; each byte of a character stands for that whole character of the input. */
function toBytePiece(piece: Piece, track: boolean): Piece {
  const text = toByteChars(piece.text);
  if (!track || text.length === piece.text.length) return { text, base: piece.base, map: piece.map };
  const from = new Int32Array(text.length);
  const to = new Int32Array(text.length);
  let out = 0;
  for (let i = 0; i < piece.text.length; ) {
    const code = piece.text.codePointAt(i) as number;
    const units = code > 0xffff ? 2 : 1;
    const [a, b] = inputRange(piece, i, i + units);
    const bytes = utf8Length(code);
    from.fill(a, out, out + bytes);
    to.fill(b, out, out + bytes);
    out += bytes;
    i += units;
  }
  return { text, base: piece.base, map: { from, to } };
}
