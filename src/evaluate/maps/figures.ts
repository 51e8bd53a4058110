/** @file Figures of maps on texts neither fit nor choice has seen (docs/concepts/method.md#figures-of-a-map): all maps of one pair of blocks in one pass over the texts. */
import { livePairs, type PairCounts, type PairedText, type PairRows } from '../../activations/index.ts';
import { InputError, type ProgressSink, type Rng, silent, throwIfAborted } from '../../base/index.ts';
import type { MapFigures } from '../../contracts/index.ts';
import type { ActivationMap } from '../../maps/index.ts';
import { type Decoder, parseHookName } from '../../models/index.ts';
import { addForced, comparedPositions, ForcedSums, type ForcedText } from './forced.ts';
import { MapSums, type Ratio, ratioFigures, TargetSums } from './sums.ts';

/** Options of {@link mapFigures}. */
export interface MapFiguresOptions {
  readonly source: Decoder;
  readonly target: Decoder;
  /** One group, e.g. the safe texts of the test split. */
  readonly texts: readonly PairedText[];
  /** By the caller's names; all from one source block to one target block. */
  readonly maps: Readonly<Record<string, ActivationMap>>;
  /** A `token-mean` map of the fit's rows: gives E[y|token] for fvu_token and ȳ for centred cosines; without it both are left out. */
  readonly tokenMean?: ActivationMap;
  /**
   * Texts, from the first on, that are run teacher-forced for kl_div, top1_agreement, ce_delta. Defaults to 64; 0 leaves them out. With a large
   * vocabulary not every position of them is compared ({@link comparedPositions}).
   */
  readonly forced?: number;
  /** Draws the bootstrap. */
  readonly rng: Rng;
  /** Defaults to 10,000. */
  readonly resamples?: number;
  /** Texts of a forward pass. Defaults to 32. */
  readonly batch?: number;
  /** As in capture. Defaults to 10. */
  readonly sinkRatio?: number | false;
  /** Filled with the pairing of these texts. */
  readonly counts?: PairCounts;
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressSink;
  /** Defaults to `map figures`. */
  readonly stage?: string;
}

/**
 * mse, cossim (plain and centred), fvu (three denominators), and with `forced` kl_div, top1_agreement, ce_delta, each with a bootstrap
 * interval over texts and n = texts. Rows stream: memory holds a few batches and some sums a text.
 */
export async function mapFigures(options: MapFiguresOptions): Promise<Record<string, MapFigures>> {
  const { source, target, texts, maps, tokenMean, forced = 64, batch = 32, onProgress = silent } = options;
  const { stage = 'map figures', signal } = options;
  const block = oneTargetBlock(maps, target);
  const [first] = Object.values(maps);
  if (first === undefined || texts.length === 0)
    throw new InputError(
      `map figures: wanted maps and texts, got ${Object.keys(maps).length} and ${texts.length}`,
      { id: 'map-mismatch' },
    );
  const names = Object.keys(maps);
  const targetSums = new TargetSums(texts.length, target.config.dModel);
  const mapSums = tableOf(names, () => new MapSums(texts.length));
  const forcedSums = tableOf(names, () => new ForcedSums(texts.length));
  const mean = tokenMean?.body.tensors.fallback?.data;
  if (tokenMean !== undefined && mean === undefined)
    throw new InputError(`map figures: wanted a token-mean map, got ${tokenMean.kind}`, {
      id: 'map-mismatch',
    });

  const pairs = livePairs(
    texts,
    { decoder: source, hook: first.source.hook },
    { decoder: target, hook: first.target.hook },
    {
      batch,
      sinkRatio: options.sinkRatio,
      counts: options.counts,
      signal,
    },
  );
  const compared = { texts: Math.min(forced, texts.length), vocab: target.config.vocabSize };
  let waiting: ForcedText[] = [];
  const flush = async (): Promise<void> => {
    if (waiting.length > 0) await addForced({ decoder: target, block }, waiting, forcedSums, signal);
    waiting = [];
  };
  let done = 0;
  for await (const rows of pairs.rows()) {
    throwIfAborted(signal, stage);
    const tokenIds = rows.targetTokens;
    targetSums.add(rows, tokenMean?.apply(rows.x, rows.n, { tokenIds }));
    const predicted = tableOf(names, (name): Prediction => {
      const map = maps[name];
      return { map, values: map.apply(rows.x, rows.n, { tokenIds }) };
    });
    for (const name of names) mapSums[name].add(rows, predicted[name].values, mean);
    for (const text of wholeTexts(rows, texts, predicted, forced)) {
      waiting.push({ ...text, compared: comparedPositions(text.ids.length, compared) });
      if (waiting.length >= batch) await flush();
    }
    done = rows.text[rows.n - 1] + 1;
    onProgress({ stage, done, total: texts.length, unit: 'texts' });
  }
  await flush();
  return tableOf(names, (name) =>
    ratioFigures(
      ratiosOf(targetSums, mapSums[name], forcedSums[name], mean !== undefined),
      options.rng.fork('map figures'),
      options.resamples,
    ),
  );
}

function ratiosOf(target: TargetSums, map: MapSums, forced: ForcedSums, centred: boolean) {
  return {
    mse: { numerator: map.error, denominator: target.rows.map((n) => n * target.d) },
    cossim: { numerator: map.cosine, denominator: target.rows },
    cossim_centred: {
      numerator: map.cosineCentred,
      denominator: centred ? target.rows : target.rows.map(() => 0),
    },
    fvu: { numerator: map.error, denominator: target.aroundMean() },
    fvu_blog: { numerator: map.errorAll, denominator: target.aroundScalar() },
    fvu_token: { numerator: map.error, denominator: target.aroundToken },
    kl_div: { numerator: forced.kl, denominator: forced.positions },
    top1_agreement: { numerator: forced.agreement, denominator: forced.positions },
    ce_delta: { numerator: forced.crossEntropy, denominator: forced.predictions },
  } satisfies Record<keyof MapFigures, Ratio>;
}

/** What a map makes of a block of rows, [n,d]. */
interface Prediction {
  readonly map: ActivationMap;
  readonly values: Float32Array;
}

/** The texts of a block among the first `limit`, each map's rows at every position (a block holds whole texts). */
function* wholeTexts(
  rows: PairRows,
  texts: readonly PairedText[],
  predicted: Readonly<Record<string, Prediction>>,
  limit: number,
): Generator<Omit<ForcedText, 'compared'>, void, undefined> {
  for (let from = 0; from < rows.n; ) {
    const index = rows.text[from];
    let to = from;
    while (to < rows.n && rows.text[to] === index) to++;
    const ids = texts[index].target;
    if (index < limit && ids.length > 1) {
      const mapped = tableOf(Object.keys(predicted), (name) => {
        const { map, values } = predicted[name];
        const d = map.target.width;
        const out = unpaired(map, ids);
        for (let i = from; i < to; i++) out.set(values.subarray(i * d, (i + 1) * d), rows.position[i] * d);
        return out;
      });
      yield { index, ids, mapped };
    }
    from = to;
  }
}

/** [T,d]: what stands at positions without any token of A: the map of A's mean activation. */
export function unpaired(map: ActivationMap, ids: readonly number[]): Float32Array {
  const x = new Float32Array(ids.length * map.source.width);
  ids.forEach((_, t) => {
    x.set(map.sourceMean, t * map.source.width);
  });
  return map.apply(x, ids.length, { tokenIds: ids });
}

/** The block all maps write to; refuses maps of different blocks, and hooks that are not the residual stream after a block. */
export function oneTargetBlock(maps: Readonly<Record<string, ActivationMap>>, target: Decoder): number {
  const all = Object.values(maps);
  for (const { source, target: end, kind } of all) {
    const first = all[0];
    if (source.hook !== first.source.hook || end.hook !== first.target.hook)
      throw new InputError(
        `maps: wanted one pair of blocks, got ${first.source.hook}→${first.target.hook} and ${source.hook}→${end.hook}`,
        { id: 'map-mismatch' },
      );
    if (parseHookName(end.hook, target.nLayers).site !== 'resid_post' || end.width !== target.config.dModel)
      throw new InputError(
        `map ${kind}: ${end.hook} of width ${end.width} is not the residual stream after a block of this model`,
        { id: 'block-unknown' },
      );
  }
  return all[0]?.target.block ?? 0;
}

function tableOf<T>(names: readonly string[], make: (name: string) => T): Record<string, T> {
  return Object.fromEntries(names.map((name) => [name, make(name)]));
}
