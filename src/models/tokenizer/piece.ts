/**
 * @file A stretch of text that remembers where each of its UTF-16 code units came from in the input.
 * Every stage of the pipeline maps pieces to pieces; offsets fall out at the end.
 */

/** `from[i]`, `to[i]`: the input range (UTF-16) that unit i of the text stands for. Both are non-decreasing. */
interface OffsetMap {
  readonly from: Int32Array;
  readonly to: Int32Array;
}

/** Without a map, unit i stands for the input range [base + i, base + i + 1). */
export interface Piece {
  readonly text: string;
  readonly base: number;
  readonly map: OffsetMap | undefined;
}

/** A part of a piece's text that a stage replaces: units [start, end) become `text`. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export function slicePiece(piece: Piece, start: number, end: number): Piece {
  if (start === 0 && end === piece.text.length) return piece;
  const map = piece.map && {
    from: piece.map.from.subarray(start, end),
    to: piece.map.to.subarray(start, end),
  };
  return { text: piece.text.slice(start, end), base: piece.base + start, map };
}

/** Input range of units [start, end) of the piece; an empty stretch gives an empty range. */
export function inputRange(piece: Piece, start: number, end: number): [number, number] {
  const { map, base } = piece;
  if (!map) return [base + start, base + end];
  if (end > start) return [map.from[start] as number, map.to[end - 1] as number];
  const at =
    start < map.from.length ? (map.from[start] as number) : start > 0 ? (map.to[start - 1] as number) : base;
  return [at, at];
}

/**
 * Apply edits (ascending, disjoint). Every unit of a replacement takes the whole input range of what it replaces,
 * except that a replacement of one unit by one unit keeps the map as it is. With `track` false no map is built.
 */
export function editPiece(piece: Piece, edits: readonly Edit[], track: boolean): Piece {
  if (edits.length === 0) return piece;
  let text = '';
  let at = 0;
  let keepsPlaces = true;
  for (const e of edits) {
    text += piece.text.slice(at, e.start) + e.text;
    at = e.end;
    keepsPlaces &&= e.end - e.start === 1 && e.text.length === 1;
  }
  text += piece.text.slice(at);
  if (keepsPlaces || !track) return { text, base: piece.base, map: track ? piece.map : undefined };
  const from = new Int32Array(text.length);
  const to = new Int32Array(text.length);
  let out = 0;
  const copy = (start: number, end: number): void => {
    for (let i = start; i < end; i++, out++) {
      from[out] = piece.map ? (piece.map.from[i] as number) : piece.base + i;
      to[out] = piece.map ? (piece.map.to[i] as number) : piece.base + i + 1;
    }
  };
  at = 0;
  for (const e of edits) {
    copy(at, e.start);
    const [a, b] = inputRange(piece, e.start, e.end);
    from.fill(a, out, out + e.text.length);
    to.fill(b, out, out + e.text.length);
    out += e.text.length;
    at = e.end;
  }
  copy(at, piece.text.length);
  return { text, base: piece.base, map: { from, to } };
}

/** True where the piece begins at the very start of the input (Metaspace `prepend_scheme: first`). */
export function atInputStart(piece: Piece): boolean {
  return (piece.map ? (piece.map.from[0] ?? piece.base) : piece.base) === 0;
}
