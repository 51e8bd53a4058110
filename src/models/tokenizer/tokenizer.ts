/** @file The tokenizer of a model: text ↔ ids, offsets, special tokens, chat template. */
import { InputError } from '../../base/index.ts';
import type { AddedToken } from './added-tokens.ts';
import { type ChatMessage, type ChatOptions, renderChat } from './chat.ts';
import { DecodeStream } from './decode-stream.ts';
import { badTokenizer } from './parse.ts';
import { type Pipeline, parsePipeline } from './pipeline.ts';
import { type JoinedIds, joinPair } from './post-processor.ts';
import type { ExtraToken } from './special-tokens.ts';

/** Token i has id `ids[i]`, vocabulary string `tokens[i]` and stands for `text.slice(...offsets[i])`. */
export interface Encoding {
  readonly ids: number[];
  readonly tokens: string[];
  /**
   * UTF-16 ranges of the input text. A token that holds only some bytes of a character has the range of the whole character.
   * Tokens the template adds have empty ranges: [0, 0] before the text, [n, n] after it (n = text.length). Where a normaliser
   * changed the text (NFC), a token has the range of the whole clusters (character plus marks) it touches.
   */
  readonly offsets: [start: number, end: number][];
}

export interface EncodeOptions {
  /**
   * Put the template's special tokens (BOS, …) around the text, as Hugging Face does. `'auto'` does the same unless the text
   * itself begins with the BOS token (a chat template wrote it). Defaults to true.
   */
  readonly addSpecialTokens?: boolean | 'auto';
}

export interface DetokenizeOptions {
  /** Leave out tokens marked special. Defaults to false. */
  readonly skipSpecialTokens?: boolean;
}

/** What stands beside tokenizer.json in a model folder. */
export interface TokenizerSettings {
  readonly bosToken?: string;
  readonly eosToken?: string;
  readonly padToken?: string;
  readonly unkToken?: string;
  /** Tokens that stand only beside tokenizer.json, in the order in which they are added. */
  readonly extraTokens?: readonly ExtraToken[];
  /** Further ids that end generation (`generation_config.json`). */
  readonly eosIds?: readonly number[];
  /** Ids used where the matching token string is not given (`config.json`, GGUF). */
  readonly bosId?: number;
  readonly padId?: number;
  /** `add_bos_token`, `add_eos_token` of tokenizer_config.json: override the template where given. */
  readonly addBos?: boolean;
  readonly addEos?: boolean;
  /** Chat templates by name; the one used without a name is `default`. */
  readonly chatTemplates?: Readonly<Record<string, string>>;
}

export class Tokenizer {
  readonly #pipeline: Pipeline;
  readonly #chatTemplates: Readonly<Record<string, string>>;
  readonly #special: ReadonlySet<number>;
  readonly #specialStrings: Record<string, string>;
  readonly #before: readonly number[];
  readonly #after: readonly number[];
  /** Beginning-of-text token, if the model has one. */
  readonly bosId: number | undefined;
  /** Every id that ends generation, without duplicates. */
  readonly eosIds: readonly number[];
  readonly padId: number | undefined;
  readonly unkId: number | undefined;
  readonly addedTokens: readonly AddedToken[];

  private constructor(pipeline: Pipeline, settings: TokenizerSettings, where: string) {
    const idOf = (token: string | undefined, name: string): number | undefined => {
      if (token === undefined) return undefined;
      const id = pipeline.idOf.get(token);
      if (id === undefined) throw badTokenizer(`${where}: ${name}`, 'a token of the vocabulary', token);
      return id;
    };
    this.#pipeline = pipeline;
    this.#chatTemplates = settings.chatTemplates ?? {};
    this.#special = new Set(pipeline.addedTokens.filter((t) => t.special).map((t) => t.id));
    this.bosId = idOf(settings.bosToken, 'bos_token') ?? settings.bosId;
    this.padId = idOf(settings.padToken, 'pad_token') ?? settings.padId;
    this.unkId = idOf(settings.unkToken, 'unk_token');
    const eosId = idOf(settings.eosToken, 'eos_token');
    this.eosIds = [...new Set([...(settings.eosIds ?? []), ...(eosId === undefined ? [] : [eosId])])];
    this.addedTokens = pipeline.addedTokens;
    this.#specialStrings = Object.fromEntries(
      [
        ['bos_token', settings.bosToken ?? this.#tokenOf(this.bosId)],
        ['eos_token', settings.eosToken ?? this.#tokenOf(this.eosIds[0])],
        ['pad_token', settings.padToken ?? this.#tokenOf(this.padId)],
        ['unk_token', settings.unkToken],
      ].filter((pair): pair is [string, string] => pair[1] !== undefined),
    );
    this.#before = withToken(pipeline.template.before, this.bosId, settings.addBos, 'first');
    this.#after = withToken(pipeline.template.after, eosId ?? this.eosIds[0], settings.addEos, 'last');
  }

  /** From a parsed tokenizer.json and what stands beside it; `where` names the source in errors. */
  static fromJson(
    tokenizerJson: unknown,
    settings: TokenizerSettings = {},
    where = 'tokenizer.json',
  ): Tokenizer {
    return new Tokenizer(parsePipeline(tokenizerJson, where, settings.extraTokens), settings, where);
  }

  /** Ids, token strings and character offsets. `encodeIds` is faster where ids are enough. */
  encode(text: string, options: EncodeOptions = {}): Encoding {
    const { ids, offsets } = this.#pipeline.idsWithOffsets(text);
    const [before, after] = this.#around(ids, options);
    const all = [...before, ...ids, ...after];
    return {
      ids: all,
      tokens: all.map((id) => this.#pipeline.tokenOf.get(id) as string),
      offsets: [
        ...before.map((): [number, number] => [0, 0]),
        ...offsets,
        ...after.map((): [number, number] => [text.length, text.length]),
      ],
    };
  }

  /** Ids alone. */
  encodeIds(text: string, options: EncodeOptions = {}): number[] {
    const ids = this.#pipeline.ids(text);
    const [before, after] = this.#around(ids, options);
    return before.length + after.length === 0 ? ids : [...before, ...ids, ...after];
  }

  /** Ids of one text (of `encodeIds` without special tokens) with the template's special tokens around them. */
  surround(ids: readonly number[]): number[] {
    return [...this.#before, ...ids, ...this.#after];
  }

  /** Ids of two texts as the template joins them; undefined where it knows single texts only. */
  join(first: readonly number[], second: readonly number[]): JoinedIds | undefined {
    const { pair } = this.#pipeline.template;
    return pair && joinPair(pair, first, second);
  }

  /** Text of ids; ids without a token (padding of the embedding) give nothing. Broken UTF-8 becomes U+FFFD; spaces are never tidied (`clean_up_tokenization_spaces` is ignored). */
  decode(ids: readonly number[], options: DetokenizeOptions = {}): string {
    const known = ids.filter((id) => this.#pipeline.tokenOf.has(id) || !Number.isInteger(id) || id < 0);
    return this.#pipeline.decoder.decode(this.tokenStrings(known, options), true);
  }

  /** Decode token by token, for streaming: every piece is whole characters, and the pieces join to what `decode` gives. */
  decodeStream(options: DetokenizeOptions = {}): DecodeStream {
    return new DecodeStream(this.#pipeline.decoder, (id) =>
      options.skipSpecialTokens && this.#special.has(id) ? undefined : this.#pipeline.tokenOf.get(id),
    );
  }

  /** Vocabulary strings of ids, a string for each; empty for ids without a token (padding of the embedding). */
  tokenStrings(ids: readonly number[], options: DetokenizeOptions = {}): string[] {
    const out: string[] = [];
    for (const id of ids) {
      if (options.skipSpecialTokens && this.#special.has(id)) continue;
      const token = this.#pipeline.tokenOf.get(id);
      if (token === undefined && !(Number.isInteger(id) && id >= 0))
        throw new InputError(`decode: no token has id ${id} (vocabulary of ${this.vocabSize})`, {
          id: 'tensor-invalid',
        });
      out.push(token ?? '');
    }
    return out;
  }

  tokenToId(token: string): number | undefined {
    return this.#pipeline.idOf.get(token);
  }

  idToToken(id: number): string | undefined {
    return this.#pipeline.tokenOf.get(id);
  }

  /** Number of tokens, added ones included. A model may have more rows (padding of the embedding). */
  get vocabSize(): number {
    return this.#pipeline.tokenOf.size;
  }

  /** One more than the largest id that has a token: what a model has beyond is padding of its embedding. */
  get idLimit(): number {
    let limit = 0;
    for (const id of this.#pipeline.tokenOf.keys()) if (id >= limit) limit = id + 1;
    return limit;
  }

  /** Largest id of a token that ordinary text can give (added tokens aside; −1 without any). */
  get largestTextId(): number {
    const added = new Set(this.addedTokens.map((t) => t.id));
    let largest = -1;
    for (const id of this.#pipeline.tokenOf.keys()) if (id > largest && !added.has(id)) largest = id;
    return largest;
  }

  /** True for tokens marked special. */
  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  /** The default chat template's source, undefined if the model has none. */
  get chatTemplate(): string | undefined {
    return this.#chatTemplates.default;
  }

  /** The messages as the model was trained to read them. The template writes the special tokens it wants: encode with {@link encodeChat} or `addSpecialTokens: false`. */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    const name = options.template ?? 'default';
    const source = Object.hasOwn(this.#chatTemplates, name) ? this.#chatTemplates[name] : undefined;
    if (source === undefined) {
      const names = Object.keys(this.#chatTemplates);
      const there =
        names.length > 0
          ? `it has: ${names.join(', ')}`
          : 'it is a base model; use a template such as raw, instruction or alpaca';
      throw new InputError(`chat template: this model has no template "${name}"; ${there}`, {
        id: 'chat-template',
      });
    }
    return renderChat(source, messages, this.#specialStrings, options);
  }

  /** Encoding of the templated messages; offsets refer to `text`. No second BOS is added, as in Hugging Face. */
  encodeChat(
    messages: readonly ChatMessage[],
    options: ChatOptions = {},
  ): Encoding & { readonly text: string } {
    const text = this.applyChatTemplate(messages, options);
    return { ...this.encode(text, { addSpecialTokens: false }), text };
  }

  #tokenOf(id: number | undefined): string | undefined {
    return id === undefined ? undefined : this.#pipeline.tokenOf.get(id);
  }

  #around(
    ids: readonly number[],
    options: EncodeOptions,
  ): [before: readonly number[], after: readonly number[]] {
    const add = options.addSpecialTokens ?? true;
    if (add === false || (add === 'auto' && this.bosId !== undefined && ids[0] === this.bosId))
      return [[], []];
    return [this.#before, this.#after];
  }
}

/** The template's ids with BOS (or EOS) put in or taken out as `add_bos_token` says; undefined leaves them. */
function withToken(
  ids: readonly number[],
  id: number | undefined,
  add: boolean | undefined,
  side: 'first' | 'last',
): readonly number[] {
  if (add === undefined || id === undefined || ids.includes(id) === add) return ids;
  if (!add) return ids.filter((other) => other !== id);
  return side === 'first' ? [id, ...ids] : [...ids, id];
}
