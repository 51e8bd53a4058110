/**
 * @file Alignment of two prompts that hold the same texts in different chat templates: the shared texts pair as any text does, what the
 * templates put before, between and after them pairs in proportion.
 */
import { type AlignmentFlag, alignTokens, type TokenAlignment } from './align.ts';
import type { Encoding } from './tokenizer.ts';

/** A text both prompts hold: where it starts in each, and its length, in characters. */
export interface SharedText {
  readonly source: number;
  readonly target: number;
  readonly length: number;
}

type Offsets = Encoding['offsets'];

/**
 * For each token of the target the token of the source whose activation stands for it. In a shared text: the last source token of that
 * text that ends at or before it ({@link alignTokens}); one before all of them takes the token before the text. In what surrounds the
 * texts: first with first, last with last, those between in proportion, as `approximate`; where the source has nothing there, the last
 * token before. `shared` is in the order of the prompts, without overlap.
 */
export function alignTurns(
  source: Pick<Encoding, 'offsets'>,
  target: Pick<Encoding, 'offsets'>,
  shared: readonly SharedText[],
): TokenAlignment {
  const a = partsOf(source.offsets, shared, 'source');
  const b = partsOf(target.offsets, shared, 'target');
  const sourceOf = new Int32Array(target.offsets.length).fill(-1);
  const flags = Array.from({ length: target.offsets.length }, (): AlignmentFlag => 'dropped');
  const put = (j: number, at: number, flag: AlignmentFlag): void => {
    sourceOf[j] = at;
    flags[j] = at < 0 ? 'dropped' : flag;
  };
  b.forEach((tokens, k) => {
    const own = a[k] as Part;
    const text = k % 2 === 1 ? shared[(k - 1) / 2] : undefined;
    if (text === undefined) {
      for (let i = 0; i < tokens.count; i++)
        put(
          tokens.first + i,
          own.count === 0 ? own.first - 1 : own.first + inProportion(i, tokens, own),
          'approximate',
        );
      return;
    }
    const found = alignTokens(
      { offsets: shifted(source.offsets, own, text.source) },
      { offsets: shifted(target.offsets, tokens, text.target) },
    );
    for (let i = 0; i < tokens.count; i++) {
      const at = found.sourceOf[i] as number;
      if (at < 0) put(tokens.first + i, own.first - 1, 'approximate');
      else put(tokens.first + i, own.first + at, found.flags[i] as AlignmentFlag);
    }
  });
  const count = (flag: AlignmentFlag): number => flags.filter((f) => f === flag).length;
  return {
    sourceOf,
    flags,
    coverage: { coincide: count('coincide'), approximate: count('approximate'), dropped: count('dropped') },
  };
}

/** Consecutive tokens. */
interface Part {
  readonly first: number;
  readonly count: number;
}

/** Tokens before, in, between, in, … and after the shared texts. A token belongs where it ends. */
function partsOf(offsets: Offsets, shared: readonly SharedText[], side: 'source' | 'target'): Part[] {
  const bounds = shared.flatMap((text) => [text[side], text[side] + text.length]);
  const parts: Part[] = [];
  let first = 0;
  for (const bound of [...bounds, Number.POSITIVE_INFINITY]) {
    let end = first;
    while (end < offsets.length && (offsets[end] as Offsets[number])[1] <= bound) end++;
    parts.push({ first, count: end - first });
    first = end;
  }
  return parts;
}

function inProportion(i: number, tokens: Part, own: Part): number {
  if (tokens.count === 1) return tokens.first === 0 ? 0 : own.count - 1;
  return Math.round((i * (own.count - 1)) / (tokens.count - 1));
}

function shifted(offsets: Offsets, { first, count }: Part, by: number): Offsets {
  return offsets
    .slice(first, first + count)
    .map(([start, end]): [number, number] => [Math.max(0, start - by), Math.max(0, end - by)]);
}
