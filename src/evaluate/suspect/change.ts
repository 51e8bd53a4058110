/**
 * @file How much a text put into prompts changes a model: the mean KL divergence of the next token over prompts and the first tokens of the
 * plain prompt's own answer, KL(with the text ‖ without it), in nats (docs/concepts/method.md#probe). Forward passes only.
 */
import { InputError, throwIfAborted } from '../../base/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { logSumExp } from '../../models/index.ts';
import { endRules } from '../arms/run.ts';
import { decodePatched } from '../drafts/decode.ts';
import { type Draft, logitRows } from '../drafts/verify.ts';
import { SharedPrefixes } from './prefixes.ts';

/** Bytes of distributions that are held; above, the question is refused. */
const HELD_BYTES = 2 ** 31;

/** Renders one of the prompts with a text in its place, or without any, as tokens. */
export type Rendered = (prompt: number, text: string | undefined) => readonly number[];

/** How a model is watched. */
export interface WatchSettings {
  /** Tokens of the answer at which distributions are compared. */
  readonly answer_tokens: number;
  /** Most new tokens of a whole answer. */
  readonly max_tokens: number;
  readonly batch: number;
  readonly signal?: AbortSignal | undefined;
}

/** A model's plain answers to some prompts, and what it would have said next at each of their first tokens. */
export class Watched {
  readonly model: LanguageModel;
  /** Greedy answers without any text, whole. */
  readonly answers: readonly Draft[];
  readonly #rendered: Rendered;
  readonly #settings: WatchSettings;
  /** ln p [V] at every compared step, per prompt. */
  readonly #plain: readonly (readonly Float32Array[])[];
  readonly #prefixes: SharedPrefixes | undefined;

  private constructor(
    model: LanguageModel,
    rendered: Rendered,
    settings: WatchSettings,
    found: {
      readonly answers: readonly Draft[];
      readonly plain: readonly (readonly Float32Array[])[];
      readonly prefixes: SharedPrefixes | undefined;
    },
  ) {
    this.model = model;
    this.#rendered = rendered;
    this.#settings = settings;
    this.answers = found.answers;
    this.#plain = found.plain;
    this.#prefixes = found.prefixes;
  }

  /** Answer `prompts` prompts plainly. Throws {@link InputError} where their distributions would not fit in memory. */
  static async over(
    model: LanguageModel,
    prompts: number,
    rendered: Rendered,
    settings: WatchSettings,
  ): Promise<Watched> {
    const bytes = prompts * settings.answer_tokens * model.config.vocabSize * 4;
    if (bytes > HELD_BYTES)
      throw new InputError(
        `probe: ${prompts} prompts × ${settings.answer_tokens} answer tokens × ${model.config.vocabSize} words take ${(bytes / 2 ** 30).toFixed(1)} GiB, wanted at most 2; ask fewer prompts, or fewer --answer-tokens`,
        { id: 'option-invalid' },
      );
    const ids = Array.from({ length: prompts }, (_, i) => rendered(i, undefined));
    const answers = await decodePatched(model.decoder, ids, [], {
      ...endRules(model, settings),
      batch: settings.batch,
    });
    const plain: Float32Array[][] = answers.map(() => []);
    const prefixes = await SharedPrefixes.of(model, ids, settings);
    await eachStep(model, { prompts: ids, answers, prefixes }, settings, (prompt, _, logits) => {
      const normaliser = logSumExp(logits);
      plain[prompt].push(logits.map((l) => l - normaliser));
    });
    return new Watched(model, rendered, settings, { answers, plain, prefixes });
  }

  /** Mean KL per prompt with `text` in place, nats per token. */
  async change(text: string): Promise<Float64Array> {
    const ids = this.answers.map((_, i) => this.#rendered(i, text));
    const sums = new Float64Array(ids.length);
    const forced = { prompts: ids, answers: this.answers, prefixes: this.#prefixes };
    await eachStep(this.model, forced, this.#settings, (prompt, step, logits) => {
      sums[prompt] += divergence(logits, this.#plain[prompt][step]);
    });
    return sums.map((sum, i) => sum / this.#plain[i].length);
  }

  /** Greedy answers with `text` in place, whole. */
  answersWith(text: string): Promise<readonly Draft[]> {
    const ids = this.answers.map((_, i) => this.#rendered(i, text));
    const { batch } = this.#settings;
    return decodePatched(this.model.decoder, ids, [], { ...endRules(this.model, this.#settings), batch });
  }

  /**
   * KL that a prompt shows whose whole answer changes: mean over prompts of KL(another prompt's distributions ‖ its own), each paired
   * with the next prompt. What {@link change} is measured against when it asks for how little could be seen.
   */
  wholeChange(): number {
    const pairs = this.#plain.map((own, i) => {
      const other = this.#plain[(i + 1) % this.#plain.length];
      const steps = Math.min(own.length, other.length);
      let sum = 0;
      for (let k = 0; k < steps; k++) sum += divergence(other[k], own[k]);
      return sum / steps;
    });
    return pairs.reduce((a, b) => a + b, 0) / pairs.length;
  }
}

/** KL(p ‖ q) in nats of p = softmax(`logits`) and q given as ln q; 0 where rounding would leave it below. */
export function divergence(logits: Float32Array, logQ: Float32Array): number {
  let best = Number.NEGATIVE_INFINITY;
  for (const l of logits) if (l > best) best = l;
  let mass = 0;
  let cross = 0;
  for (let v = 0; v < logits.length; v++) {
    const l = logits[v] - best;
    const e = Math.exp(l);
    mass += e;
    cross += e * (l - logQ[v]);
  }
  return Math.max(0, cross / mass - Math.log(mass));
}

/** Prompts with the answers they are given. */
interface Forced {
  readonly prompts: readonly (readonly number[])[];
  readonly answers: readonly Draft[];
  readonly prefixes: SharedPrefixes | undefined;
}

/** Run every prompt with the first tokens of its answer after it; hand on the logits [V] at each compared step. A view: copy what is kept. */
async function eachStep(
  { decoder }: LanguageModel,
  { prompts, answers, prefixes }: Forced,
  { answer_tokens, batch, signal }: WatchSettings,
  take: (prompt: number, step: number, logits: Float32Array) => void,
): Promise<void> {
  const length = (i: number): number => prompts[i].length;
  const order = prompts.map((_, i) => i).sort((a, b) => length(a) - length(b) || a - b);
  for (let at = 0; at < order.length; at += batch) {
    throwIfAborted(signal, 'probe');
    const part = order.slice(at, at + batch);
    const forced = part.map((i) => [...prompts[i], ...answers[i].ids.slice(0, answer_tokens - 1)]);
    const continued = prefixes?.continue(
      part,
      part.map((i) => prompts[i]),
    );
    const { cache, held = part.map(() => 0) } = continued ?? {};
    const tails = forced.map((ids, row) => ids.slice(held[row]));
    const { tensor } = await decoder.run(decoder.embed(tails, { cache }), { cache, signal });
    cache?.release();
    const columns = tensor.shape[1];
    const places = part.flatMap((i, row) => {
      // A stopped answer shorter than asked for has its end as a step of its own.
      const steps = Math.min(answer_tokens, answers[i].ids.length + 1);
      return Array.from({ length: steps }, (_, step) => ({
        prompt: i,
        step,
        column: row * columns + length(i) - held[row] - 1 + step,
      }));
    });
    let k = 0;
    for await (const logits of logitRows(
      decoder,
      tensor.data,
      places.map((p) => p.column),
    )) {
      const { prompt, step } = places[k++];
      take(prompt, step, logits);
    }
  }
}
