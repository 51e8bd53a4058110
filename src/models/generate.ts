/** @file Token-by-token generation over a batch: prefill once, then one column at a time; rows leave the batch when they end. */
import { CrosspatchError, InputError, Rng, throwIfAborted } from '../base/index.ts';
import { type Tensor, zeros } from '../engine/index.ts';
import type { ModelConfig } from './config.ts';
import { KvCache, withoutRows } from './decoder/cache.ts';
import type { Decoder } from './decoder/decoder.ts';
import type { Residual } from './decoder/pass.ts';
import type { HookTable } from './hooks.ts';
import { argmaxWithGap, checkSampling, logSumExp, Sampler, type SamplingOptions } from './sampling.ts';

/** New tokens when nobody says how many. */
const DEFAULT_NEW_TOKENS = 64;

/** Options of {@link decodeSteps}. */
export interface DecodeOptions extends SamplingOptions {
  /** Defaults to 64. */
  readonly maxNewTokens?: number;
  /** A row ends after one of these; the token is not part of its completion. */
  readonly stopTokens?: readonly number[];
  /** Seed of the draws when `temperature` > 0; every row has its own stream. Defaults to 0. */
  readonly seed?: number;
  /** A seed per prompt of the caller's list instead: each row draws as it would alone in a call with that seed. */
  readonly seeds?: readonly number[];
  readonly hooks?: HookTable;
  readonly signal?: AbortSignal;
  /** Compute log-probabilities (a pass over the vocabulary a token). Defaults to false. */
  readonly logprobs?: boolean;
  /** Rows the consumer has seen enough of (a stop string, say); looked at after every yield. */
  readonly ended?: ReadonlySet<number>;
  /** Index of every prompt in the caller's list, for hooks and random streams. Defaults to 0…B−1. */
  readonly rows?: readonly number[];
}

/** One token of one row. */
interface Step {
  /** Index of the row in this call's prompts. */
  readonly row: number;
  readonly id: number;
  /** Natural-log probability of the token at temperature 1; only with `logprobs`. */
  readonly logprob?: number;
  /** Distance between the two best logits: below ~1e-4 the choice is within float32 noise. */
  readonly gap: number;
  /** `stop` for a stop token (which is not part of the completion), `length` at the limit. */
  readonly finish?: 'stop' | 'length';
}

/**
 * Refuse prompts and settings that generation would fail on, before any work. `rows` are the prompts' indices in messages.
 *
 * @throws InputError
 */
export function checkDecode(
  config: ModelConfig,
  prompts: readonly (readonly number[])[],
  options: DecodeOptions,
): void {
  const { maxNewTokens = DEFAULT_NEW_TOKENS, seed = 0, seeds = [], rows } = options;
  checkSampling(options);
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1)
    throw new InputError(`max new tokens: wanted an integer ≥ 1, got ${maxNewTokens}`, {
      id: 'option-invalid',
    });
  for (const one of [seed, ...seeds])
    if (!Number.isInteger(one))
      throw new InputError(`seed: wanted an integer, got ${one}`, { id: 'option-invalid' });
  prompts.forEach(({ length }, b) => {
    const where = `generate: prompt ${rows?.[b] ?? b}`;
    if (length === 0) throw new InputError(`${where} has no tokens`, { id: 'prompt-invalid' });
    if (length + maxNewTokens > config.contextLength)
      throw new InputError(
        `${where}: ${length} tokens + ${maxNewTokens} new ones exceed the model's context of ${config.contextLength}; shorten it or ask for fewer`,
        { id: 'prompt-invalid' },
      );
  });
}

/** Generate for all prompts at once; yields every token of every live row, a column at a time. */
export async function* decodeSteps(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  options: DecodeOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const { maxNewTokens = DEFAULT_NEW_TOKENS, hooks, signal, ended } = options;
  checkDecode(decoder.config, prompts, options);
  if (prompts.length === 0) return;
  const stops = new Set(options.stopTokens ?? []);
  const sampler = new Sampler(options);
  // Then the logits need not leave the runtime.
  const choiceOnly = sampler.greedy && !options.logprobs;
  const base = new Rng(options.seed ?? 0);
  const names = options.rows ?? prompts.map((_, b) => b);
  const draws = names.map((name) => {
    const alone = options.seeds?.[name];
    return alone === undefined ? base.fork(`row ${name}`) : new Rng(alone).fork('row 0');
  });

  const cache = new KvCache(decoder.config, prompts.length, Math.max(...prompts.map((p) => p.length)) + 1);
  const buffers = new StepBuffers(decoder.config, prompts.length);
  /** Row of the call in each row of the batch. */
  let alive = prompts.map((_, b) => b);
  let ids: readonly (readonly number[])[] = prompts;
  for (let n = 1; ; n++) {
    throwIfAborted(signal, 'generate');
    const context = {
      cache,
      rows: alive.map((b) => names[b] as number),
      phase: n === 1 ? ('prompt' as const) : ('generation' as const),
      hooks,
      signal,
    };
    const step = n === 1 ? undefined : buffers;
    const embedded = decoder.embed(ids, {
      ...context,
      into: step?.embedded,
    });
    const residual = await decoder.run(embedded, {
      ...context,
      into: step?.residual,
    });
    const normalized = lastNormalized(decoder, residual, context, buffers);
    const { data } = await (choiceOnly
      ? decoder.best(normalized, buffers.best)
      : decoder.logits(normalized, buffers.logits));

    const vocab = decoder.config.vocabSize;
    const chosen: (number | undefined)[] = [];
    for (let i = 0; i < alive.length; i++) {
      const row = alive[i] as number;
      const scores = data.subarray(i * vocab, (i + 1) * vocab);
      // The rows after the last token are padding of the embedding.
      const tokens = scores.subarray(0, decoder.tokens);
      const best = choiceOnly ? choiceOf(data, i) : argmaxWithGap(tokens);
      if (Number.isNaN(best.gap))
        throw new CrosspatchError(
          `generate: row ${names[row]}: no logit is a number at new token ${n}; a hook or the weights hold NaN or infinity`,
          { id: 'not-a-number' },
        );
      const id = sampler.greedy ? best.index : sampler.draw(tokens, draws[row] as Rng);
      const finish = stops.has(id) ? 'stop' : n === maxNewTokens ? 'length' : undefined;
      yield {
        row,
        id,
        gap: best.gap,
        logprob: options.logprobs ? (scores[id] as number) - logSumExp(scores) : undefined,
        finish,
      };
      chosen.push(finish === undefined && !ended?.has(row) ? id : undefined);
    }
    // Rows that have ended leave; the last ones take their places.
    const kept = withoutRows(alive.length, (i) => chosen[i] !== undefined);
    if (kept.length === 0) return;
    if (kept.length < alive.length) {
      cache.keep(kept);
      buffers.shrink(kept.length);
      alive = kept.map((i) => alive[i] as number);
    }
    ids = kept.map((i) => [chosen[i] as number]);
  }
}

/** What a decode step writes, kept from step to step; rows that leave make it shorter. B rows, D model width, V vocabulary. */
class StepBuffers {
  readonly #d: number;
  readonly #v: number;
  /** [B,1,D] */
  embedded: Tensor<'f32'>;
  /** [B,1,D] */
  residual: Tensor<'f32'>;
  /** [B,D] */
  rows: Tensor<'f32'>;
  /** [B,D] */
  normalized: Tensor<'f32'>;
  /** [B,3] */
  best: Tensor<'f32'>;
  /** [B,V], once they are wanted. */
  #logits: Tensor<'f32'> | undefined;

  constructor({ dModel, vocabSize }: ModelConfig, batch: number) {
    this.#d = dModel;
    this.#v = vocabSize;
    this.embedded = zeros('f32', [batch, 1, dModel]);
    this.residual = zeros('f32', [batch, 1, dModel]);
    this.rows = zeros('f32', [batch, dModel]);
    this.normalized = zeros('f32', [batch, dModel]);
    this.best = zeros('f32', [batch, 3]);
  }

  get logits(): Tensor<'f32'> {
    return (this.#logits ??= zeros('f32', [this.best.shape[0] as number, this.#v]));
  }

  shrink(batch: number): void {
    const front = ({ data }: Tensor<'f32'>, ...shape: number[]): Tensor<'f32'> => ({
      dtype: 'f32',
      shape: [batch, ...shape],
      data: data.subarray(0, batch * (shape.at(-1) as number)),
    });
    this.embedded = front(this.embedded, 1, this.#d);
    this.residual = front(this.residual, 1, this.#d);
    this.rows = front(this.rows, this.#d);
    this.normalized = front(this.normalized, this.#d);
    this.best = front(this.best, 3);
    this.#logits &&= front(this.#logits, this.#v);
  }
}

/** What {@link Decoder.best} says of row `i`: the token of the largest logit and its distance to the second. */
export function choiceOf(best: Float32Array, i: number): { index: number; gap: number } {
  const at = 3 * i;
  return { index: best[at + 2] as number, gap: (best[at] as number) - (best[at + 1] as number) };
}

/** Hooks, and who the rows of a batch are for them. */
interface RowContext {
  readonly hooks?: HookTable | undefined;
  readonly rows: readonly number[];
  readonly phase: 'prompt' | 'generation';
  /** The cache the rows were run with; says where they stand. */
  readonly cache?: KvCache;
}

/** Logits [B,V] after the last real column of every row. Fires `ln_final.hook_normalized` on those rows, shape [B,1,D]. */
export function nextLogits(
  decoder: Decoder,
  residual: Residual,
  context: RowContext,
): Promise<Tensor<'f32'>> {
  return decoder.logits(lastNormalized(decoder, residual, context));
}

/** Normalised rows [B,D] of the last real columns, hooks fired; `buffers`, if given, hold them until the next call. */
export function lastNormalized(
  decoder: Decoder,
  residual: Residual,
  context: RowContext,
  buffers?: { readonly rows: Tensor<'f32'>; readonly normalized: Tensor<'f32'> },
): Tensor<'f32'> {
  const d = decoder.config.dModel;
  const batch = residual.counts.length;
  const columns = residual.tensor.shape[1] as number;
  const rows = buffers?.rows ?? zeros('f32', [batch, d]);
  residual.counts.forEach((n, b) => {
    if (n === 0)
      throw new InputError(`generate: prompt ${context.rows[b]} has no tokens`, { id: 'prompt-invalid' });
    const from = (b * columns + n - 1) * d;
    rows.data.set(residual.tensor.data.subarray(from, from + d), b * d);
  });
  const normalized = decoder.normalise(rows, buffers?.normalized);
  const { hooks, rows: names, phase, cache } = context;
  if (hooks !== undefined) {
    const starts = residual.counts.map((n, b) => (cache?.lengths[b] ?? n) - 1);
    const column = { ...normalized, shape: [batch, 1, d] };
    hooks.fire({ site: 'normalized', layer: -1 }, column, {
      rows: names,
      phase,
      starts,
      counts: starts.map(() => 1),
    });
  }
  return normalized;
}
