/** @file `makeVector`: a model and contrast pairs in, a steering vector per block and how well each separates out. */
import { type ProgressSink, silent } from '../base/index.ts';
import { type VectorBlock, vectorSettings } from '../contracts/index.ts';
import {
  experimentEnv,
  pairSet,
  type RowMethod,
  splitContrasts,
  steeringVectors,
} from '../evaluate/index.ts';
import type { LanguageModel } from '../models/index.ts';

/** Options of {@link makeVector}. */
export interface MakeVectorOptions {
  readonly model: LanguageModel;
  /** Texts that differ in one thing, as the model reads them (templates included); one is tokenized as `generate` does. */
  readonly pairs: readonly { readonly positive: string; readonly negative: string }[];
  /** Defaults to `mean-difference` (docs/concepts/method.md#steering-vectors). */
  readonly method?: RowMethod;
  /** Read the last token, the mean of the tokens, or those in which the pair differs. Defaults to `last`. */
  readonly position?: 'last' | 'mean' | 'span';
  /** Blocks to make a vector at, from 0. Defaults to all. */
  readonly blocks?: readonly number[];
  /** Decides which pairs are held out, and the shuffled labels. Defaults to 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressSink;
}

/** What {@link makeVector} gives. */
export interface MakeVectorResult {
  /** Block → vector [D] float32, to be added to `blocks.{block}.hook_resid_post`; α = 1 is the distance of the means along it. */
  readonly vectors: ReadonlyMap<number, Float32Array>;
  /** Norm, mean ‖h‖ and held-out separation of every block. */
  readonly blocks: readonly VectorBlock[];
  readonly recommended: { readonly block: number; readonly alpha: number; readonly reason: string };
}

/**
 * Make steering vectors. A quarter of the pairs is held out to measure on, where there are four or more. The same pairs and seed give
 * the same numbers. The model stays open.
 *
 * @throws InputError for no pairs or equal ones, a block the model does not have, and rows without a direction
 * @example
 * const { vectors, recommended } = await makeVector({ model, pairs: [{ positive: 'Good evening, sir.', negative: 'hey dude' }, …] });
 * const edit = { op: 'add', hook: residPost(recommended.block), tokens: { prompt: 'all', generation: 'all' },
 *   vector: { from: 'inline', values: [...vectors.get(recommended.block)] } };
 */
export async function makeVector(options: MakeVectorOptions): Promise<MakeVectorResult> {
  const { model, pairs, seed = 0, blocks, signal, onProgress = silent } = options;
  const { method = 'mean-difference', position } = options;
  const settings = vectorSettings.parse({ position });
  const rows = pairs.map((pair, i) => ({ id: String(i + 1), ...pair }));
  const set = pairSet(model.tokenizer, rows, { template: 'raw', position: settings.position });
  const env = experimentEnv('vector', {
    seed,
    progress: onProgress,
    signal: signal ?? new AbortController().signal,
  });
  const split = splitContrasts(set, settings.held_out, env.rng.fork('split'));
  return steeringVectors(model, split, { ...settings, method, blocks }, env);
}
