/** @file Pair sources: straight from two models, or from two captures on disk. Both give the same rows in the same blocks. */
import { InputError, type ProgressSink } from '../base/index.ts';
import type { Decoder } from '../models/index.ts';
import { captureActivations } from './capture.ts';
import { noCounts, type PairCounts, type PairSource, pairStream } from './pairs.ts';
import { readCapture, readCaptureIndex } from './shards.ts';
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
  const dx = source.decoder.config.dModel;
  const dy = target.decoder.config.dModel;
  return {
    dx,
    dy,
    rows: () =>
      pairStream(
        texts,
        captureActivations(
          source.decoder,
          texts.map((t) => ({ id: t.id, ids: t.source })),
          { ...rest, hooks: [source.hook] },
        ),
        captureActivations(
          target.decoder,
          texts.map((t) => ({ id: t.id, ids: t.target })),
          { ...rest, hooks: [target.hook], onProgress },
        ),
        pairOptions(dx, dy, sinkRatio, counts),
      ),
  };
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
  return {
    dx,
    dy,
    rows: () =>
      pairStream(
        texts,
        readCapture(source.folder, ids, source.hook),
        readCapture(target.folder, ids, target.hook),
        pairOptions(dx, dy, options.sinkRatio, options.counts),
      ),
  };
}

function pairOptions(
  dx: number,
  dy: number,
  sinkRatio: number | false | undefined,
  counts: PairCounts | undefined,
) {
  if (counts !== undefined) Object.assign(counts, noCounts());
  return {
    dx,
    dy,
    sinkRatio,
    counts,
  };
}
