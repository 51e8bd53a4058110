/** @file The rows of some texts: held in memory, drawn as a sample, or captured to disk and streamed at every pass. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type CaptureOptions,
  collectPairs,
  livePairs,
  type PairCounts,
  type PairedText,
  type PairSource,
  pairTable,
  storedPairs,
  tokenizerHash,
  writeCapture,
} from '../../activations/index.ts';
import { InputError, type Owned } from '../../base/index.ts';
import type { MapEnd } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';
import type { MapEnds, MapPair, MapReading } from './pair.ts';

/** Where a {@link RowReader} may keep rows. */
export interface RowStorage {
  /** Existing folder for rows that do not fit in memory; what is written there goes when the work is disposed of. */
  readonly scratch: string;
  /** Bytes of activations of one kind of rows that are held in memory. Defaults to 256 MiB, for a sample to 3 GiB. */
  readonly memoryBytes?: number;
}

const MEMORY_BYTES = 2 ** 28;

/** Bytes of a random sample of rows (`rows`), which is drawn in memory; a larger one is refused rather than swapped. */
const SAMPLE_BYTES = 3 * 2 ** 30;

/** A model, and what it is to the map. */
export interface RowsFrom {
  readonly model: LanguageModel;
  readonly end: MapEnd;
}

/** Rows wanted of some texts. */
interface RowsWanted {
  /** In messages, and the name of their folder on disk. */
  readonly label: string;
  readonly texts: readonly PairedText[];
  /** The source, its clean original, or its embeddings. */
  readonly from: RowsFrom;
  /** Where the pairs are counted, once. */
  readonly into?: PairCounts | undefined;
}

/** What a {@link RowReader} works with. */
interface RowReaderOptions {
  readonly pair: MapPair;
  readonly ends: MapEnds;
  readonly reading: MapReading;
  readonly env: ExperimentEnv;
  readonly storage: RowStorage;
}

/** See the file's head; what it keeps on disk goes when it is disposed of. */
export class RowReader implements Owned {
  readonly #options: RowReaderOptions;
  #folder: Promise<string> | undefined;

  constructor(options: RowReaderOptions) {
    this.#options = options;
  }

  /** Rows in memory where they fit there, else from shards. */
  async read({ label, texts, from, into }: RowsWanted): Promise<PairSource> {
    const { pair, ends, reading, env, storage } = this.#options;
    const { target } = pair;
    const { rows, sink_ratio, batch } = reading;
    const { progress, rng, signal } = env;
    const [dx, dy] = [from.end.width, target.config.dModel];
    const expected = texts.reduce((n, t) => n + t.target.length, 0);
    const sampled = rows !== undefined && rows < expected;
    const bytes = storage.memoryBytes ?? (sampled ? SAMPLE_BYTES : MEMORY_BYTES);
    const most = Math.floor(bytes / (4 * (dx + dy)));
    if (sampled && rows > most)
      throw new InputError(
        `maps: a sample of ${rows} token rows of width ${dx} + ${dy} does not fit in memory (${most} rows do); ask for fewer (capture.rows, --rows), or for all, which are kept on disk`,
        { id: 'fit-impossible' },
      );
    const message = `reading ${texts.length} texts (${label})`;
    progress({ stage: 'maps', done: 0, total: texts.length, unit: 'texts', message });
    const options = { batch, signal, onProgress: progress, stage: `read ${label}` };
    if (!sampled && expected > most) return this.#onDisk({ label, texts, from, into }, options);
    const live = livePairs(
      texts,
      { decoder: from.model.decoder, hook: from.end.hook },
      { decoder: target.decoder, hook: ends.target.hook },
      { ...options, sinkRatio: sink_ratio, counts: into },
    );
    const kept = sampled ? { maxRows: rows, rng: rng.fork(`rows ${label}`) } : {};
    return pairTable(dx, dy, [await collectPairs(live, kept)]);
  }

  /** Both sides captured into shards, read from there at every pass. */
  async #onDisk(
    { label, texts, from, into }: RowsWanted,
    options: Omit<CaptureOptions, 'hooks'>,
  ): Promise<PairSource> {
    const { pair, ends, reading, storage } = this.#options;
    const { target } = pair;
    this.#folder ??= mkdtemp(join(storage.scratch, '.rows-'));
    const folder = join(await this.#folder, label.replace(/\W+/g, '-'));
    const sides = {
      source: from,
      target: { model: target, end: ends.target },
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
          shardRows: reading.shard_rows,
          model: end.name,
          modelHash: end.model,
          tokenizerHash: tokenizerHash(model.tokenizer),
        },
      );
    const stored = (counts?: PairCounts): Promise<PairSource> =>
      storedPairs(
        texts,
        { folder: join(folder, 'source') },
        { folder: join(folder, 'target') },
        { sinkRatio: reading.sink_ratio, counts },
      );
    if (into !== undefined) {
      // Counted once, here: a fit by steps may leave its last pass half way, and each pass would count again.
      const counted = await stored(into);
      for await (const _ of counted.rows());
    }
    return stored();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const folder = await this.#folder?.catch(() => undefined);
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}
