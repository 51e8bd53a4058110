/** @file Alignment of the tokens of two tokenizers over one text (docs/concepts/method.md#paired-activations). */
import type { Encoding } from './tokenizer.ts';

/** `coincide`: both tokens end at the same character; `approximate`: A's token ends earlier; `dropped`: no token of A ends that early. */
export type AlignmentFlag = 'coincide' | 'approximate' | 'dropped';

export interface TokenAlignment {
  /** For each token of B the token of A whose activation stands for it, −1 where dropped. */
  readonly sourceOf: Int32Array;
  readonly flags: readonly AlignmentFlag[];
  /** Number of tokens of B of each kind. */
  readonly coverage: Readonly<Record<AlignmentFlag, number>>;
}

/**
 * Each token of B takes the last token of A that ends at or before it: never a later one, which would have read characters that
 * B has not (the next word would leak). Both encodings must be of the same text. Equal cuts align by index.
 *
 * A token that holds only the first bytes of a character is no source, and as a target it ends where that character begins. Tokens
 * the template added (empty ranges) match each other; one without a counterpart takes the last token before it, as approximate.
 */
export function alignTokens(a: Pick<Encoding, 'offsets'>, b: Pick<Encoding, 'offsets'>): TokenAlignment {
  const equalCuts =
    a.offsets.length === b.offsets.length &&
    a.offsets.every((o, i) => o[0] === b.offsets[i]?.[0] && o[1] === b.offsets[i]?.[1]);
  const sourceOf = new Int32Array(b.offsets.length).fill(-1);
  const coverage = { coincide: 0, approximate: 0, dropped: 0 };
  const flags: AlignmentFlag[] = [];
  let seen = 0;
  let source = -1;
  for (let j = 0; j < b.offsets.length; j++) {
    const end = completeEnd(b.offsets, j);
    const templated = isEmpty(b.offsets, j);
    for (; seen < a.offsets.length && completeEnd(a.offsets, seen) <= end; seen++) {
      // The closing special tokens of A come after all text: no text token of B may read them.
      if (isEmpty(a.offsets, seen) && completeEnd(a.offsets, seen) > 0 && !templated) break;
      if (!isPartial(a.offsets, seen)) source = seen;
    }
    if (equalCuts) source = j;
    const coincides =
      equalCuts ||
      (source >= 0 &&
        a.offsets[source]?.[1] === end &&
        !isPartial(b.offsets, j) &&
        isEmpty(a.offsets, source) === templated);
    const flag = source < 0 ? 'dropped' : coincides ? 'coincide' : 'approximate';
    sourceOf[j] = source;
    flags.push(flag);
    coverage[flag]++;
  }
  return { sourceOf, flags, coverage };
}

type Offsets = readonly (readonly [start: number, end: number])[];

function isEmpty(offsets: Offsets, i: number): boolean {
  const [start, end] = offsets[i] as readonly [number, number];
  return start === end;
}

/** True where the token's last character goes on in the next token. */
function isPartial(offsets: Offsets, i: number): boolean {
  const following = offsets[i + 1];
  return following !== undefined && !isEmpty(offsets, i) && following[0] < (offsets[i]?.[1] as number);
}

/** End of the last character that token i completes. */
function completeEnd(offsets: Offsets, i: number): number {
  return isPartial(offsets, i) ? (offsets[i + 1]?.[0] as number) : (offsets[i]?.[1] as number);
}
