/**
 * @file The rows of some texts. Each side is captured to disk, once for all fits that read the same texts there; from there rows are held in memory
 * where they fit, else streamed at every pass. A sample is drawn as the models run, without the disk.
 */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
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
import type { MapReading } from './pair.ts';
import { folderOf, type RowSet, type RowSide } from './row-sets.ts';

/** Where a {@link RowReader} may keep rows. */
export interface RowStorage {
  /** Existing folder for rows; what is written there goes when the work is disposed of. */
  readonly scratch: string;
  /** Folders of {@link captureSide} that hold what a side has read already. */
  readonly captured?: Readonly<Partial<Record<RowSide, string>>>;
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
  readonly set: RowSet;
  readonly texts: readonly PairedText[];
  readonly side: Exclude<RowSide, 'target'>;
  /** Where the pairs are counted, once. */
  readonly into?: PairCounts | undefined;
}

/** What a {@link RowReader} works with. */
interface RowReaderOptions {
  readonly sides: Readonly<Record<RowSide, RowsFrom>>;
  readonly reading: MapReading;
  readonly env: ExperimentEnv;
  readonly storage: RowStorage;
}

/** What a {@link captureSide} reads. */
interface SideCapture {
  readonly side: RowSide;
  readonly set: RowSet;
  readonly texts: readonly PairedText[];
  readonly from: RowsFrom;
}

/** Read the texts of a set on one side into the set's folder within `folder`; what lies there already is not read again. Returns that folder. */
export async function captureSide(
  folder: string,
  { side, set, texts, from: { model, end } }: SideCapture,
  { batch, shard_rows }: Pick<MapReading, 'batch' | 'shard_rows'>,
  { progress, signal }: Pick<ExperimentEnv, 'progress' | 'signal'>,
): Promise<string> {
  const into = join(folder, folderOf(side, set));
  const message = `reading ${texts.length} texts (${nameOf(side, set)})`;
  progress({ stage: 'maps', done: 0, total: texts.length, unit: 'texts', message });
  await writeCapture(
    into,
    model.decoder,
    texts.map((t) => ({ id: t.id, ids: side === 'target' ? t.target : t.source })),
    {
      ...{ batch, signal, onProgress: progress, stage: `read ${nameOf(side, set)}` },
      hooks: [end.hook],
      shardRows: shard_rows,
      model: end.name,
      modelHash: end.model,
      tokenizerHash: tokenizerHash(model.tokenizer),
    },
  );
  return into;
}

/** As messages and random streams call the rows of a set on a side. */
function nameOf(side: RowSide, { kind, part }: RowSet): string {
  const names: Record<string, string> = {
    'source tagged': part === 'train' ? 'tagged' : '',
    'source shuffled': 'shuffled tags',
    'source general': 'general',
    'clean tagged': 'clean A',
    'embedding tagged': 'embeddings of A',
    'target tagged': 'target',
    'target general': 'general, target',
  };
  const name = names[`${side} ${kind}`] ?? `${kind}, ${side}`;
  return [name, part === 'validation' ? 'validation' : ''].filter((word) => word !== '').join(' ');
}

/** See the file's head; what it keeps on disk goes when it is disposed of. */
export class RowReader implements Owned {
  readonly #options: RowReaderOptions;
  readonly #done = new Map<string, Promise<string>>();
  #scratch: Promise<string> | undefined;

  constructor(options: RowReaderOptions) {
    this.#options = options;
  }

  /** Rows in memory where they fit there, else from shards. */
  async read({ set, texts, side, into }: RowsWanted): Promise<PairSource> {
    const { sides, reading, storage } = this.#options;
    const { rows, sink_ratio: sinkRatio } = reading;
    const [dx, dy] = [sides[side].end.width, sides.target.end.width];
    const expected = texts.reduce((n, t) => n + t.target.length, 0);
    const sampled = rows !== undefined && rows < expected;
    const bytes = storage.memoryBytes ?? (sampled ? SAMPLE_BYTES : MEMORY_BYTES);
    const most = Math.floor(bytes / (4 * (dx + dy)));
    if (sampled && rows > most)
      throw new InputError(
        `maps: a sample of ${rows} token rows of width ${dx} + ${dy} does not fit in memory (${most} rows do); ask for fewer (capture.rows, --rows), or for all, which are kept on disk`,
        { id: 'fit-impossible' },
      );
    if (sampled || texts.length === 0) return this.#sample({ set, texts, side, into }, rows);
    const captured = async (of: RowSide): Promise<{ readonly folder: string }> => ({
      folder: await this.#captured({ side: of, set, texts, from: sides[of] }),
    });
    const [source, target] = [await captured(side), await captured('target')];
    const stored = (counts?: PairCounts): Promise<PairSource> =>
      storedPairs(texts, source, target, { sinkRatio, counts });
    if (expected <= most) return pairTable(dx, dy, [await collectPairs(await stored(into))]);
    if (into !== undefined) {
      // Counted once, here: a fit by steps may leave its last pass half way, and each pass would count again.
      const counted = await stored(into);
      for await (const _ of counted.rows());
    }
    return stored();
  }

  /** Where a side's activations lie: those of a stage before this one, else captured here. */
  async #captured(capture: SideCapture): Promise<string> {
    const { reading, env, storage } = this.#options;
    const before = storage.captured?.[capture.side];
    if (before !== undefined) {
      const folder = join(before, folderOf(capture.side, capture.set));
      if ((await stat(folder).catch(() => undefined))?.isDirectory()) return folder;
    }
    this.#scratch ??= mkdtemp(join(storage.scratch, '.rows-'));
    const scratch = await this.#scratch;
    const name = folderOf(capture.side, capture.set);
    const done = this.#done.get(name) ?? captureSide(scratch, capture, reading, env);
    this.#done.set(name, done);
    return done;
  }

  async #sample({ set, texts, side, into }: RowsWanted, rows?: number): Promise<PairSource> {
    const { sides, reading, env } = this.#options;
    const name = nameOf(side, set);
    const { progress, rng, signal } = env;
    const message = `reading ${texts.length} texts (${name})`;
    progress({ stage: 'maps', done: 0, total: texts.length, unit: 'texts', message });
    const live = ({ model, end }: RowsFrom) => ({ decoder: model.decoder, hook: end.hook });
    const pairs = livePairs(texts, live(sides[side]), live(sides.target), {
      ...{ batch: reading.batch, signal, onProgress: progress, stage: `read ${name}` },
      ...{ sinkRatio: reading.sink_ratio, counts: into },
    });
    const kept = await collectPairs(pairs, { maxRows: rows, rng: rng.fork(`rows ${name}`) });
    return pairTable(pairs.dx, pairs.dy, [kept]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const folder = await this.#scratch?.catch(() => undefined);
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  }
}
