/** @file What a push does to the prompts it is meant for: completions that show the behaviour, completions that change, the shift at the last block. */
import { detectorOf } from '../../behaviours/index.ts';
import type { DosePoint, DoseReport } from '../../contracts/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { mean, rate } from '../../stats/index.ts';
import type { ReadPrompt } from './contrast.ts';
import { lengthOf, promptRows } from './rows.ts';
import { type Push, pushHooks } from './steer.ts';

/** How effects are measured. */
export interface BenchOptions {
  readonly vectors: ReadonlyMap<number, Float32Array>;
  /** What a completion must hold, or match, to count. */
  readonly marks?: { readonly phrase?: string; readonly pattern?: string };
  /** New tokens of a completion. */
  readonly max_tokens: number;
  readonly signal?: AbortSignal;
}

/** Steered prompts, with their unsteered completions and rows. */
export class SteerBench {
  readonly #model: LanguageModel;
  readonly #prompts: readonly ReadPrompt[];
  readonly #options: BenchOptions;
  readonly #plain: readonly string[];
  /** Rows [N,D] at the last block with a vector: shifts are read there. */
  readonly #last: { readonly block: number; readonly rows: Float32Array };
  readonly #shows: ((text: string) => boolean) | undefined;

  private constructor(
    model: LanguageModel,
    prompts: readonly ReadPrompt[],
    options: BenchOptions,
    unsteered: { readonly plain: readonly string[]; readonly last: { block: number; rows: Float32Array } },
  ) {
    const { marks } = options;
    const detect = marks && detectorOf({ phrase: marks.phrase ?? '', pattern: marks.pattern });
    this.#model = model;
    this.#prompts = prompts;
    this.#options = options;
    this.#plain = unsteered.plain;
    this.#last = unsteered.last;
    this.#shows = detect && ((text) => detect(text).shows);
  }

  /** Complete the prompts unsteered. */
  static async open(
    model: LanguageModel,
    prompts: readonly ReadPrompt[],
    options: BenchOptions,
  ): Promise<SteerBench> {
    const block = Math.max(...options.vectors.keys());
    const [{ rows }] = await promptRows(model.decoder, prompts, [block], { signal: options.signal });
    const plain = await completions(
      model,
      prompts.map(({ ids }) => ids),
      options,
    );
    return new SteerBench(model, prompts, options, { plain, last: { block, rows } });
  }

  /** What the effect is: the share of completions that show the behaviour, where one is named. */
  get effect(): DoseReport['effect'] {
    return this.#shows === undefined ? 'shift' : 'share';
  }

  /** What a push does; none changes nothing. */
  async measure(push: Push | undefined): Promise<DosePoint['effect']> {
    const texts =
      push === undefined
        ? this.#plain
        : await completions(
            this.#model,
            this.#prompts.map(({ ids }) => ids),
            this.#options,
            push,
          );
    return { ...this.#told(texts), shift: push === undefined ? 0 : await this.#shift(push) };
  }

  /** What the same prompts do with a sentence in them; there is no shift, since other tokens are read. */
  async measureAsked(asked: readonly (readonly number[])[]): Promise<DosePoint['effect']> {
    const texts = await completions(this.#model, asked, this.#options);
    return { ...this.#told(texts), shift: null };
  }

  /** What other weights of the same model do with the same prompts. */
  async measureModel(other: LanguageModel): Promise<DosePoint['effect']> {
    const ids = this.#prompts.map((prompt) => prompt.ids);
    const texts = await completions(other, ids, this.#options);
    const { signal } = this.#options;
    const [{ rows }] = await promptRows(other.decoder, this.#prompts, [this.#last.block], { signal });
    return { ...this.#told(texts), shift: this.#moved(rows) };
  }

  /** How many completions show the behaviour, and how many are not the unsteered ones. */
  #told(texts: readonly string[]): Pick<DosePoint['effect'], 'share' | 'changed'> {
    return {
      share: this.#shows && rate(texts.map(this.#shows)),
      changed: rate(texts.map((text, i) => text !== this.#plain[i])),
    };
  }

  /** The shift by a push; null where the push itself is at the last block with a vector. */
  async #shift(push: Push): Promise<number | null> {
    const { block } = this.#last;
    if (push.block >= block) return null;
    const [{ rows }] = await promptRows(this.#model.decoder, this.#prompts, [block], {
      signal: this.#options.signal,
      fwdHooks: pushHooks(push),
    });
    return this.#moved(rows);
  }

  /** Mean of (h_moved − h)·v / ‖v‖² over rows [N,D] after the last block with a vector. */
  #moved(moved: Float32Array): number | null {
    const { block, rows } = this.#last;
    const v = this.#options.vectors.get(block);
    if (v === undefined) return null;
    const shifts = this.#prompts.map((_, i) =>
      v.reduce((sum, x, j) => sum + (moved[i * v.length + j] - rows[i * v.length + j]) * x, 0),
    );
    return mean(shifts) / lengthOf(v) ** 2;
  }
}

async function completions(
  model: LanguageModel,
  prompts: readonly (readonly number[])[],
  { max_tokens, signal }: BenchOptions,
  push?: Push,
): Promise<string[]> {
  const completed = await model.generate(prompts, {
    maxNewTokens: max_tokens,
    maxBatch: 16,
    fwdHooks: push === undefined ? [] : pushHooks(push),
    signal,
  });
  return completed.map(({ text }) => text);
}
