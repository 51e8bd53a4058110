/** @file Keys and values of plain prompts, so that a prompt with a text in it is run only from where it parts from the plain one. */
import { KvCache, type LanguageModel } from '../../models/index.ts';

/** Bytes of keys and values that are held; more prompts than fit are run whole every time. */
const HELD_BYTES = 2 ** 30;

/** Rows that go on from shared prefixes: `cache` holds `held[b]` tokens of row b. Release the cache after use. */
export interface Continued {
  readonly cache: KvCache;
  readonly held: readonly number[];
}

/** The plain prompts of one model, in order. */
export class SharedPrefixes {
  readonly #prompts: readonly (readonly number[])[];
  readonly #cache: KvCache;

  private constructor(prompts: readonly (readonly number[])[], cache: KvCache) {
    this.#prompts = prompts;
    this.#cache = cache;
  }

  /** Run every prompt once; undefined where their keys and values would take more than 1 GiB. */
  static async of(
    { config, decoder }: LanguageModel,
    prompts: readonly (readonly number[])[],
    { batch, signal }: { readonly batch: number; readonly signal?: AbortSignal | undefined },
  ): Promise<SharedPrefixes | undefined> {
    const longest = Math.max(...prompts.map((ids) => ids.length));
    const bytes = prompts.length * longest * config.blocks.length * 2 * config.nKvHeads * config.headDim * 4;
    if (bytes > HELD_BYTES) return undefined;
    const cache = new KvCache(config, prompts.length, longest);
    const order = prompts.map((_, i) => i).sort((a, b) => prompts[a].length - prompts[b].length || a - b);
    for (let at = 0; at < order.length; at += batch) {
      const rows = order.slice(at, at + batch);
      const part = cache.select(rows);
      const ids = rows.map((i) => prompts[i]);
      await decoder.run(decoder.embed(ids, { cache: part }), { cache: part, signal });
      cache.put(part, rows);
      part.release();
    }
    return new SharedPrefixes(prompts, cache);
  }

  /** A cache for `ids`, one list per prompt of `rows`, that holds what each begins with as the plain prompt does, short of its last token. */
  continue(rows: readonly number[], ids: readonly (readonly number[])[]): Continued {
    const held = ids.map((own, b) => commonLength(own, this.#prompts[rows[b]], own.length - 1));
    const cache = this.#cache.select(rows);
    cache.rewind(held);
    return { cache, held };
  }
}

/** Tokens with which both begin, at most `most`. */
function commonLength(a: readonly number[], b: readonly number[], most: number): number {
  const end = Math.min(most, b.length);
  let n = 0;
  while (n < end && a[n] === b[n]) n++;
  return n;
}
