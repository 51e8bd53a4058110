/** @file Normalisers: input text → the text the model was trained on, keeping the way back to the input. */
import { InputError } from '../../base/index.ts';
import { asArray, asBoolean, asString, buildPart, refuseUnknownKeys } from './parse.ts';
import { parsePattern } from './pattern.ts';
import { type Edit, editPiece, type Piece, slicePiece } from './piece.ts';
import { toUnicodeForm, type UnicodeForm } from './unicode-form.ts';

/** With `track` false the offset map is not kept (ids alone are wanted). A result longer than `limit` is an error. */
type Normalizer = (piece: Piece, track: boolean, limit?: number) => Piece;

/** A text may grow this many times and by this many characters; the largest growth of Unicode's own forms is 18 times. */
export const GROWTH = 32;
export const SLACK = 4096;

type Builder = (obj: Record<string, unknown>, where: string, depth: number) => Normalizer;

const builders: Record<string, Builder> = {
  Sequence(obj, where, depth) {
    refuseUnknownKeys(obj, ['normalizers'], where);
    const steps = asArray(obj.normalizers, `${where}.normalizers`).map((n, i) =>
      parseNormalizer(n, `${where}[${i}]`, depth + 1),
    );
    return (piece, track, limit = limitOf(piece)) => steps.reduce((p, step) => step(p, track, limit), piece);
  },
  NFC: (obj, where) => unicodeForm('NFC', obj, where),
  NFD: (obj, where) => unicodeForm('NFD', obj, where),
  NFKC: (obj, where) => unicodeForm('NFKC', obj, where),
  NFKD: (obj, where) => unicodeForm('NFKD', obj, where),
  Lowercase(obj, where) {
    refuseUnknownKeys(obj, [], where);
    return lowercase;
  },
  StripAccents(obj, where) {
    refuseUnknownKeys(obj, [], where);
    return rewriting(/\p{M}/gu, () => '');
  },
  BertNormalizer(obj, where) {
    const names = ['clean_text', 'handle_chinese_chars', 'strip_accents', 'lowercase'];
    refuseUnknownKeys(obj, names, where);
    const flag = (name: string, fallback = true): boolean =>
      asBoolean(obj[name], `${where}.${name}`, fallback);
    const lower = flag('lowercase');
    const steps = [
      ...(flag('clean_text') ? [withoutControls, plainSpaces] : []),
      ...(flag('handle_chinese_chars') ? [spacedHan] : []),
      ...(flag('strip_accents', lower) ? [inForm('NFD'), withoutAccents] : []),
      ...(lower ? [lowercase] : []),
    ];
    return (piece, track, limit = limitOf(piece)) => steps.reduce((p, step) => step(p, track, limit), piece);
  },
  Strip(obj, where) {
    refuseUnknownKeys(obj, ['strip_left', 'strip_right'], where);
    const left = asBoolean(obj.strip_left, `${where}.strip_left`, true);
    const right = asBoolean(obj.strip_right, `${where}.strip_right`, true);
    return (piece) => {
      const start = left ? (/^\p{White_Space}*/u.exec(piece.text)?.[0].length ?? 0) : 0;
      const tail = right ? (/(?<!\p{White_Space})\p{White_Space}*$/u.exec(piece.text)?.[0].length ?? 0) : 0;
      return slicePiece(piece, start, Math.max(start, piece.text.length - tail));
    };
  },
  Replace(obj, where) {
    refuseUnknownKeys(obj, ['pattern', 'content'], where);
    const pattern = parsePattern(obj.pattern, `${where}.pattern`);
    const content = asString(obj.content, `${where}.content`);
    return rewriting(pattern, () => content);
  },
  Prepend(obj, where) {
    refuseUnknownKeys(obj, ['prepend'], where);
    const text = asString(obj.prepend, `${where}.prepend`);
    return (piece, track, limit = limitOf(piece)) => {
      if (piece.text === '') return piece;
      refuseGrowth(piece.text.length + text.length, limit);
      return editPiece(piece, [{ start: 0, end: 0, text }], track);
    };
  },
};

/** The `normalizer` field of tokenizer.json; null means none. */
export function parseNormalizer(value: unknown, where: string, depth = 0): Normalizer {
  return buildPart(builders, value, { where, depth }) ?? ((piece) => piece);
}

function limitOf({ text }: Piece): number {
  return GROWTH * text.length + SLACK;
}

/** A normaliser that makes much of little is no part of a tokenizer, but an attack on whoever runs it. */
export function refuseGrowth(length: number, limit: number): void {
  if (length > limit)
    throw new InputError(
      `tokenizer: wanted a text that its rules lengthen to at most ${limit} characters, got more; the tokenizer's replacements blow text up, take it from the model again`,
      { id: 'data-invalid' },
    );
}

/** The normaliser that puts `to(match)` in the place of every match. */
function rewriting(pattern: RegExp, to: (match: string) => string): Normalizer {
  return (piece, track, limit = limitOf(piece)) => {
    let length = piece.text.length;
    const counted = (match: string): string => {
      const text = to(match);
      length += text.length - match.length;
      refuseGrowth(length, limit);
      return text;
    };
    if (!track) return { text: piece.text.replace(pattern, counted), base: piece.base, map: undefined };
    const edits: Edit[] = [];
    for (const m of piece.text.matchAll(pattern)) {
      const text = counted(m[0]);
      if (text !== m[0]) edits.push({ start: m.index, end: m.index + m[0].length, text });
    }
    return editPiece(piece, edits, true);
  };
}

/**
 * Marks and the vowel and final jamo of Hangul: what can combine with the character before it.
 * A character and those after it are normalised alone, so within such a cluster offsets are those of the whole cluster.
 */
const CLUSTER = /[\s\S][\p{M}\u1160-\u11ff\ud7b0-\ud7ff]*/gu;

function unicodeForm(form: UnicodeForm, obj: Record<string, unknown>, where: string): Normalizer {
  refuseUnknownKeys(obj, [], where);
  return inForm(form);
}

function inForm(form: UnicodeForm): Normalizer {
  const byCluster = rewriting(CLUSTER, (cluster) => toUnicodeForm(cluster, form));
  return (piece, track) => {
    const text = toUnicodeForm(piece.text, form);
    if (text === piece.text) return piece;
    if (!track) return { text, base: piece.base, map: undefined };
    const aligned = byCluster(piece, true);
    // The clusters are chosen so that this always agrees; if a newer Unicode disagrees, the ids must still be right.
    return aligned.text === text
      ? aligned
      : editPiece(piece, [{ start: 0, end: piece.text.length, text }], true);
  };
}

/** Character by character, without the final-sigma rule. */
const lowercase = rewriting(/\p{Changes_When_Lowercased}/gu, (c) => c.toLowerCase());

// Of BertNormalizer. Marks and control characters of scripts newer than the Rust library's tables (Unicode 8) stay there and go here.
const withoutControls = rewriting(/(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\ufffd]/gu, () => '');
const plainSpaces = rewriting(/\p{White_Space}/gu, () => ' ');
const withoutAccents = rewriting(/\p{Mn}/gu, () => '');
/** The blocks of Han characters as the Rust library has them, each character a word of its own. */
const spacedHan = rewriting(
  /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu,
  (c) => ` ${c} `,
);
