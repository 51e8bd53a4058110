/**
 * @file What steering does to text it was not meant for: KL(steered ‖ unsteered) of the next token, over the model's own greedy continuations
 * of neutral prompts, teacher-forced. V tokens of the vocabulary.
 */
import { throwIfAborted } from '../../base/index.ts';
import type { DoseCost } from '../../contracts/index.ts';
import { klDivergence } from '../../interventions/index.ts';
import type { Decoder, LanguageModel, Residual } from '../../models/index.ts';
import { logitRows } from '../drafts/verify.ts';
import { type Push, pushed } from './steer.ts';

/** A neutral prompt with the model's continuation, and how many tokens of it are the prompt. */
interface Forced {
  readonly ids: readonly number[];
  readonly prompt: number;
}

/** A batch of texts: their plain residuals after the last block, and after the block that was steered last. */
interface ForcedBatch {
  readonly texts: readonly Forced[];
  readonly plain: Residual;
  at?: { readonly block: number; readonly base: Residual };
}

/** Measures the cost of pushes. Holds the texts' residuals at two depths. */
export class CostMeter {
  readonly #decoder: Decoder;
  readonly #batches: ForcedBatch[];
  readonly #signal: AbortSignal | undefined;
  /** Texts measured on. */
  readonly texts: number;

  private constructor(decoder: Decoder, batches: ForcedBatch[], signal: AbortSignal | undefined) {
    this.#decoder = decoder;
    this.#batches = batches;
    this.#signal = signal;
    this.texts = batches.reduce((n, { texts }) => n + texts.length, 0);
  }

  /** Let the model continue `prompts` (token ids) by up to `tokens` greedy tokens each. */
  static async open(
    model: LanguageModel,
    prompts: readonly (readonly number[])[],
    options: { readonly tokens: number; readonly batch: number; readonly signal?: AbortSignal },
  ): Promise<CostMeter> {
    const { tokens, batch, signal } = options;
    const completions = await model.generate(prompts, { maxNewTokens: tokens, maxBatch: batch, signal });
    const texts = prompts.map((ids, i): Forced => {
      return { ids: [...ids, ...completions[i].ids], prompt: ids.length };
    });
    const batches: ForcedBatch[] = [];
    for (let at = 0; at < texts.length; at += batch) {
      throwIfAborted(signal, 'vector');
      const part = texts.slice(at, at + batch);
      const plain = await model.decoder.run(model.decoder.embed(part.map(({ ids }) => ids)), { signal });
      batches.push({ texts: part, plain });
    }
    return new CostMeter(model.decoder, batches, signal);
  }

  /** What the push costs: nothing for a push of nothing. */
  async measure({ block, delta }: Push): Promise<DoseCost> {
    const sums = { first: 0, all: 0, positions: 0 };
    const run = { signal: this.#signal };
    for (const batch of this.#batches) {
      throwIfAborted(this.#signal, 'vector');
      if (batch.at?.block !== block) {
        const embedded = this.#decoder.embed(batch.texts.map(({ ids }) => ids));
        batch.at = { block, base: await this.#decoder.run(embedded, { to: block + 1, ...run }) };
      }
      const steered = await this.#decoder.run(pushed(batch.at.base, delta), { from: block + 1, ...run });
      const prompts = batch.texts.map(({ prompt }) => prompt);
      await this.#compare(batch, { residual: steered, prompts }, sums);
    }
    return { next_token: sums.first / this.texts, per_token: sums.all / sums.positions };
  }

  /** What other prompts in the places of these cost, the same continuations forced after them; in the order of {@link open}. */
  async measureAsked(asked: readonly (readonly number[])[]): Promise<DoseCost> {
    const sums = { first: 0, all: 0, positions: 0 };
    let at = 0;
    for (const batch of this.#batches) {
      throwIfAborted(this.#signal, 'vector');
      const own = asked.slice(at, at + batch.texts.length);
      at += own.length;
      const forced = own.map((ids, i) => [...ids, ...batch.texts[i].ids.slice(batch.texts[i].prompt)]);
      const residual = await this.#decoder.run(this.#decoder.embed(forced), { signal: this.#signal });
      await this.#compare(batch, { residual, prompts: own.map((ids) => ids.length) }, sums);
    }
    return { next_token: sums.first / this.texts, per_token: sums.all / sums.positions };
  }

  /** What other weights of the same model cost. */
  async measureModel(decoder: Decoder): Promise<DoseCost> {
    const sums = { first: 0, all: 0, positions: 0 };
    for (const batch of this.#batches) {
      throwIfAborted(this.#signal, 'vector');
      const embedded = decoder.embed(batch.texts.map(({ ids }) => ids));
      const residual = await decoder.run(embedded, { signal: this.#signal });
      const prompts = batch.texts.map(({ prompt }) => prompt);
      await this.#compare(batch, { residual, prompts, decoder }, sums);
    }
    return { next_token: sums.first / this.texts, per_token: sums.all / sums.positions };
  }

  /** Every position that predicts a token of a continuation (of an empty one: its end). */
  async #compare(
    { texts, plain }: ForcedBatch,
    other: { readonly residual: Residual; readonly prompts: readonly number[]; readonly decoder?: Decoder },
    sums: { first: number; all: number; positions: number },
  ): Promise<void> {
    const columns = plain.tensor.shape[1];
    const otherColumns = other.residual.tensor.shape[1];
    const places = texts.flatMap(({ ids, prompt }, b) =>
      Array.from({ length: Math.max(1, ids.length - prompt) }, (_, i) => ({
        at: b * columns + prompt - 1 + i,
        otherAt: b * otherColumns + other.prompts[b] - 1 + i,
        first: i === 0,
      })),
    );
    const group = Math.max(1, Math.floor(2 ** 22 / this.#decoder.config.vocabSize));
    for (let from = 0; from < places.length; from += group) {
      const members = places.slice(from, from + group);
      const rows = members.map(({ at }) => at);
      const own: Float32Array[] = [];
      for await (const row of logitRows(this.#decoder, plain.tensor.data, rows)) own.push(row.slice());
      let i = 0;
      for await (const row of logitRows(
        other.decoder ?? this.#decoder,
        other.residual.tensor.data,
        members.map(({ otherAt }) => otherAt),
      )) {
        const kl = klDivergence(row, own[i]);
        if (members[i++].first) sums.first += kl;
        sums.all += kl;
        sums.positions++;
      }
    }
  }
}

/** Cost wanted, and how near it must come. */
const NEAR = 0.02;

/** α is not sought beyond this. */
const LARGEST = 4096;

/**
 * The strength α > 0 at which `cost` (rising) is `budget`, within 2 %: bracketed by doubling and halving, then narrowed by bisection of
 * ln α, first guesses by cost ∝ α². Gives the nearest strength tried where the cost does not reach the budget. Begins at `start`; `largest`
 * is not exceeded.
 */
export async function strengthFor(
  budget: number,
  cost: (alpha: number) => Promise<number>,
  { start = 1, largest = LARGEST }: { readonly start?: number; readonly largest?: number } = {},
): Promise<{ readonly alpha: number; readonly cost: number }> {
  let low = 0;
  let high = Number.POSITIVE_INFINITY;
  let alpha = Math.min(start, largest);
  let best = { alpha, cost: Number.POSITIVE_INFINITY };
  for (let step = 0; step < 24; step++) {
    const found = await cost(alpha);
    if (Math.abs(found - budget) < Math.abs(best.cost - budget)) best = { alpha, cost: found };
    if (Math.abs(found - budget) <= NEAR * budget) break;
    if (found < budget) low = alpha;
    else high = alpha;
    if (low >= largest) break;
    const guess = Math.min(largest, found > 0 ? alpha * Math.sqrt(budget / found) : 2 * alpha);
    alpha =
      step < 6 && guess > low && guess < high && guess <= 16 * alpha
        ? guess
        : Math.min(largest, between(low, high, alpha));
  }
  return best;
}

function between(low: number, high: number, alpha: number): number {
  if (high === Number.POSITIVE_INFINITY) return 4 * alpha;
  return low === 0 ? high / 4 : Math.sqrt(low * high);
}
