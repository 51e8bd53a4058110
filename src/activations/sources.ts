/** @file Pair sources: straight from two models, or from two captures on disk. Both give the same rows in the same blocks. */
import { InputError, type ProgressSink } from '../base/index.ts';
import type { Decoder } from '../models/index.ts';
import { type CapturedText, captureActivations } from './capture.ts';
import { readCaptureIndex } from './capture-index.ts';
import { noCounts, type PairCounts, pairStream } from './pairs.ts';
import { readCapture } from './read-capture.ts';
import type { PairSource, Widths } from './rows.ts';
import type { PairedText } from './texts.ts';

/** One side of a live pairing. */
interface LiveSide {
  readonly decoder: Decoder;
  readonly hook: string;
}

/** Options common to both. */
export interface SourceOptions {
  /** Defaults to 10; false keeps all. */
  readonly sinkRatio?: number | false;
  /** Filled again by each pass. */
  readonly counts?: PairCounts;
}

/** Run both models over the texts, in step, every time the rows are asked for. */
export function livePairs(
  texts: readonly PairedText[],
  source: LiveSide,
  target: LiveSide,
  options: SourceOptions & {
    readonly batch?: number;
    readonly signal?: AbortSignal;
    readonly onProgress?: ProgressSink;
    readonly stage?: string;
  } = {},
): PairSource {
  const { sinkRatio, counts, onProgress, ...rest } = options;
  const capture = ({ decoder, hook }: LiveSide, side: 'source' | 'target', progress?: ProgressSink) =>
    captureActivations(
      decoder,
      texts.map((t) => ({ id: t.id, ids: t[side] })),
      { ...rest, hooks: [hook], onProgress: progress },
    );
  return pairSource(
    texts,
    { dx: source.decoder.config.dModel, dy: target.decoder.config.dModel },
    () => [capture(source, 'source'), capture(target, 'target', onProgress)],
    { sinkRatio, counts },
  );
}

/** A capture on disk as one side. */
interface StoredSide {
  readonly folder: string;
  /** Which hook, where the capture holds several. Defaults to the first. */
  readonly hook?: string;
}

/** Read both sides' rows of these texts from disk, text by text. Both captures must hold every text under its id. */
export async function storedPairs(
  texts: readonly PairedText[],
  source: StoredSide,
  target: StoredSide,
  options: SourceOptions = {},
): Promise<PairSource> {
  const dx = (await readCaptureIndex(source.folder)).d_model;
  const dy = (await readCaptureIndex(target.folder)).d_model;
  if (texts.length === 0) throw new InputError('activations: no texts were given', { id: 'data-missing' });
  const ids = texts.map((t) => t.id);
  const read = ({ folder, hook }: StoredSide) => readCapture(folder, ids, hook);
  return pairSource(texts, { dx, dy }, () => [read(source), read(target)], options);
}

type Captured = AsyncIterable<CapturedText>;

/** Rows of both sides as `read` streams them; counted from zero at every pass. */
function pairSource(
  texts: readonly PairedText[],
  widths: Widths,
  read: () => readonly [source: Captured, target: Captured],
  { sinkRatio, counts }: SourceOptions,
): PairSource {
  return {
    ...widths,
    rows: () => {
      if (counts !== undefined) Object.assign(counts, noCounts());
      return pairStream(texts, ...read(), { ...widths, sinkRatio, counts });
    },
  };
}
