/** @file Reads `config.json` strictly: every key is used, or known to change nothing, or refused by name. */
import { InputError, isPlainObject, showText, showValue } from '../../base/index.ts';

/** Keys of every family that do not change what the forward pass computes. */
const harmless = new Set([
  // where the config comes from
  '_commit_hash',
  '_name_or_path',
  'architectures',
  'auto_map',
  'is_llama_config',
  'model_type',
  'name_or_path',
  'processor_class',
  'tokenizer_class',
  'transformers.js_config',
  'transformers_version',
  'unsloth_fixed',
  'unsloth_version',
  // how it is run
  '_attn_implementation',
  '_attn_implementation_autoset',
  '_attn_implementation_internal',
  '_flash_attn_2_enabled',
  'attn_implementation',
  'cache_implementation',
  'chunk_size_feed_forward',
  'dtype',
  'gradient_checkpointing',
  'keys_to_ignore_at_inference',
  'output_attentions',
  'output_hidden_states',
  'pretraining_tp',
  'return_dict',
  'tf_legacy_loss',
  'torch_dtype',
  'torchscript',
  'use_bfloat16',
  'use_cache',
  'use_flash_attention_2',
  'use_flash_attn',
  'use_return_dict',
  // tokens
  'begin_suppress_tokens',
  'cls_token_id',
  'mask_token_id',
  'max_sequence_length',
  'seq_length',
  'unk_token_id',
  'bos_token_id',
  'decoder_start_token_id',
  'eos_token_id',
  'forced_bos_token_id',
  'forced_eos_token_id',
  'model_max_length',
  'pad_token_id',
  'prefix',
  'sep_token_id',
  'suppress_tokens',
  // defaults of generation
  'bad_words_ids',
  'diversity_penalty',
  'do_sample',
  'early_stopping',
  'encoder_no_repeat_ngram_size',
  'exponential_decay_length_penalty',
  'length_penalty',
  'max_length',
  'max_new_tokens',
  'min_length',
  'min_new_tokens',
  'min_p',
  'no_repeat_ngram_size',
  'num_beam_groups',
  'num_beams',
  'num_return_sequences',
  'output_scores',
  'remove_invalid_values',
  'repetition_penalty',
  'return_dict_in_generate',
  'temperature',
  'top_k',
  'top_p',
  'typical_p',
  // training
  'attention_dropout',
  'attention_probs_dropout_prob',
  'attn_pdrop',
  'dropout',
  'embd_pdrop',
  'hidden_dropout',
  'hidden_dropout_prob',
  'initializer_factor',
  'initializer_range',
  'label_smoothing',
  'mlp_dropout',
  'neftune_noise_alpha',
  'resid_pdrop',
  'residual_dropout',
  // other tasks
  'classifier_dropout',
  'finetuning_task',
  'id2label',
  'label2id',
  'num_labels',
  'problem_type',
  'task_specific_params',
]);

/** Keys that are fine with these values; with others they would change the maths. */
const neutral: Readonly<Record<string, readonly unknown[]>> = {
  add_cross_attention: [false],
  attention_multiplier: [1],
  embedding_multiplier: [1],
  is_causal: [true],
  is_decoder: [false, true],
  is_encoder_decoder: [false],
  logits_scaling: [1],
  partial_rotary_factor: [1],
  residual_multiplier: [1],
  tie_encoder_decoder: [false],
  use_qk_norm: [false],
  use_sliding_window: [false],
};

/** A config being read. `done()` must be called last: it refuses keys nobody asked for. */
export class ConfigReader {
  readonly #config: Readonly<Record<string, unknown>>;
  readonly #used = new Set<string>();
  readonly where: string;

  constructor(config: Readonly<Record<string, unknown>>, where: string) {
    this.#config = config;
    this.where = where;
  }

  #fail(key: string, wanted: string): never {
    throw new InputError(
      `${this.where}: config key ${key}: wanted ${wanted}, got ${showValue(this.#config[key])}`,
      { id: 'model-unsupported' },
    );
  }

  /** The raw value; null counts as absent. */
  raw(key: string): unknown {
    this.#used.add(key);
    return this.#config[key] ?? undefined;
  }

  /** Whether the file has the key at all; transformers tells a missing key (its default) from null (none). */
  has(key: string): boolean {
    return Object.hasOwn(this.#config, key);
  }

  /** A finite number, with a default when the key is absent. */
  number(key: string, fallback?: number): number {
    const value = this.raw(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) this.#fail(key, 'a number');
    return value;
  }

  /** A positive number. */
  positive(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (value <= 0) this.#fail(key, 'a number above 0');
    return value;
  }

  /** A positive integer below 2²⁴ (sizes of layers; the bound keeps a broken file from asking for absurd memory). */
  size(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (!Number.isInteger(value) || value < 1 || value >= 2 ** 24)
      this.#fail(key, 'a positive integer below 2^24');
    return value;
  }

  /** A positive number, or undefined when absent. */
  optional(key: string): number | undefined {
    return this.raw(key) === undefined ? undefined : this.positive(key);
  }

  /** A size, or undefined when absent. */
  optionalSize(key: string): number | undefined {
    return this.raw(key) === undefined ? undefined : this.size(key);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.raw(key) ?? fallback;
    if (typeof value !== 'boolean') this.#fail(key, 'true or false');
    return value;
  }

  oneOf<T extends string>(key: string, allowed: readonly T[], fallback?: T): T {
    const value = (this.raw(key) ?? fallback) as T;
    if (!allowed.includes(value))
      this.#fail(key, `one of ${allowed.join(', ')} (anything else would compute something we do not)`);
    return value;
  }

  /** The key may be absent, or must have one of these values: others change the maths in a way we do not compute. */
  mustBe(key: string, ...values: readonly unknown[]): void {
    const value = this.raw(key);
    if (value !== undefined && !values.includes(value))
      this.#fail(key, values.map((v) => showValue(v)).join(' or '));
  }

  /** A list of strings of a given length, or undefined when absent. */
  strings(key: string, length: number): readonly string[] | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length !== length || !value.every((v) => typeof v === 'string'))
      this.#fail(key, `${length} strings`);
    return value;
  }

  /** A nested object as its own reader, or undefined when absent. */
  nested(key: string): ConfigReader | undefined {
    const value = this.raw(key);
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || Array.isArray(value)) this.#fail(key, 'an object');
    return new ConfigReader(value as Record<string, unknown>, `${this.where}: ${key}`);
  }

  /** Refuse every key that was neither read nor known to be harmless. */
  done(): void {
    const unknown = Object.keys(this.#config).filter(
      (k) =>
        !this.#used.has(k) &&
        !harmless.has(k) &&
        this.#config[k] !== null &&
        !(Object.hasOwn(neutral, k) && neutral[k]?.includes(this.#config[k])) &&
        !isEmpty(this.#config[k]),
    );
    if (unknown.length > 0) {
      const names = `${unknown
        .slice(0, 5)
        .map((k) => showText(k))
        .join(', ')}${unknown.length > 5 ? ', …' : ''}`;
      throw new InputError(
        `${this.where}: config key ${names} is not known for this family; it may change the maths, so the model is refused`,
        { id: 'model-unsupported' },
      );
    }
  }
}

/** `{}` and `[]` say nothing (`pruned_heads: {}`). */
function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isPlainObject(value) && Object.keys(value).length === 0;
}
