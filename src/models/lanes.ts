/**
 * @file Continuous batching: prompts of many callers share decode steps. Each joins when it comes, with hooks of its own, and leaves when it
 * ends; what one row's hooks do, or fail to do, does not affect the others. Answers are those of `LanguageModel.generate` for the prompt
 * alone, but for float32 noise between batch shapes.
 */
import type { Tensor } from '../engine/index.ts';
import { Buffers } from './decoder/buffers.ts';
import { KvCache, withoutRows } from './decoder/cache.ts';
import type { Decoder } from './decoder/decoder.ts';
import type { Residual } from './decoder/pass.ts';
import { checkDecode, choiceOf, lastNormalized } from './generate.ts';
import { Lane, type LaneEvent, type LaneRequest, notANumber, type ScoredToken, scored } from './lane.ts';
import { dispatchHooks } from './lane-hooks.ts';
import { argmaxWithGap } from './sampling.ts';
import type { Tokenizer } from './tokenizer/index.ts';

/** Limits of {@link Lanes}. */
export interface LaneOptions {
  /** Rows decoded side by side. Defaults to 16. */
  readonly rows?: number;
  /** Tokens of a prompt read between two decode steps. Defaults to 512. */
  readonly chunk?: number;
}

/** Tokens, padding included, of prompts that are read together. */
const TOGETHER = 2048;

/** Logits computed at a time where a prompt's own tokens are scored. */
const SCORED_LOGITS = 1 << 22;

/** Prompts that are being read: `lanes[b]` is row b of the cache; a twin reads what another lane reads, without its hooks. */
interface Filling {
  readonly lanes: readonly Lane[];
  readonly twins: readonly Lane[];
  readonly cache: KvCache;
  /** Tokens read so far. */
  at: number;
  readonly scores: Map<Lane, ScoredToken[]>;
}

/** See the file's head. One owner calls {@link step} again and again while {@link busy}. */
export class Lanes {
  readonly #model: { readonly decoder: Decoder; readonly tokenizer: Tokenizer };
  readonly #rows: number;
  readonly #chunk: number;
  readonly #buffers = new Buffers();
  readonly #waiting: Lane[] = [];
  #filling: Filling | undefined;
  #live: readonly Lane[] = [];
  #cache: KvCache | undefined;

  constructor(
    model: { readonly decoder: Decoder; readonly tokenizer: Tokenizer },
    { rows = 16, chunk = 512 }: LaneOptions = {},
  ) {
    this.#model = model;
    this.#rows = rows;
    this.#chunk = chunk;
  }

  /** Whether {@link step} has something to do. */
  get busy(): boolean {
    return this.#waiting.length > 0 || this.#filling !== undefined || this.#live.length > 0;
  }

  /** Requests that decode, and those that wait or are being read. */
  get load(): { readonly live: number; readonly waiting: number } {
    return { live: this.#live.length, waiting: this.#waiting.length + (this.#filling?.lanes.length ?? 0) };
  }

  /**
   * Take a request; what becomes of it is told to `emit`, during later steps. The function returned ends it where it is, silently.
   *
   * @throws InputError for a prompt without tokens, one that does not fit the context, settings out of range
   */
  submit(request: LaneRequest, emit: (event: LaneEvent) => void): () => void {
    const { ids, maxNewTokens, seed = 0, temperature, topK, topP } = request;
    checkDecode(this.#model.decoder.config, [ids], {
      temperature,
      topK,
      topP,
      seed,
      maxNewTokens: Math.max(1, maxNewTokens),
    });
    const lane = new Lane(request, emit, this.#model);
    this.#waiting.push(lane);
    return () => {
      lane.over = true;
    };
  }

  /** Read some of the prompts that wait, then decode one token of every row. */
  async step(): Promise<void> {
    this.#filling ??= this.#admit();
    if (this.#filling !== undefined) await this.#guarded(this.#filling.lanes, () => this.#read());
    this.#leave();
    if (this.#live.length > 0) await this.#guarded(this.#live, () => this.#decode());
    this.#leave();
  }

  /** A failure of a whole pass ends all who were in it; a hook's own failure has ended its row before (`lane-hooks.ts`). */
  async #guarded(lanes: readonly Lane[], pass: () => Promise<void>): Promise<void> {
    try {
      await pass();
    } catch (error) {
      for (const lane of lanes) lane.say({ type: 'error', error });
      this.#filling = undefined;
    }
  }

  #admit(): Filling | undefined {
    while (this.#waiting[0]?.over === true) this.#waiting.shift();
    const room = this.#rows - this.#live.length;
    const lanes: Lane[] = [];
    let longest = 0;
    for (const lane of this.#waiting) {
      if (lanes.length >= room) break;
      const { length } = lane.request.ids;
      const alone = length > this.#chunk;
      const all = (lanes.length + 1) * Math.max(longest, length);
      if (lanes.length > 0 && (alone || longest > this.#chunk || all > TOGETHER)) break;
      longest = Math.max(longest, length);
      lanes.push(lane);
    }
    if (lanes.length === 0) return undefined;
    this.#waiting.splice(0, lanes.length);
    const twins = lanes.filter(({ hooks, request }) => hooks !== undefined && request.onFirst !== undefined);
    const cache = new KvCache(
      this.#model.decoder.config,
      lanes.length + twins.length,
      longest + 1,
      this.#buffers,
    );
    return { lanes, twins, cache, at: 0, scores: new Map() };
  }

  /** Read the next piece of the prompts; after the last, their first token. */
  async #read(): Promise<void> {
    const filling = this.#filling as Filling;
    const { lanes, twins, cache, at } = filling;
    const { decoder } = this.#model;
    const steered = lanes.some(({ hooks }) => hooks !== undefined);
    const longest = Math.max(...lanes.map(({ request }) => request.ids.length));
    const end = steered || longest <= this.#chunk ? longest : Math.min(longest, at + this.#chunk);
    const rows = [...lanes, ...twins];
    const hooks = dispatchHooks(
      rows.map((lane, b) => (b < lanes.length ? lane : undefined)),
      decoder.nLayers,
    );
    const context = { cache, hooks, phase: 'prompt' as const, rows: rows.map((_, b) => b) };
    const ids = rows.map(({ request }) => request.ids.slice(at, end));
    const residual = await decoder.run(decoder.embed(ids, context), context);
    for (const [b, lane] of lanes.entries())
      if (lane.request.scorePrompt) await this.#score(filling, b, residual);
    filling.at = end;
    if (end < longest) return;
    this.#filling = undefined;
    for (const lane of lanes)
      if (lane.request.scorePrompt) lane.say({ type: 'prompt', scores: filling.scores.get(lane) ?? [] });
    const logits = await decoder.logits(lastNormalized(decoder, residual, context));
    const v = decoder.config.vocabSize;
    const row = (b: number): Float32Array => this.#tokensOf(logits, b, v);
    for (const [k, lane] of twins.entries())
      if (lane.failure === undefined) lane.request.onFirst?.(row(lanes.indexOf(lane)), row(lanes.length + k));
    for (const [b, lane] of lanes.entries()) {
      if (lane.request.maxNewTokens === 0) lane.say({ type: 'token', text: '', finish: 'length' });
      else this.#choose(lane, row(b));
    }
    this.#settle(lanes);
    this.#join(lanes, cache);
  }

  /** Those who go on decode from now on. */
  #join(lanes: readonly Lane[], cache: KvCache): void {
    const stay = lanes.flatMap((lane, b) => (lane.over ? [] : [b]));
    if (stay.length === 0) {
      cache.release();
      return;
    }
    cache.keep(stay);
    this.#live = [...this.#live, ...stay.map((b) => lanes[b] as Lane)];
    if (this.#cache === undefined) this.#cache = cache;
    else {
      this.#cache.append(cache);
      cache.release();
    }
  }

  async #decode(): Promise<void> {
    const { decoder } = this.#model;
    const live = this.#live;
    const context = {
      cache: this.#cache as KvCache,
      hooks: dispatchHooks(live, decoder.nLayers),
      phase: 'generation' as const,
      rows: live.map((_, b) => b),
    };
    const ids = live.map(({ last }) => [last]);
    const residual = await decoder.run(decoder.embed(ids, context), context);
    const normalized = lastNormalized(decoder, residual, context);
    if (live.every(({ choiceOnly }) => choiceOnly)) {
      const { data } = await decoder.best(normalized);
      live.forEach((lane, b) => {
        if (lane.failure !== undefined) return;
        const { index, gap } = choiceOf(data, b);
        if (Number.isNaN(gap)) lane.failure = notANumber();
        else lane.take(index, undefined);
      });
    } else {
      const logits = await decoder.logits(normalized);
      live.forEach((lane, b) => {
        this.#choose(lane, this.#tokensOf(logits, b, decoder.config.vocabSize));
      });
    }
    this.#settle(live);
  }

  /** Logits of the tokens there are; the rows after them are padding of the embedding. */
  #tokensOf({ data }: Tensor<'f32'>, b: number, v: number): Float32Array {
    return data.subarray(b * v, b * v + this.#model.decoder.tokens);
  }

  #choose(lane: Lane, logits: Float32Array): void {
    if (lane.failure !== undefined) return;
    const best = argmaxWithGap(logits);
    if (Number.isNaN(best.gap)) {
      lane.failure = notANumber();
      return;
    }
    const id = lane.sampler.greedy ? best.index : lane.sampler.draw(logits, lane.draws);
    const { logprobs } = lane.request;
    lane.take(id, logprobs === undefined ? undefined : scored(logits, id, logprobs));
  }

  /** Say the failures of the pass. */
  #settle(lanes: readonly Lane[]): void {
    for (const lane of lanes)
      if (lane.failure !== undefined) lane.say({ type: 'error', error: lane.failure });
  }

  /** Rows that have ended leave; the last ones take their places. */
  #leave(): void {
    const kept = withoutRows(this.#live.length, (b) => !(this.#live[b] as Lane).over);
    if (kept.length === this.#live.length) return;
    this.#live = kept.map((b) => this.#live[b] as Lane);
    if (kept.length > 0) this.#cache?.keep(kept);
    else {
      this.#cache?.release();
      this.#cache = undefined;
    }
  }

  /** Log-probabilities of the prompt's next tokens, given the piece of it that has just been read. */
  async #score({ lanes, at, scores }: Filling, b: number, residual: Residual): Promise<void> {
    const { decoder } = this.#model;
    const { dModel: d, vocabSize: v } = decoder.config;
    const lane = lanes[b] as Lane;
    const { ids, logprobs = 0 } = lane.request;
    const columns = residual.tensor.shape[1] as number;
    const count = Math.min(residual.counts[b] as number, ids.length - 1 - at);
    const most = Math.max(1, Math.floor(SCORED_LOGITS / v));
    const found = scores.get(lane) ?? [];
    scores.set(lane, found);
    for (let t = 0; t < count; t += most) {
      const n = Math.min(most, count - t);
      const from = (b * columns + t) * d;
      const rows = residual.tensor.data.slice(from, from + n * d);
      const normalized = decoder.normalise({ dtype: 'f32', shape: [n, d], data: rows });
      lane.hooks?.fire(
        { site: 'normalized', layer: -1 },
        { ...normalized, shape: [1, n, d] },
        { rows: [0], starts: [at + t], counts: [n], phase: 'prompt' },
      );
      const logits = await decoder.logits(normalized);
      for (let i = 0; i < n; i++)
        found.push(scored(this.#tokensOf(logits, i, v), ids[at + t + i + 1] as number, logprobs));
    }
  }
}
