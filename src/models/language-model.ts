/**
 * @file A language model as people use it: text in, text out, with hooks in between. Method names are TransformerLens's
 * in camelCase (`runWithCache`, `runWithHooks`, `addHook`, …).
 */
import { InputError, type Owned } from '../base/index.ts';
import type { ArithmeticFigures } from '../contracts/index.ts';
import type { Arithmetic, Tensor } from '../engine/index.ts';
import { type Activation, ActivationCache } from './activation.ts';
import { type ArithmeticGuard, guardInput, guardOf, openFast } from './arithmetic-guard.ts';
import type { Checkpoint, WeightsForm } from './checkpoint/index.ts';
import {
  type Completion,
  collectTokens,
  type GenerateOptions,
  type StreamedToken,
  streamTokens,
} from './completions.ts';
import type { ModelConfig } from './config.ts';
import { Decoder, type DecoderOptions } from './decoder/decoder.ts';
import { type FwdHook, type HookFn, HookTable, hookNames, parseHookName, reading } from './hooks.ts';
import { type PullOptions, resolveModel } from './hub/index.ts';
import { openModelFiles } from './model-files.ts';
import type { ChatMessage, Tokenizer } from './tokenizer/index.ts';

/** Text (special tokens are added) or token ids (taken as they are); one or many. */
export type ModelInput = string | readonly string[] | readonly number[] | readonly (readonly number[])[];

/** Options of {@link LanguageModel.load}. */
export interface LoadOptions
  extends DecoderOptions,
    Pick<PullOptions, 'token' | 'offline' | 'onProgress' | 'signal'> {
  /** Where what is made of a GGUF file is kept. Defaults to `$CROSSPATCH_CACHE`, else `~/.cache/crosspatch`. */
  readonly cacheDir?: string;
  /** How the matrices of a quantised GGUF are held: `packed` as they are in the file, or `f32`. Other models are always `f32`. Defaults to `f32`. */
  readonly weights?: WeightsForm | undefined;
  /**
   * `fast` multiplies packed matrices by activations of 8 bits, after a comparison with exact arithmetic on the prompts of `guard`, which is then
   * needed. Defaults to `exact`.
   */
  readonly arithmetic?: Arithmetic | undefined;
  /** See {@link ArithmeticGuard}. */
  readonly guard?: ArithmeticGuard | undefined;
}

/** A decoder with its tokenizer. Dispose of it to free the weights. */
export class LanguageModel implements Owned {
  readonly checkpoint: Checkpoint;
  readonly decoder: Decoder;
  readonly tokenizer: Tokenizer;
  /** What the comparison before fast arithmetic found; undefined in exact arithmetic. */
  readonly guarded: ArithmeticFigures | undefined;
  #hooks: FwdHook[] = [];

  private constructor(
    checkpoint: Checkpoint,
    decoder: Decoder,
    tokenizer: Tokenizer,
    guarded?: ArithmeticFigures,
  ) {
    this.checkpoint = checkpoint;
    this.decoder = decoder;
    this.tokenizer = tokenizer;
    this.guarded = guarded;
  }

  /**
   * Load a model for the CPU in float32. `model` is a bundled name (`tiny-llama-m`), a Hugging Face folder, a GGUF file, or
   * `org/name[@revision]`, which is fetched from the Hugging Face hub into the cache unless it is there. Nothing that exists on disk is
   * looked for on the network.
   *
   * @throws InputError when there is no such model, its files are damaged, its family is not supported, or fast arithmetic is not for it
   * @example await using model = await LanguageModel.load('tiny-llama-m');
   */
  static async load(model: string, options: LoadOptions = {}): Promise<LanguageModel> {
    const { token, offline, onProgress, signal } = options;
    const guard = options.arithmetic === 'fast' ? guardOf(model, options) : undefined;
    const { path } = await resolveModel(model, { token, offline, onProgress, signal });
    const files = await openModelFiles(path, options);
    const { checkpoint, tokenizer } = files;
    const tokens = tokenizer.idLimit;
    const open = (arithmetic: Arithmetic): Promise<Decoder> =>
      Decoder.open(checkpoint, { tokens, ...options, arithmetic });
    if (guard === undefined) return new LanguageModel(checkpoint, await open('exact'), tokenizer);
    const { decoder, figures } = await openFast(open, guardInput(model, guard, files));
    return new LanguageModel(checkpoint, decoder, tokenizer, figures);
  }

  get config(): ModelConfig {
    return this.decoder.config;
  }

  /** How its matrices are held. */
  get weights(): WeightsForm {
    return this.checkpoint.packed === undefined ? 'f32' : 'packed';
  }

  /** How packed matrices are multiplied. */
  get arithmetic(): Arithmetic {
    return this.guarded === undefined ? 'exact' : 'fast';
  }

  get nLayers(): number {
    return this.decoder.nLayers;
  }

  /** Every hook name of this model. */
  get hookNames(): string[] {
    return hookNames(this.nLayers);
  }

  /** Ids of text (special tokens added) or ids themselves, a list a row. */
  toTokens(input: ModelInput): number[][] {
    if (typeof input === 'string') return [this.tokenizer.encodeIds(input, { addSpecialTokens: 'auto' })];
    if (input.length === 0) throw new InputError('model input: nothing was given', { id: 'prompt-invalid' });
    if (typeof input[0] === 'number') return [input.slice() as number[]];
    return (input as readonly (string | readonly number[])[]).map((row) =>
      typeof row === 'string' ? this.tokenizer.encodeIds(row, { addSpecialTokens: 'auto' }) : row.slice(),
    );
  }

  /** The vocabulary strings of a text's tokens. */
  toStrTokens(text: string): string[] {
    return this.tokenizer.tokenStrings(this.toTokens(text)[0] as number[]);
  }

  /** Position of the only token equal to `token` in `text`; an error when there is none or more than one. */
  getTokenPosition(token: string, text: string): number {
    const id =
      this.tokenizer.tokenToId(token) ?? this.tokenizer.encodeIds(token, { addSpecialTokens: false })[0];
    const ids = this.toTokens(text)[0] as number[];
    const found = ids.flatMap((x, i) => (x === id ? [i] : []));
    if (found.length !== 1)
      throw new InputError(
        `getTokenPosition: ${JSON.stringify(token)} occurs ${found.length} times, wanted once`,
        { id: 'text-not-found' },
      );
    return found[0] as number;
  }

  /** The prompt of a chat in the model's own template. */
  applyChatTemplate(messages: readonly ChatMessage[]): string {
    return this.tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
  }

  /** Keep a hook on every call until the returned function (or `resetHooks`) takes it off. */
  addHook(name: string, fn: HookFn): () => void {
    parseHookName(name, this.nLayers);
    const hook: FwdHook = [name, fn];
    this.#hooks.push(hook);
    return () => {
      this.#hooks = this.#hooks.filter((h) => h !== hook);
    };
  }

  /** Take off all hooks. */
  resetHooks(): void {
    this.#hooks = [];
  }

  /** Run `body` with hooks on; they come off also when it throws. */
  async hooks<T>(
    { fwdHooks }: { readonly fwdHooks: readonly FwdHook[] },
    body: () => Promise<T>,
  ): Promise<T> {
    const removers: (() => void)[] = [];
    try {
      for (const [name, fn] of fwdHooks) removers.push(this.addHook(name, fn));
      return await body();
    } finally {
      for (const remove of removers) remove();
    }
  }

  #table(extra: readonly FwdHook[] = []): HookTable {
    return new HookTable([...this.#hooks, ...extra], this.nLayers);
  }

  /** Next-token logits at every position, [B,T,V]; rows after `counts[b]` are padding. */
  async forward(
    input: ModelInput,
    fwdHooks: readonly FwdHook[] = [],
  ): Promise<{ logits: Tensor<'f32'>; counts: readonly number[]; ids: number[][] }> {
    const ids = this.toTokens(input);
    const hooks = this.#table(fwdHooks);
    const { tensor, counts } = await this.decoder.run(this.decoder.embed(ids, { hooks }), { hooks });
    const [b, t, d] = tensor.shape as [number, number, number];
    const normalized = this.decoder.normalise({ ...tensor, shape: [b * t, d] });
    hooks.fire(
      { site: 'normalized', layer: -1 },
      { ...normalized, shape: [b, t, d] },
      { counts, starts: counts.map(() => 0), rows: counts.map((_, i) => i), phase: 'prompt' },
    );
    const logits = await this.decoder.logits(normalized);
    return { ids, counts, logits: { ...logits, shape: [b, t, this.config.vocabSize] } };
  }

  /** {@link forward} with hooks on for this call. */
  async runWithHooks(
    input: ModelInput,
    { fwdHooks }: { readonly fwdHooks: readonly FwdHook[] },
  ): Promise<Tensor<'f32'>> {
    return (await this.forward(input, fwdHooks)).logits;
  }

  /**
   * Logits, and a copy of every activation asked for, [B,T,D]: by a test of its canonical name, or as a list of names in any
   * spelling (found in `cache` under that spelling and the canonical one). Defaults to the residual stream after every block.
   */
  async runWithCache(
    input: ModelInput,
    {
      namesFilter = (name: string) => name.endsWith('hook_resid_post'),
    }: { readonly namesFilter?: ((name: string) => boolean) | readonly string[] } = {},
  ): Promise<{
    logits: Tensor<'f32'>;
    cache: ActivationCache;
    counts: readonly number[];
    ids: number[][];
  }> {
    const names = typeof namesFilter === 'function' ? this.hookNames.filter(namesFilter) : namesFilter;
    if (names.length === 0)
      throw new InputError('runWithCache: the filter lets no hook name through', { id: 'hook-unknown' });
    const cache = new Map<string, Activation>();
    const fwdHooks = names.map(
      (name): FwdHook => [
        name,
        reading((activation, { name: canonical }) => {
          const kept = cache.get(canonical) ?? activation;
          cache.set(canonical, kept).set(name, kept);
        }),
      ],
    );
    return { ...(await this.forward(input, fwdHooks)), cache: new ActivationCache(cache) };
  }

  /** Complete prompts; a string gives one completion, a list gives a list in its order. */
  async generate(input: string | readonly number[], options?: GenerateOptions): Promise<Completion>;
  async generate(
    input: readonly string[] | readonly (readonly number[])[],
    options?: GenerateOptions,
  ): Promise<Completion[]>;
  async generate(input: ModelInput, options: GenerateOptions = {}): Promise<Completion | Completion[]> {
    const stream = this.generateStream(input, options);
    const completions = await collectTokens(stream, this.toTokens(input).length, options.logprobs);
    const single = typeof input === 'string' || typeof input[0] === 'number';
    return single ? (completions[0] as Completion) : completions;
  }

  /**
   * The tokens of {@link generate} as they come, rows interleaved. The token that ends a row (a stop token, or the one that
   * completes a stop string) comes with `finish: 'stop'` and `id: -1`, since it is no part of the completion.
   */
  async *generateStream(
    input: ModelInput,
    options: GenerateOptions = {},
  ): AsyncGenerator<StreamedToken, void, undefined> {
    const { fwdHooks = [], ...rest } = options;
    yield* streamTokens(this, this.toTokens(input), { ...rest, hooks: () => this.#table(fwdHooks) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.decoder[Symbol.asyncDispose]();
  }
}
