/** @file Two models, their blocks and the texts both read: rows for fits, read when a fit first asks for them. */
import {
  LEFT_OUT,
  mixPairs,
  noCounts,
  type PairCounts,
  type PairedText,
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
import { RowReader, type RowStorage, type RowsFrom } from './rows.ts';
import { type FitTexts, type MapTexts, shuffleTags } from './texts.ts';

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

/** See the file's head. Few rows are held in memory, many lie in safetensors shards and are streamed at every pass. */
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
    this.#reader = new RowReader({ pair, ends, reading, env, storage });
  }

  static async open(options: MapWorkOptions): Promise<MapWork> {
    return new MapWork(options, await mapEnds(options.pair));
  }

  /** The model a fit reads activations from. */
  sourceOf(fit: MapFit): LanguageModel {
    return this.#from(fit).model;
  }

  #from(fit: MapFit): RowsFrom {
    const { source, clean } = this.pair;
    if (fit === 'clean_a') return { model: clean, end: this.#ends.clean };
    return { model: source, end: fit === 'embedding_a' ? this.#ends.embedding : this.#ends.source };
  }

  /** The texts a fit is made on. */
  fitTexts(fit: MapFit): FitTexts {
    return fit === 'general' ? this.texts.general : this.texts.split;
  }

  /** Rows of a fit; with `shuffled` those of that control beside them. */
  async data(fit: MapFit, shuffled = false): Promise<FitData> {
    const { split, general } = this.texts;
    const from = this.#from(fit);
    if (fit === 'general') {
      if (general.train.length === 0 || general.validation.length === 0)
        throw new InputError(
          'maps: the fit `general` needs text to fit and to choose on, beyond capture.out_of_domain; give more',
          { id: 'fit-impossible' },
        );
      return {
        train: await this.#rows('general', () => general.train, from),
        validation: await this.#rows('general validation', () => general.validation, from),
      };
    }
    if (fit === 'clean_a' || fit === 'embedding_a') {
      const label = fit === 'clean_a' ? 'clean A' : 'embeddings of A';
      return {
        train: await this.#rows(label, () => split.train, from),
        validation: await this.#rows(`${label} validation`, () => split.validation, from),
      };
    }
    return {
      train: await this.#rows('tagged', () => split.train, from, this.counts),
      validation: await this.#rows('validation', () => split.validation, from),
      shuffled: shuffled
        ? {
            train: await this.#rows('shuffled tags', () => this.#shuffled(split.train, 'train'), from),
            validation: await this.#rows(
              'shuffled tags validation',
              () => this.#shuffled(split.validation, 'validation'),
              from,
            ),
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
      source: this.#from(fit).end,
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

  #shuffled(texts: readonly PairedText[], name: string): PairedText[] {
    const { behaviour, rows } = this.texts;
    if (behaviour === undefined)
      throw new InputError('maps: the control `shuffled` needs tagged rows; give a data set', {
        id: 'fit-impossible',
      });
    const { source, target } = this.pair;
    const tokenizers = { source: source.tokenizer, target: target.tokenizer };
    return shuffleTags(texts, { rows, behaviour }, tokenizers, this.env.rng.fork(`shuffle ${name}`));
  }

  #rows(
    label: string,
    texts: () => readonly PairedText[],
    from: RowsFrom,
    into?: PairCounts,
  ): Promise<PairSource> {
    const known = this.#read.get(label);
    if (known !== undefined) return known;
    const reading = this.#reader.read({ label, texts: texts(), from, into });
    this.#read.set(label, reading);
    return reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader[Symbol.asyncDispose]();
  }
}
