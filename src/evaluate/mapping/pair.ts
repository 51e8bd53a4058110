/** @file The two models of a map, the blocks it reads and writes, and how texts are read on both sides. */
import type { MapEnd } from '../../maps/index.ts';
import { type LanguageModel, residAfter } from '../../models/index.ts';

/** The block that stands for what enters block 0: the embeddings of the tokens. */
export const EMBEDDING = -1;

/** The models of a map and where it reads and writes. */
export interface MapPair {
  readonly source: LanguageModel;
  readonly target: LanguageModel;
  /** The source before its fine-tune, for fits `clean_a`. */
  readonly clean: LanguageModel;
  readonly source_block: number;
  readonly target_block: number;
}

/** How texts are read and measured; names as in the recipe. */
export interface MapReading {
  /** Most token rows kept for a fit. Defaults to all. */
  readonly rows?: number | undefined;
  readonly sink_ratio: number | false;
  readonly batch: number;
  readonly bootstrap: number;
  /** Texts a group that are run teacher-forced for kl_div, top1_agreement and ce_delta. */
  readonly forced: number;
  /** Rows of a shard where rows are kept on disk. Defaults to 65,536. */
  readonly shard_rows?: number;
}

/** What each model is to the map; `embedding`: the source before its block 0. */
export type MapEnds = Readonly<Record<'source' | 'clean' | 'embedding' | 'target', MapEnd>>;

/** The ends of every map of the pair. */
export async function mapEnds(pair: MapPair): Promise<MapEnds> {
  return {
    source: await mapEnd(pair.source, pair.source_block),
    clean: await mapEnd(pair.clean, pair.source_block),
    embedding: await mapEnd(pair.source, EMBEDDING),
    target: await mapEnd(pair.target, pair.target_block),
  };
}

/** What a model is to a map; block {@link EMBEDDING}: its embeddings. */
export async function mapEnd(model: LanguageModel, block: number): Promise<MapEnd> {
  return {
    model: await model.checkpoint.contentHash(),
    name: model.checkpoint.path.split('/').at(-1) as string,
    block,
    hook: residAfter(block),
    width: model.config.dModel,
    weights: model.weights,
  };
}
