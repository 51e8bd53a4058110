/**
 * @file The same tokens after every block of two models, in one pass of each: rows to score pairs of blocks on. L, M blocks of source and
 * target, N rows.
 */
import type { PairedText } from '../../activations/index.ts';
import type { Rng } from '../../base/index.ts';
import { captureResiduals } from '../../interventions/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { quantile } from '../../stats/index.ts';
import type { FitTexts } from '../mapping/texts.ts';

/** Rows of both models. */
export interface EveryBlock {
  /** [N, D_source] after each of the source's blocks asked for. */
  readonly source: readonly Float32Array[];
  /** [N, D_target]. */
  readonly target: readonly Float32Array[];
}

/** Blocks to read, in the order of the scores. */
export interface Blocks {
  readonly source: readonly number[];
  readonly target: readonly number[];
}

/** Rows for fits, and rows of other prompts for their errors. */
export interface SplitRows {
  readonly train: EveryBlock;
  readonly test: EveryBlock;
}

/** A row is a sink above this × the median norm, as in fits. */
const SINK = 10;

/** Rows of errors for each row of fits. */
const TEST_SHARE = 0.25;

/** About `rows` token pairs of the training texts, and a quarter as many of the others: position 0, sinks and approximate pairs left out. */
export async function everyBlock(
  models: { readonly source: LanguageModel; readonly target: LanguageModel },
  texts: FitTexts,
  { blocks, rows, rng, signal }: { blocks: Blocks; rows: number; rng: Rng; signal?: AbortSignal },
): Promise<SplitRows> {
  const read = async (from: readonly PairedText[], n: number, name: string): Promise<EveryBlock> => {
    const places = drawPlaces(from, n, rng.fork(name));
    const captured = async (side: 'source' | 'target'): Promise<Captured> => {
      const { decoder, config } = models[side];
      const asked = places.map((place) => ({ ids: place.text[side], positions: place[side] }));
      const read = await captureResiduals(decoder, asked, blocks[side], { signal });
      return {
        blocks: blocks[side].map((_, k) => joined(read.map((text) => text[k]))),
        width: config.dModel,
      };
    };
    return withoutSinks(await captured('source'), await captured('target'));
  };
  return {
    train: await read(texts.train, rows, 'train'),
    test: await read([...texts.validation, ...texts.test], Math.ceil(rows * TEST_SHARE), 'test'),
  };
}

/** Positions of one text, ascending, pair by pair. */
interface Place {
  readonly text: PairedText;
  readonly source: readonly number[];
  readonly target: readonly number[];
}

function drawPlaces(texts: readonly PairedText[], n: number, rng: Rng): Place[] {
  const all = texts.flatMap((text, i) =>
    text.target.flatMap((_, t) => {
      const from = text.alignment === undefined ? t : text.alignment.sourceOf[t];
      const flag = text.alignment?.flags[t] ?? 'coincide';
      return t > 0 && from > 0 && flag === 'coincide' ? [{ i, from, t }] : [];
    }),
  );
  const drawn = new Map<number, { from: number; t: number }[]>();
  for (const { i, ...pair } of rng.shuffle(all).slice(0, n)) drawn.set(i, [...(drawn.get(i) ?? []), pair]);
  return [...drawn].map(([i, pairs]) => {
    const sorted = pairs.sort((a, b) => a.t - b.t);
    return { text: texts[i], source: sorted.map((p) => p.from), target: sorted.map((p) => p.t) };
  });
}

/** Rows of the tokens that are a sink after no block of either model. */
function withoutSinks(x: Captured, y: Captured): EveryBlock {
  const tokens = x.blocks[0].length / x.width;
  const kept = Array.from({ length: tokens }, (_, i) => i);
  const good = [x, y].reduce((rest, { blocks, width }) => {
    const limits = blocks.map((rows) => SINK * medianNorm(rows, width));
    return rest.filter((i) => blocks.every((rows, k) => norm(rows, i, width) <= limits[k]));
  }, kept);
  const picked = ({ blocks, width }: Captured): Float32Array[] =>
    blocks.map((rows) => joined(good.map((i) => rows.subarray(i * width, (i + 1) * width))));
  return { source: picked(x), target: picked(y) };
}

/** Rows of one model, [tokens, width] per block. */
interface Captured {
  readonly blocks: readonly Float32Array[];
  readonly width: number;
}

function norm(rows: Float32Array, i: number, width: number): number {
  let squares = 0;
  for (let j = i * width; j < (i + 1) * width; j++) squares += rows[j] ** 2;
  return Math.sqrt(squares);
}

function medianNorm(rows: Float32Array, width: number): number {
  const norms = Array.from({ length: rows.length / width }, (_, i) => norm(rows, i, width));
  return quantile(norms, 0.5);
}

/** Rows of several texts in one array. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  const out = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
