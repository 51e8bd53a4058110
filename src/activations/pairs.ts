/** @file From two captures of the same texts to token rows: which tokens pair, counted by what became of them. */
import { CrosspatchError, InputError } from '../base/index.ts';
import type { CapturedText } from './capture.ts';
import { type PairRows, ROW, RowsBuilder, type Widths } from './rows.ts';
import { withSinks } from './sinks.ts';
import type { PairedText } from './texts.ts';

/** Tokens of the target by what became of them (`results.json`, `pairing`). */
export interface PairCounts {
  coinciding: number;
  approximated: number;
  dropped: number;
  first: number;
  sinks: number;
  rows: number;
}

/** Options of {@link pairStream}. */
interface PairOptions extends Widths {
  /** A row is a sink above this × the median norm; false = no row is. Defaults to 10. */
  readonly sinkRatio?: number | false;
  /** Rows of a block. Defaults to 2048. */
  readonly blockRows?: number;
  /** Added to as rows go by. */
  readonly counts?: PairCounts;
}

/** Counts at zero. */
export function noCounts(): PairCounts {
  return { coinciding: 0, approximated: 0, dropped: 0, first: 0, sinks: 0, rows: 0 };
}

/** Pair two captures (one hook each, [T,D] a text) of the same texts in the same order. */
export async function* pairStream(
  texts: readonly PairedText[],
  source: AsyncIterable<CapturedText>,
  target: AsyncIterable<CapturedText>,
  options: PairOptions,
): AsyncGenerator<PairRows, void, undefined> {
  const { dx, dy, sinkRatio = 10, blockRows = 2048, counts = noCounts() } = options;
  const blocks = blocksOf(texts, source, target, { dx, dy, blockRows, counts });
  if (sinkRatio === false) yield* blocks;
  else yield* withSinks(blocks, { dx, dy }, sinkRatio, counts);
}

async function* blocksOf(
  texts: readonly PairedText[],
  source: AsyncIterable<CapturedText>,
  target: AsyncIterable<CapturedText>,
  { blockRows, counts, ...widths }: Widths & { readonly blockRows: number; readonly counts: PairCounts },
): AsyncGenerator<PairRows, void, undefined> {
  const { dx, dy } = widths;
  const ys = target[Symbol.asyncIterator]();
  let builder = new RowsBuilder(widths);
  for await (const a of source) {
    const b = await ys.next();
    if (b.done || b.value.index !== a.index)
      throw new CrosspatchError('pairing: the two captures do not hold the same texts in the same order', {
        id: 'data-invalid',
      });
    const text = texts[a.index] as PairedText;
    checkSizes(text, a.hidden.length / dx, b.value.hidden.length / dy);
    addText(builder, text, { index: a.index, x: a.hidden, y: b.value.hidden }, counts);
    if (builder.n < blockRows) continue;
    yield builder.finish();
    builder = new RowsBuilder(widths);
  }
  if (builder.n > 0) yield builder.finish();
}

function addText(
  builder: RowsBuilder,
  text: PairedText,
  { index, x, y }: { readonly index: number; readonly x: Float32Array; readonly y: Float32Array },
  counts: PairCounts,
): void {
  const { dx, dy } = builder;
  text.target.forEach((token, t) => {
    const from = text.alignment ? (text.alignment.sourceOf[t] as number) : t;
    const flag = text.alignment?.flags[t] ?? 'coincide';
    if (flag === 'dropped') counts.dropped++;
    else if (flag === 'approximate') counts.approximated++;
    else counts.coinciding++;
    if (from < 0) return;
    counts.rows++;
    if (t === 0) counts.first++;
    const inSpan = text.span !== undefined && t >= text.span.start && t < text.span.end;
    builder.add({
      x: x.subarray(from * dx, (from + 1) * dx),
      y: y.subarray(t * dy, (t + 1) * dy),
      sourceToken: text.source[from] as number,
      targetToken: token,
      text: index,
      position: t,
      flags:
        (t === 0 ? ROW.first : 0) | (flag === 'approximate' ? ROW.approximate : 0) | (inSpan ? ROW.span : 0),
    });
  });
}

function checkSizes(text: PairedText, sourceRows: number, targetRows: number): void {
  if (sourceRows !== text.source.length || targetRows !== text.target.length)
    throw new CrosspatchError(
      `pairing: text ${text.id} has ${text.source.length} and ${text.target.length} tokens, the captures hold ${sourceRows} and ${targetRows}`,
      { id: 'data-invalid' },
    );
  if (text.alignment === undefined && sourceRows !== targetRows)
    throw new InputError(
      `pairing: text ${text.id} has ${sourceRows} tokens in the source and ${targetRows} in the target and no alignment; make it with pairText`,
      { id: 'data-invalid' },
    );
}
