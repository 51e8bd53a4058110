/** @file Parts of a tokenizer.json that several makers of one write. */
import type { CutMerges } from './gguf-spm.ts';
import type { JsonObject } from './parse.ts';
import type { Vocab } from './token-model.ts';

/** An entry of `added_tokens`. */
export function addedToken(token: {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}): JsonObject {
  const { id, content, special } = token;
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special };
}

/** A `model` of type BPE; `options` stand in place of the defaults. */
export function bpeModel(
  vocab: Readonly<Record<string, number>> | Vocab,
  merges: readonly unknown[] | CutMerges,
  options: JsonObject = {},
): JsonObject {
  return {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    ...options,
    vocab,
    merges,
  };
}
