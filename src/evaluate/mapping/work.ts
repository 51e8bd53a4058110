/** @file Two models, their blocks and the texts both read: rows for fits, read when a fit first asks for them. */
import {
  LEFT_OUT,
  mixPairs,
  noCounts,
  type PairCounts,
  type PairSource,
  ROW,
  textsHash,
  tokenizerHash,
} from '../../activations/index.ts';
import { InputError, type Owned } from '../../base/index.ts';
import type { MapFit } from '../../contracts/index.ts';
import type { FitContext, FitData } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';
import { type MapEnds, type MapPair, type MapReading, mapEnds } from './pair.ts';
import { folderOf, type RowSet, type RowSide, sideOf, textsOf } from './row-sets.ts';
import { RowReader, type RowStorage, type RowsFrom } from './rows.ts';
import type { FitTexts, MapTexts } from './texts.ts';

/** What a {@link MapWork} works with. */
interface MapWorkOptions {
  readonly pair: MapPair;
  readonly texts: MapTexts;
  readonly reading: MapReading;
  readonly env: ExperimentEnv;
  readonly storage: RowStorage;
}

/** Of a map's settings: the rows it is fitted on. */
export interface DrawnRows {
  readonly general_share: number;
  readonly rows?: number | undefined;
}

/** See the file's head. */
export class MapWork implements Owned {
  readonly pair: MapPair;
  readonly texts: MapTexts;
  readonly reading: MapReading;
  readonly env: ExperimentEnv;
  /** How the tokens of the tagged training texts pair; filled when they are read. */
  readonly counts: PairCounts = noCounts();
  readonly #ends: MapEnds;
  readonly #reader: RowReader;
  readonly #read = new Map<string, Promise<PairSource>>();

  private constructor({ pair, texts, reading, env, storage }: MapWorkOptions, ends: MapEnds) {
    this.pair = pair;
    this.texts = texts;
    this.reading = reading;
    this.env = env;
    this.#ends = ends;
    const { source, clean, target } = pair;
    const models = { source, clean, embedding: source, target };
    const from = (side: RowSide): RowsFrom => ({ model: models[side], end: ends[side] });
    const sides = {
      ...{ source: from('source'), clean: from('clean') },
      ...{ embedding: from('embedding'), target: from('target') },
    };
    this.#reader = new RowReader({ sides, reading, env, storage });
  }

  static async open(options: MapWorkOptions): Promise<MapWork> {
    return new MapWork(options, await mapEnds(options.pair));
  }

  /** The model a fit reads activations from. */
  sourceOf(fit: MapFit): LanguageModel {
    return fit === 'clean_a' ? this.pair.clean : this.pair.source;
  }

  /** The texts a fit is made on. */
  fitTexts(fit: MapFit): FitTexts {
    return fit === 'general' ? this.texts.general : this.texts.split;
  }

  /** Rows of a fit; with `shuffled` those of that control beside them. */
  async data(fit: MapFit, shuffled = false): Promise<FitData> {
    const { train, validation } = this.texts.general;
    if (fit === 'general' && (train.length === 0 || validation.length === 0))
      throw new InputError(
        'maps: the fit `general` needs text to fit and to choose on, beyond capture.out_of_domain; give more',
        { id: 'fit-impossible' },
      );
    const side = sideOf(fit);
    const kind = fit === 'general' ? 'general' : 'tagged';
    const isTagged = side === 'source' && kind === 'tagged';
    return {
      train: await this.#rows(side, { kind, part: 'train' }, isTagged ? this.counts : undefined),
      validation: await this.#rows(side, { kind, part: 'validation' }),
      shuffled:
        shuffled && isTagged
          ? {
              train: await this.#rows(side, { kind: 'shuffled', part: 'train' }),
              validation: await this.#rows(side, { kind: 'shuffled', part: 'validation' }),
            }
          : undefined,
    };
  }

  /** Rows of a fit of which a part is drawn, or replaced by text without tags. λ is chosen on the rows of the fit alone. */
  async drawn(fit: MapFit, label: string, { general_share, rows }: DrawnRows): Promise<FitData> {
    const { train, validation } = await this.data(fit);
    const general = general_share > 0 ? (await this.data('general')).train : undefined;
    const mix = {
      share: general_share,
      rows,
      leaveOut: LEFT_OUT | (fit === 'no_tag_rows' ? ROW.span : 0),
      where: `map ${label}`,
    };
    return { train: await mixPairs(train, general, mix, this.env.rng.fork(`mix ${label}`)), validation };
  }

  /** Circumstances of a fit, with its own random stream. */
  context(fit: MapFit, label: string): FitContext {
    const { source, target } = this.pair;
    const { seed, rng, threads, signal, progress } = this.env;
    return {
      fit,
      source: this.#ends[sideOf(fit)],
      target: this.#ends.target,
      sourceTokenizer: tokenizerHash(source.tokenizer),
      targetTokenizer: tokenizerHash(target.tokenizer),
      data: textsHash(this.fitTexts(fit).train),
      seed,
      rng: rng.fork(`fit ${label}.${fit}`),
      threads,
      signal,
      // A map that is learnt by gradient takes minutes where the vocabulary is large. Sums over rows take seconds, and have no end to tell.
      onProgress: (event) => {
        if (event.total !== undefined)
          progress({ ...event, stage: 'maps', message: `fitting ${label}.${fit}` });
      },
    };
  }

  #rows(side: Exclude<RowSide, 'target'>, set: RowSet, into?: PairCounts): Promise<PairSource> {
    const key = folderOf(side, set);
    const known = this.#read.get(key);
    if (known !== undefined) return known;
    const { source, target } = this.pair;
    const tokenizers = { source: source.tokenizer, target: target.tokenizer };
    const texts = textsOf(set, this.texts, tokenizers, this.env.rng);
    const reading = this.#reader.read({ set, texts, side, into });
    this.#read.set(key, reading);
    return reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
  }
}
