/** @file The vocabulary part of a GGUF file's metadata, checked and typed. */
import { InputError } from '../../base/index.ts';
import { describeValue } from './parse.ts';

/** GGUF key → value: numbers or bigints, strings, booleans, arrays or typed arrays. */
export type GgufMetadata = ReadonlyMap<string, unknown> | Readonly<Record<string, unknown>>;

/** `tokenizer.ggml.token_type`. */
export const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Names of Llama 3's pre-tokeniser. */
export const LLAMA3 = ['llama-bpe', 'llama3', 'llama-v3'];

export interface Vocabulary {
  readonly get: (key: string) => unknown;
  readonly model: 'gpt2' | 'llama';
  readonly pre: string;
  readonly tokens: readonly string[];
  readonly types: ArrayLike<number>;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly pad: number | undefined;
  readonly unk: number | undefined;
  readonly addBos: boolean;
  readonly addEos: boolean;
}

/** Throws {@link InputError} naming the key that is missing or wrong. */
export function readVocabulary(metadata: GgufMetadata): Vocabulary {
  const get = (key: string): unknown =>
    metadata instanceof Map ? metadata.get(key) : (metadata as Readonly<Record<string, unknown>>)[key];
  const model = get('tokenizer.ggml.model');
  if (model !== 'gpt2' && model !== 'llama')
    throw badKey(
      'tokenizer.ggml.model',
      'gpt2 or llama',
      model === undefined ? 'nothing' : JSON.stringify(model),
    );
  const stored = listOf(get('tokenizer.ggml.tokens'), 'string', 'tokenizer.ggml.tokens');
  if (stored.length === 0) throw badKey('tokenizer.ggml.tokens', 'at least one token', 'none');
  const given = get('tokenizer.ggml.token_type');
  const types =
    given === undefined
      ? new Int32Array(stored.length).fill(TYPE.normal)
      : listOf(given, 'number', 'tokenizer.ggml.token_type');
  if (types.length !== stored.length)
    throw badKey('tokenizer.ggml.token_type', `${stored.length} types`, `${types.length}`);
  const pre = get('tokenizer.ggml.pre') ?? 'default';
  if (typeof pre !== 'string') throw badKey('tokenizer.ggml.pre', 'a string', typeof pre);
  // llama.cpp's converter writes Gemma's runs of ▁, which are user-defined, as runs of spaces.
  const tokens =
    model === 'llama'
      ? stored.map((t, id) =>
          types[id] === TYPE.userDefined && /^ +$/.test(t) ? '\u2581'.repeat(t.length) : t,
        )
      : stored;
  const partial = { get, tokens };
  return {
    ...partial,
    model,
    pre,
    types,
    bos: idAt(partial, 'tokenizer.ggml.bos_token_id'),
    eos: idAt(partial, 'tokenizer.ggml.eos_token_id'),
    pad: idAt(partial, 'tokenizer.ggml.padding_token_id'),
    unk: idAt(partial, 'tokenizer.ggml.unknown_token_id'),
    // llama.cpp's defaults where the keys are missing.
    addBos: flagAt(get, 'tokenizer.ggml.add_bos_token', model === 'llama' || LLAMA3.includes(pre)),
    addEos: flagAt(get, 'tokenizer.ggml.add_eos_token', false),
  };
}

/** An array of strings, or of numbers (typed arrays as well). */
export function listOf(value: unknown, kind: 'string', key: string): readonly string[];
export function listOf(value: unknown, kind: 'number', key: string): ArrayLike<number>;
export function listOf(value: unknown, kind: 'string' | 'number', key: string): unknown {
  if (
    kind === 'number' &&
    ArrayBuffer.isView(value) &&
    !(value instanceof DataView) &&
    !(value instanceof BigInt64Array || value instanceof BigUint64Array)
  )
    return value;
  if (!Array.isArray(value))
    throw badKey(key, `an array of ${kind}s`, value === undefined ? 'nothing' : typeof value);
  const wrong = value.findIndex((item) => typeof item !== kind);
  if (wrong >= 0) throw badKey(`${key}[${wrong}]`, `a ${kind}`, typeof value[wrong]);
  return value;
}

/** A token id below the vocabulary's size; undefined where the key is missing. */
export function idAt(v: Pick<Vocabulary, 'get' | 'tokens'>, key: string): number | undefined {
  const value = v.get(key);
  if (value === undefined) return undefined;
  const id = typeof value === 'bigint' ? Number(value) : value;
  if (id === -1 || id === 0xffff_ffff) return undefined; // none
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= v.tokens.length)
    throw badKey(key, `a token id below ${v.tokens.length}`, describeValue(value));
  return id;
}

export function flagAt(get: Vocabulary['get'], key: string, fallback: boolean): boolean {
  const value = get(key);
  if (value === undefined) return fallback;
  if (typeof value !== 'boolean') throw badKey(key, 'true or false', describeValue(value));
  return value;
}

/** Error about one key. */
export function badKey(key: string, wanted: string, got: string): InputError {
  return new InputError(
    `GGUF tokenizer: ${key}: wanted ${wanted}, got ${got}; convert the model again or use its Hugging Face folder`,
    { id: 'tokenizer-damaged' },
  );
}
