/** @file A second source for alignment: character ranges found by decoding, and the pairing rule of docs/concepts/method.md#paired-activations as it reads. */
import type { Tokenizer } from './tokenizer.ts';

export type Offsets = readonly (readonly [start: number, end: number])[];

/**
 * Character ranges of `ids` from what ever longer beginnings of them decode to; `added` tokens before the text (BOS) have empty ones.
 * Undefined where they do not decode to the text (a normaliser changed it).
 */
export function offsetsByDecoding(
  tokenizer: Pick<Tokenizer, 'decode'>,
  text: string,
  ids: readonly number[],
  added = 0,
): [number, number][] | undefined {
  const own = ids.slice(added);
  if (tokenizer.decode(own) !== text) return undefined;
  const offsets = ids.slice(0, added).map((): [number, number] => [0, 0]);
  let start = 0;
  own.forEach((_, k) => {
    const decoded = tokenizer.decode(own.slice(0, k + 1));
    let whole = 0;
    while (whole < decoded.length && decoded[whole] === text[whole]) whole++;
    // A run of byte tokens that ends within a character is broken as a whole; what it had completed stays.
    const cut = whole < decoded.length;
    whole = Math.max(whole, start);
    const broken = cut ? String.fromCodePoint(text.codePointAt(whole) ?? 0).length : 0;
    offsets.push([start, whole + broken]);
    start = whole;
  });
  return offsets;
}

/**
 * For each token of B the last token of A that ends at or before its end, −1 without any; equal cuts pair by index. Every token of B is
 * held against every token of A. A token ends with the last character it completes; one that completes none is no source.
 */
export function plainAlignment(a: Offsets, b: Offsets): number[] {
  if (JSON.stringify(a) === JSON.stringify(b)) return b.map((_, j) => j);
  return b.map((range, j) => {
    let best = -1;
    a.forEach((own, i) => {
      const closing = own[0] === own[1] && own[1] > 0;
      if (isCut(a, i) || (closing && range[0] !== range[1])) return;
      if (endOf(a, i) <= endOf(b, j)) best = i;
    });
    return best;
  });
}

/** The next token has more bytes of this token's last character. */
function isCut(offsets: Offsets, i: number): boolean {
  const [start, end] = offsets[i] ?? [0, 0];
  const next = offsets[i + 1]?.[0] ?? end;
  return start < end && next < end;
}

function endOf(offsets: Offsets, i: number): number {
  const end = offsets[i]?.[1] ?? 0;
  return isCut(offsets, i) ? (offsets[i + 1]?.[0] ?? end) : end;
}
