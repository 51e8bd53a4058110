/** @file Token-by-token generation over a batch: prefill once, then one column at a time; rows leave the batch when they end. */
import { InputError, Rng, throwIfAborted } from '../base/index.ts';
import type { Tensor } from '../engine/index.ts';
import { KvCache } from './decoder/cache.ts';
import type { Decoder, Residual } from './decoder/decoder.ts';
import type { HookTable } from './hooks.ts';
import { argmaxWithGap, checkSampling, logSumExp, type SamplingOptions, sampleToken } from './sampling.ts';

/** Options of {@link decodeSteps}. */
export interface DecodeOptions extends SamplingOptions {
  /** Defaults to 64. */
  readonly maxNewTokens?: number;
  /** A row ends after one of these; the token is not part of its completion. */
  readonly stopTokens?: readonly number[];
  /** Seed of the draws when `temperature` > 0; every row has its own stream. Defaults to 0. */
  readonly seed?: number;
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
export interface Step {
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

/** Generate for all prompts at once; yields every token of every live row, a column at a time. */
export async function* decodeSteps(
  decoder: Decoder,
  prompts: readonly (readonly number[])[],
  options: DecodeOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const { maxNewTokens = 64, hooks, signal } = options;
  checkSampling(options);
  if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1)
    throw new InputError(`max new tokens: wanted an integer ≥ 1, got ${maxNewTokens}`);
  if (prompts.length === 0) return;
  const longest = Math.max(...prompts.map((p) => p.length));
  if (longest + maxNewTokens > decoder.config.contextLength) {
    throw new InputError(
      `generate: ${longest} prompt tokens + ${maxNewTokens} new ones exceed the model's context of ${decoder.config.contextLength}`,
    );
  }
  const stops = new Set(options.stopTokens ?? []);
  const base = new Rng(options.seed ?? 0);
  const names = options.rows ?? prompts.map((_, b) => b);
  const draws = names.map((name) => base.fork(`row ${name}`));

  const cache = new KvCache(decoder.config, prompts.length, longest + 1);
  let alive = prompts.map((_, b) => b);
  const run = async (
    ids: readonly (readonly number[])[],
    phase: 'prompt' | 'generation',
  ): Promise<Tensor<'f32'>> => {
    const shared = {
      cache,
      rows: alive.map((b) => names[b] as number),
      phase,
      ...(hooks === undefined ? {} : { hooks }),
      ...(signal === undefined ? {} : { signal }),
    };
    return nextLogits(decoder, await decoder.run(decoder.embed(ids, shared), shared), hooks, shared);
  };

  let logits = await run(prompts, 'prompt');
  for (let n = 1; ; n++) {
    throwIfAborted(signal, 'generate');
    const vocab = decoder.config.vocabSize;
    const next: number[][] = [];
    const kept: number[] = [];
    for (let i = 0; i < alive.length; i++) {
      const row = alive[i] as number;
      const scores = logits.data.subarray(i * vocab, (i + 1) * vocab);
      const best = argmaxWithGap(scores);
      const id = options.temperature ? sampleToken(scores, options, draws[row] as Rng) : best.index;
      const finish = stops.has(id) ? 'stop' : n === maxNewTokens ? 'length' : undefined;
      const step = {
        row,
        id,
        gap: best.gap,
        ...(options.logprobs ? { logprob: (scores[id] as number) - logSumExp(scores) } : {}),
      };
      yield finish === undefined ? step : { ...step, finish };
      if (finish === undefined && !options.ended?.has(row)) {
        next.push([id]);
        kept.push(i);
      }
    }
    if (kept.length === 0) return;
    if (kept.length < alive.length) {
      cache.keep(kept);
      alive = kept.map((i) => alive[i] as number);
    }
    logits = await run(next, 'generation');
  }
}

/** Logits [B,V] behind the last real column of every row. Fires `ln_final.hook_normalized` on those rows, shape [B,1,D]. */
export async function nextLogits(
  decoder: Decoder,
  residual: Residual,
  hooks: HookTable | undefined,
  context: {
    readonly rows: readonly number[];
    readonly phase: 'prompt' | 'generation';
    readonly cache?: KvCache;
  },
): Promise<Tensor<'f32'>> {
  const d = decoder.config.dModel;
  const columns = residual.tensor.shape[1] as number;
  const rows = new Float32Array(residual.counts.length * d);
  residual.counts.forEach((n, b) => {
    if (n === 0) throw new InputError(`generate: prompt ${context.rows[b]} has no tokens`);
    const from = (b * columns + n - 1) * d;
    rows.set(residual.tensor.data.subarray(from, from + d), b * d);
  });
  const normalized = await decoder.normalise({
    dtype: 'f32',
    shape: [residual.counts.length, d],
    data: rows,
  });
  if (hooks !== undefined) {
    const starts = (context.cache?.lengths ?? residual.counts).map((n) => n - 1);
    const column = { ...normalized, shape: [residual.counts.length, 1, d] };
    hooks.fire('normalized', -1, column, { ...context, starts, counts: starts.map(() => 1) });
  }
  return decoder.logits(normalized);
}
