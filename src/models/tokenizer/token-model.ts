/** @file What every model inside a tokenizer is, and what their descriptions share. */
import { asId, asObject, asString, badTokenizer, isId, type JsonObject } from './parse.ts';

/** Tokens of one word; token i covers units [starts[i], ends[i]) of it. Bytes of one character share its range. */
export interface Word {
  readonly ids: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

export interface TokenModel {
  readonly vocab: ReadonlyMap<string, number>;
  /** Call `emit` with the words (see {@link Word}) that `text` consists of and where in `text` each begins. */
  tokenize(text: string, emit: (word: Word, at: number) => void): void;
}

/** A vocabulary that needs no reading: ids by token, as a tokenizer.json built in memory holds them. */
export class Vocab extends Map<string, number> {
  toJSON(): Record<string, number> {
    const out = Object.create(null) as Record<string, number>;
    for (const [token, id] of this) out[token] = id;
    return out;
  }
}

export function parseVocab(value: unknown, where: string): ReadonlyMap<string, number> {
  if (value instanceof Vocab) return value;
  const vocab = new Map<string, number>();
  // Names of places are made only where one is needed: there are hundreds of thousands of tokens.
  for (const [token, id] of Object.entries(asObject(value, where)))
    vocab.set(token, isId(id) ? id : asId(id, `${where}[${JSON.stringify(token)}]`));
  if (vocab.size === 0) throw badTokenizer(where, 'at least one token', value);
  return vocab;
}

/** Id of the token that stands for unknown words. */
export function unknownId(obj: JsonObject, vocab: ReadonlyMap<string, number>, where: string): number {
  const token = asString(obj.unk_token, `${where}.unk_token`);
  const id = vocab.get(token);
  if (id === undefined) throw badTokenizer(`${where}.unk_token`, 'a token of the vocabulary', token);
  return id;
}
