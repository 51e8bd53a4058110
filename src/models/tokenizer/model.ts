/** @file The model inside a tokenizer: one word of text → token ids. BPE (byte-level or with byte fallback) is here. */
import { fallbackToken, utf8 } from './bytes.ts';
import { CutMerges } from './gguf-spm.ts';
import { mergeSymbols } from './merge.ts';
import { type MergeRules, PairTable } from './pair-table.ts';
import {
  asArray,
  asBoolean,
  asObject,
  badTokenizer,
  type JsonObject,
  refuseUnknownKeys,
  typeOf,
  unsupported,
} from './parse.ts';
import { parseVocab, type TokenModel, unknownId, type Word } from './token-model.ts';
import { parseWordLevel, parseWordPiece } from './word-models.ts';

const models: Readonly<Record<string, (obj: JsonObject, where: string) => TokenModel>> = {
  BPE: parseBpe,
  WordLevel: parseWordLevel,
  WordPiece: parseWordPiece,
};

/** The `model` field of tokenizer.json. */
export function parseModel(value: unknown, where: string): TokenModel {
  const obj = asObject(value, where);
  // Files older than tokenizers 0.9 leave the type out for BPE.
  const type = obj.type === undefined && obj.merges !== undefined ? 'BPE' : typeOf(obj, where);
  const build = Object.hasOwn(models, type) ? models[type] : undefined;
  if (!build) throw unsupported(`${where}.type`, type, Object.keys(models));
  return build(obj, where);
}

const BPE_KEYS = [
  'vocab',
  'merges',
  'dropout',
  'unk_token',
  'continuing_subword_prefix',
  'end_of_word_suffix',
  'fuse_unk',
  'byte_fallback',
  'ignore_merges',
];

function parseBpe(obj: Record<string, unknown>, where: string): TokenModel {
  refuseUnknownKeys(obj, BPE_KEYS, where);
  if (obj.dropout) throw unsupported(`${where}.dropout`, obj.dropout, ['null']);
  for (const affix of ['continuing_subword_prefix', 'end_of_word_suffix'])
    if (obj[affix]) throw unsupported(`${where}.${affix}`, obj[affix], ['null']);
  const vocab = parseVocab(obj.vocab, `${where}.vocab`);
  const { merges } = obj;
  const rules =
    merges instanceof CutMerges
      ? merges.rules()
      : listedRules(asArray(merges, `${where}.merges`), vocab, `${where}.merges`);
  return new Bpe(vocab, rules, {
    unk: obj.unk_token === undefined || obj.unk_token === null ? undefined : unknownId(obj, vocab, where),
    fuseUnk: asBoolean(obj.fuse_unk, `${where}.fuse_unk`, false),
    byteFallback: asBoolean(obj.byte_fallback, `${where}.byte_fallback`, false),
    ignoreMerges: asBoolean(obj.ignore_merges, `${where}.ignore_merges`, false),
  });
}

interface BpeOptions {
  readonly unk: number | undefined;
  readonly fuseUnk: boolean;
  readonly byteFallback: boolean;
  /** A word that is a token as a whole is that token, whatever the merges would give. */
  readonly ignoreMerges: boolean;
}

/** Words kept ready; longer ones and more are worked out again. */
const CACHE_WORDS = 50_000;
const CACHE_LENGTH = 64;
const MARK = '\u2581';

class Bpe implements TokenModel {
  readonly vocab: ReadonlyMap<string, number>;
  readonly #rules: MergeRules;
  readonly #options: BpeOptions;
  /** Ids of the 256 byte-fallback tokens, or undefined unless all that a character needs exist. */
  readonly #byteIds: (number | undefined)[];
  readonly #cache = new Map<string, Word>();
  /** Characters that some token holds right before a ▁; elsewhere a word may be cut before ▁ and no token notices. */
  readonly #joinsMark: ReadonlySet<string> | undefined;
  #buffer = { ids: new Int32Array(256), starts: new Int32Array(256), ends: new Int32Array(256) };

  constructor(vocab: ReadonlyMap<string, number>, rules: MergeRules, options: BpeOptions) {
    this.vocab = vocab;
    this.#options = options;
    this.#rules = rules;
    this.#byteIds = Array.from({ length: 256 }, (_, b) =>
      options.byteFallback ? vocab.get(fallbackToken(b)) : undefined,
    );
    this.#joinsMark =
      !options.ignoreMerges && vocab.has(MARK) ? charactersBeforeMark(vocab.keys()) : undefined;
  }

  tokenize(text: string, emit: (word: Word, at: number) => void): void {
    if (!this.#joinsMark) {
      emit(this.#word(text), 0);
      return;
    }
    let start = 0;
    for (let at = text.indexOf(MARK, 1); at > 0; at = text.indexOf(MARK, at + 1)) {
      const before = text[at - 1] as string;
      if (before === MARK || this.#joinsMark.has(before)) continue;
      emit(this.#word(text.slice(start, at)), start);
      start = at;
    }
    emit(this.#word(start === 0 ? text : text.slice(start)), start);
  }

  #word(text: string): Word {
    const known = this.#cache.get(text);
    if (known) return known;
    const word = this.#merge(text);
    if (text.length <= CACHE_LENGTH) {
      if (this.#cache.size >= CACHE_WORDS) this.#cache.clear();
      this.#cache.set(text, word);
    }
    return word;
  }

  #merge(text: string): Word {
    if (this.#options.ignoreMerges) {
      const whole = this.vocab.get(text);
      if (whole !== undefined) return { ids: [whole], starts: [0], ends: [text.length] };
    }
    const symbols = this.#symbols(text);
    const n = mergeSymbols(this.#buffer, symbols, this.#rules);
    return {
      ids: Array.from(this.#buffer.ids.subarray(0, n)),
      starts: Array.from(this.#buffer.starts.subarray(0, n)),
      ends: Array.from(this.#buffer.ends.subarray(0, n)),
    };
  }

  /** One symbol a character; unknown characters become bytes, else the unknown token, else nothing (as in the Rust library). */
  #symbols(text: string): number {
    const { byteFallback, fuseUnk, unk } = this.#options;
    let n = 0;
    let pendingUnk = -1;
    let pendingEnd = 0;
    const add = (id: number, start: number, end: number): void => {
      if (n === this.#buffer.ids.length) this.#grow();
      this.#buffer.ids[n] = id;
      this.#buffer.starts[n] = start;
      this.#buffer.ends[n++] = end;
    };
    const flushUnk = (): void => {
      if (pendingUnk >= 0) add(unk as number, pendingUnk, pendingEnd);
      pendingUnk = -1;
    };
    for (let i = 0; i < text.length; ) {
      const code = text.codePointAt(i) as number;
      const end = i + (code > 0xffff ? 2 : 1);
      const char = text.slice(i, end);
      const id = this.vocab.get(char);
      const bytes = id === undefined && byteFallback ? this.#bytesOf(char) : undefined;
      if (id !== undefined) {
        flushUnk();
        add(id, i, end);
      } else if (bytes) for (const b of bytes) add(b, i, end);
      else if (unk !== undefined) {
        if (!fuseUnk) flushUnk();
        if (pendingUnk < 0) pendingUnk = i;
        pendingEnd = end;
      }
      i = end;
    }
    flushUnk();
    return n;
  }

  #bytesOf(char: string): number[] | undefined {
    const out: number[] = [];
    for (const b of utf8(char)) {
      const id = this.#byteIds[b];
      if (id === undefined) return undefined;
      out.push(id);
    }
    return out;
  }

  #grow(): void {
    const longer = (a: Int32Array): Int32Array<ArrayBuffer> => {
      const b = new Int32Array(a.length * 2);
      b.set(a);
      return b;
    };
    this.#buffer.ids = longer(this.#buffer.ids);
    this.#buffer.starts = longer(this.#buffer.starts);
    this.#buffer.ends = longer(this.#buffer.ends);
  }
}

/** The rules of a list, ranked by their places in it. */
function listedRules(
  merges: readonly unknown[],
  vocab: ReadonlyMap<string, number>,
  where: string,
): MergeRules {
  const rules = new PairTable(merges.length);
  for (let rank = 0; rank < merges.length; rank++) {
    const [left, right] = splitMerge(merges[rank]) ?? badMerge(merges[rank], `${where}[${rank}]`);
    const l = vocab.get(left);
    const r = vocab.get(right);
    const merged = vocab.get(left + right);
    if (l === undefined || r === undefined || merged === undefined)
      throw badTokenizer(
        `${where}[${rank}]`,
        'tokens of the vocabulary that join to a token of it',
        `${left} ${right}`,
      );
    rules.set(l, r, rank, merged);
  }
  return rules;
}

/** A merge is `"left right"` or `["left", "right"]` (the only form that allows spaces inside); undefined for anything else. */
function splitMerge(merge: unknown): readonly [string, string] | undefined {
  if (typeof merge === 'string') {
    const space = merge.indexOf(' ');
    const alone = space >= 0 && merge.indexOf(' ', space + 1) < 0;
    return alone ? [merge.slice(0, space), merge.slice(space + 1)] : undefined;
  }
  if (!Array.isArray(merge) || merge.length !== 2) return undefined;
  const [left, right] = merge as unknown[];
  return typeof left === 'string' && typeof right === 'string' ? [left, right] : undefined;
}

function badMerge(merge: unknown, where: string): never {
  throw badTokenizer(where, 'two tokens', merge);
}

function charactersBeforeMark(tokens: Iterable<string>): Set<string> {
  const out = new Set<string>();
  for (const token of tokens)
    for (let at = token.indexOf(MARK, 1); at > 0; at = token.indexOf(MARK, at + 1)) {
      const before = token[at - 1] as string;
      if (before !== MARK) out.add(before);
    }
  return out;
}
