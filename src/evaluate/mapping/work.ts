/** @file Two models, their blocks and the texts both read: rows for fits, read when a fit first asks for them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CaptureOptions,
  collectPairs,
  livePairs,
  noCounts,
  type PairCounts,
  type PairedText,
  type PairSource,
  pairTable,
  type SourceOptions,
  type SplitShares,
  splitByPrompt,
  storedPairs,
  textsHash,
  tokenizerHash,
  writeCapture,
} from '../../activations/index.ts';
import { InputError, type Owned, type Rng } from '../../base/index.ts';
import type { BackdoorRow } from '../../behaviours/index.ts';
import type { BehaviourParams, MapFit } from '../../contracts/index.ts';
import type { FitContext, FitData, MapEnd } from '../../maps/index.ts';
import type { LanguageModel, Tokenizer } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';
import { type FitTexts, generalText, shuffleTags, tagText } from './texts.ts';

/** The models of a map and where it reads and writes. */
export interface MapPair {
  readonly source: LanguageModel;
  readonly target: LanguageModel;
  /** The source before its fine-tune, for fits `clean_a`. */
  readonly clean: LanguageModel;
  readonly source_block: number;
  readonly target_block: number;
}

/** Texts of fits and figures. */
export interface MapTexts {
  /** Of the rows, where there are any. */
  readonly behaviour?: BehaviourParams | undefined;
  readonly rows: readonly BackdoorRow[];
  /** The rows as texts, split by prompt. */
  readonly split: FitTexts;
  /** Text of no backdoor data, for fits `general`. */
  readonly general: FitTexts;
  readonly outOfDomain: readonly PairedText[];
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

/** Where a {@link MapWork} may keep rows. */
export interface RowStorage {
  /** Existing folder for rows that do not fit in memory; what is written there goes when the work is disposed of. */
  readonly scratch: string;
  /** Bytes of activations of one kind of rows that are held in memory. Defaults to 256 MiB, for a sample to 3 GiB. */
  readonly memoryBytes?: number;
}

const MEMORY_BYTES = 2 ** 28;

/** Bytes of a random sample of rows (`rows`), which is drawn in memory; a larger one is refused rather than swapped. */
const SAMPLE_BYTES = 3 * 2 ** 30;

/** Shares of general text in recipes, whose figures are taken on tagged text. */
const GENERAL_SPLITS: SplitShares = { train: 0.9, validation: 0.1, test: 0 };

/** Tokenise and split. The first `out_of_domain` of the `general` texts are kept for figures. */
export function mapTexts(
  given: {
    readonly behaviour?: BehaviourParams | undefined;
    readonly rows: readonly BackdoorRow[];
    readonly general: readonly string[];
  },
  p: {
    readonly after: number;
    readonly splits: SplitShares;
    readonly general_splits?: SplitShares;
    readonly out_of_domain: number;
  },
  { source, target }: { readonly source: Tokenizer; readonly target: Tokenizer },
  rng: Rng,
): MapTexts {
  const { behaviour, rows } = given;
  const tagged = rows.map((row) =>
    tagText(row, source, target, { template: 'raw', ...behaviour, after: p.after }),
  );
  const general = given.general.map((text, i) => generalText(text, i, source, target));
  return {
    behaviour,
    rows,
    split: splitByPrompt(tagged, p.splits, rng.fork('split')),
    general: splitByPrompt(
      general.slice(p.out_of_domain),
      p.general_splits ?? GENERAL_SPLITS,
      rng.fork('general'),
    ),
    outOfDomain: general.slice(0, p.out_of_domain),
  };
}

/** What a model is to a map. */
export async function mapEnd(model: LanguageModel, block: number): Promise<MapEnd> {
  return {
    model: await model.checkpoint.contentHash(),
    name: model.checkpoint.path.split('/').at(-1) as string,
    block,
    hook: `blocks.${block}.hook_resid_post`,
    width: model.config.dModel,
  };
}

/** See the file's head. Few rows are held in memory, many lie in safetensors shards and are streamed at every pass. */
export class MapWork implements Owned {
  readonly pair: MapPair;
  readonly texts: MapTexts;
  readonly reading: MapReading;
  readonly env: ExperimentEnv;
  /** How the tokens of the tagged training texts pair; filled when they are read. */
  readonly counts: PairCounts = noCounts();
  readonly #ends: Readonly<Record<'source' | 'clean' | 'target', MapEnd>>;
  readonly #storage: RowStorage;
  readonly #read = new Map<string, Promise<PairSource>>();
  #folder: Promise<string> | undefined;

  private constructor(
    pair: MapPair,
    texts: MapTexts,
    reading: MapReading,
    env: ExperimentEnv,
    storage: RowStorage,
    ends: Readonly<Record<'source' | 'clean' | 'target', MapEnd>>,
  ) {
    this.pair = pair;
    this.texts = texts;
    this.reading = reading;
    this.env = env;
    this.#storage = storage;
    this.#ends = ends;
  }

  static async open(
    pair: MapPair,
    texts: MapTexts,
    reading: MapReading,
    env: ExperimentEnv,
    storage: RowStorage,
  ): Promise<MapWork> {
    const ends = {
      source: await mapEnd(pair.source, pair.source_block),
      clean: await mapEnd(pair.clean, pair.source_block),
      target: await mapEnd(pair.target, pair.target_block),
    };
    return new MapWork(pair, texts, reading, env, storage, ends);
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
    const { source, clean } = this.pair;
    const { split, general } = this.texts;
    if (fit === 'general') {
      if (general.train.length === 0 || general.validation.length === 0)
        throw new InputError(
          'maps: the fit `general` needs text to fit and to choose on, beyond capture.out_of_domain; give more',
          { id: 'fit-impossible' },
        );
      return {
        train: await this.#rows('general', () => general.train, source),
        validation: await this.#rows('general validation', () => general.validation, source),
      };
    }
    if (fit === 'clean_a')
      return {
        train: await this.#rows('clean A', () => split.train, clean),
        validation: await this.#rows('clean A validation', () => split.validation, clean),
      };
    return {
      train: await this.#rows('tagged', () => split.train, source, this.counts),
      validation: await this.#rows('validation', () => split.validation, source),
      shuffled: shuffled
        ? {
            train: await this.#rows('shuffled tags', () => this.#shuffled(split.train, 'train'), source),
            validation: await this.#rows(
              'shuffled tags validation',
              () => this.#shuffled(split.validation, 'validation'),
              source,
            ),
          }
        : undefined,
    };
  }

  /** Circumstances of a fit, with its own random stream. */
  context(fit: MapFit, label: string): FitContext {
    const { source, target } = this.pair;
    const { seed, rng, threads, signal } = this.env;
    return {
      fit,
      source: fit === 'clean_a' ? this.#ends.clean : this.#ends.source,
      target: this.#ends.target,
      sourceTokenizer: tokenizerHash(source.tokenizer),
      targetTokenizer: tokenizerHash(target.tokenizer),
      data: textsHash(this.fitTexts(fit).train),
      seed,
      rng: rng.fork(`fit ${label}.${fit}`),
      threads,
      signal,
    };
  }

  #shuffled(texts: readonly PairedText[], name: string): PairedText[] {
    const { behaviour, rows } = this.texts;
    if (behaviour === undefined)
      throw new InputError('maps: the control `shuffled` needs tagged rows; give a data set', {
        id: 'fit-impossible',
      });
    const byId = new Map(texts.map((t) => [t.id, t]));
    const { tokenizer } = this.pair.source;
    return shuffleTags(rows, byId, behaviour, tokenizer, this.env.rng.fork(`shuffle ${name}`));
  }

  #rows(
    label: string,
    texts: () => readonly PairedText[],
    from: LanguageModel,
    into?: PairCounts,
  ): Promise<PairSource> {
    const known = this.#read.get(label);
    if (known !== undefined) return known;
    const reading = this.#capture(label, texts(), from, into);
    this.#read.set(label, reading);
    return reading;
  }

  async #capture(
    label: string,
    texts: readonly PairedText[],
    from: LanguageModel,
    into?: PairCounts,
  ): Promise<PairSource> {
    const { target, source_block, target_block } = this.pair;
    const { rows, sink_ratio, batch } = this.reading;
    const { progress, rng, signal } = this.env;
    const [dx, dy] = [from.config.dModel, target.config.dModel];
    const expected = texts.reduce((n, t) => n + t.target.length, 0);
    const sampled = rows !== undefined && rows < expected;
    const bytes = this.#storage.memoryBytes ?? (sampled ? SAMPLE_BYTES : MEMORY_BYTES);
    const most = Math.floor(bytes / (4 * (dx + dy)));
    if (sampled && rows > most)
      throw new InputError(
        `maps: a sample of ${rows} token rows of width ${dx} + ${dy} does not fit in memory (${most} rows do); ask for fewer (capture.rows, --rows), or for all, which are kept on disk`,
        { id: 'fit-impossible' },
      );
    const message = `reading ${texts.length} texts (${label})`;
    progress({ stage: 'maps', done: 0, total: texts.length, unit: 'texts', message });
    const options = { batch, signal, onProgress: progress, stage: `read ${label}` };
    const pairing = { sinkRatio: sink_ratio, counts: into };
    if (!sampled && expected > most) return this.#onDisk(label, texts, from, options, pairing);
    const live = livePairs(
      texts,
      { decoder: from.decoder, hook: `blocks.${source_block}.hook_resid_post` },
      { decoder: target.decoder, hook: `blocks.${target_block}.hook_resid_post` },
      { ...options, ...pairing },
    );
    const kept = sampled ? { maxRows: rows, rng: rng.fork(`rows ${label}`) } : {};
    return pairTable(dx, dy, [await collectPairs(live, kept)]);
  }

  /** Both sides captured into shards, read from there at every pass. */
  async #onDisk(
    label: string,
    texts: readonly PairedText[],
    from: LanguageModel,
    options: Omit<CaptureOptions, 'hooks'>,
    { counts, ...pairing }: SourceOptions,
  ): Promise<PairSource> {
    const { source, target } = this.pair;
    const { shard_rows } = this.reading;
    this.#folder ??= mkdtemp(join(this.#storage.scratch, '.rows-'));
    const folder = join(await this.#folder, label.replace(/\W+/g, '-'));
    const sides = {
      source: { model: from, end: from === source ? this.#ends.source : this.#ends.clean },
      target: { model: target, end: this.#ends.target },
    };
    for (const [side, { model, end }] of Object.entries(sides) as [
      'source' | 'target',
      typeof sides.source,
    ][])
      await writeCapture(
        join(folder, side),
        model.decoder,
        texts.map((t) => ({ id: t.id, ids: t[side] })),
        {
          ...options,
          hooks: [end.hook],
          shardRows: shard_rows,
          model: end.name,
          modelHash: end.model,
          tokenizerHash: tokenizerHash(model.tokenizer),
        },
      );
    const stored = (also: SourceOptions): Promise<PairSource> =>
      storedPairs(
        texts,
        { folder: join(folder, 'source') },
        { folder: join(folder, 'target') },
        { ...pairing, ...also },
      );
    if (counts !== undefined) {
      // Counted once, here: a fit by steps may leave its last pass half way, and each pass would count again.
      const counted = await stored({ counts });
      for await (const _ of counted.rows());
    }
    return stored({});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const folder = await this.#folder?.catch(() => undefined);
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}
