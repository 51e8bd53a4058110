/**
 * @file Fidelity with `replace: all` (docs/concepts/method.md#fidelity): each generated token is mapped too. A reads what B says, a token at a time, and
 * B's residual after block M at that token is replaced before it chooses the next. Both must have one tokenizer.
 */
import type { ActivationMap } from '../../maps/index.ts';
import {
  type Decoder,
  decodeSteps,
  type GenerateOptions,
  HookTable,
  hookName,
  KvCache,
  type LanguageModel,
} from '../../models/index.ts';
import { completionText } from '../subject/completions.ts';
import type { ReplacedPrompts } from './arms.ts';

/** What stands at a generated token: A's activation through a map, or always the same row of each prompt [d]. */
export type Follow =
  | { readonly source: LanguageModel; readonly map: ActivationMap }
  | { readonly rows: readonly Float32Array[] };

/** Complete prompts (the same ids for both models), replaced at prefill, and every generated token set to what `follow` gives. */
export async function completeLockstep(
  target: LanguageModel,
  { prompts, block, replacements }: ReplacedPrompts,
  follow: Follow,
  { stopTokens = target.tokenizer.eosIds, maxNewTokens = 24, signal }: GenerateOptions,
): Promise<string[]> {
  const d = target.config.dModel;
  const follower = 'map' in follow ? await Follower.start(follow, prompts, maxNewTokens, signal) : undefined;
  /** Row of each prompt that stands at its last token. */
  const current: Float32Array[] = 'rows' in follow ? follow.rows.slice() : [];
  const hooks = new HookTable(
    [
      [
        hookName({ site: 'resid_post', layer: block }),
        (activation, { phase, rows, counts }) => {
          const columns = activation.shape[1];
          rows.forEach((row, b) => {
            if (phase === 'generation') activation.data.set(current[row], b * columns * d);
            else activation.data.set(replacements[row].subarray(d, counts[b] * d), (b * columns + 1) * d);
          });
        },
      ],
    ],
    target.nLayers,
  );
  const out: number[][] = prompts.map(() => []);
  let alive = prompts.length;
  let column: { row: number; id: number; ended: boolean }[] = [];
  for await (const { row, id, finish } of decodeSteps(target.decoder, prompts, {
    maxNewTokens,
    stopTokens,
    hooks,
    signal,
  })) {
    if (finish !== 'stop') out[row].push(id);
    column.push({ row, id, ended: finish !== undefined });
    if (column.length < alive) continue;
    // The whole column is chosen; the decoder waits. A reads it before B goes on.
    const going = column.filter((step) => !step.ended);
    alive = going.length;
    column = [];
    if (follower === undefined || alive === 0) continue;
    const mapped = await follower.read(going);
    going.forEach(({ row }, b) => {
      current[row] = mapped.subarray(b * d, (b + 1) * d);
    });
  }
  return out.map((ids) => completionText(target.tokenizer, ids));
}

/** A after the prompts, up to the block its map was made for. */
class Follower {
  readonly #decoder: Decoder;
  readonly #map: ActivationMap;
  readonly #cache: KvCache;
  readonly #signal: { readonly signal?: AbortSignal };
  /** Prompt in each row of the cache. */
  #rows: number[];

  static async start(
    { source: { decoder }, map }: Extract<Follow, { map: ActivationMap }>,
    prompts: readonly (readonly number[])[],
    maxNewTokens: number,
    signal: AbortSignal | undefined,
  ): Promise<Follower> {
    const longest = Math.max(...prompts.map((p) => p.length));
    const cache = new KvCache(decoder.config, prompts.length, longest + maxNewTokens);
    const abort = { signal };
    await decoder.run(decoder.embed(prompts), { to: map.source.block + 1, cache, ...abort });
    return new Follower(decoder, map, cache, abort);
  }

  private constructor(
    decoder: Decoder,
    map: ActivationMap,
    cache: KvCache,
    signal: { readonly signal?: AbortSignal },
  ) {
    this.#decoder = decoder;
    this.#map = map;
    this.#cache = cache;
    this.#signal = signal;
    this.#rows = Array.from({ length: cache.batch }, (_, b) => b);
  }

  /** Mapped rows [n,d] at one new token of each prompt given; prompts left out never come again. */
  async read(steps: readonly { readonly row: number; readonly id: number }[]): Promise<Float32Array> {
    const stays = steps.map(({ row }) => this.#rows.indexOf(row));
    this.#cache.keep(stays);
    this.#rows = steps.map(({ row }) => row);
    const { tensor } = await this.#decoder.run(this.#decoder.embed(steps.map(({ id }) => [id])), {
      to: this.#map.source.block + 1,
      cache: this.#cache,
      ...this.#signal,
    });
    return this.#map.apply(tensor.data, steps.length, { tokenIds: steps.map(({ id }) => id) });
  }
}
