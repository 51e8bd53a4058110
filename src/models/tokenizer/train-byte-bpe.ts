/** @file Train a byte-level BPE (the tokenizer of the bundled Qwen) and write it as a tokenizer.json of Qwen2's form. */
import { InputError } from '../../base/index.ts';
import { BYTE_TO_CHAR, toByteChars } from './bytes.ts';
import { QWEN2_PATTERN } from './gguf.ts';
import { addedToken, bpeModel } from './json-parts.ts';
import type { JsonObject } from './parse.ts';
import { compilePattern } from './pattern.ts';
import type { TrainedTokenizer } from './train-word-level.ts';
import { toUnicodeForm } from './unicode-form.ts';

export interface ByteBpeOptions {
  /** Tokens in all: 256 bytes, merges and special tokens. Fewer come out where the texts hold too few pairs. */
  readonly vocabSize: number;
  /** Appended after the merges. The first ends a text and pads. Defaults to `<|endoftext|>`, `<|im_start|>`, `<|im_end|>`. */
  readonly specialTokens?: readonly string[];
  /** A pair seen fewer times is not merged. Defaults to 2. */
  readonly minCount?: number;
}

/**
 * Byte-level BPE over `texts`: NFC, words by Qwen2's pattern, then the most frequent neighbouring pair is merged until the vocabulary
 * is full (Sennrich et al. 2016). Ties go to the pair of smaller ids, so the result depends on the texts alone, not on their order.
 * Any text can be encoded, since all 256 bytes are tokens.
 */
export function trainByteBpe(texts: Iterable<string>, options: ByteBpeOptions): TrainedTokenizer {
  const special = options.specialTokens ?? ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
  const end = special[0];
  const room = options.vocabSize - BYTE_TO_CHAR.length - special.length;
  if (!Number.isInteger(room) || room < 0 || end === undefined || new Set(special).size !== special.length)
    throw new InputError(
      `byte-level BPE: vocabSize ${options.vocabSize} must hold 256 bytes and ${special.length} special tokens (at least one, all different)`,
      { id: 'tokenizer-damaged' },
    );
  const { tokens, merges } = learnMerges(countWords(texts), room, options.minCount ?? 2);
  const tokenizerJson: JsonObject = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, i) => addedToken({ id: tokens.length + i, content, special: true })),
    normalizer: { type: 'NFC' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: QWEN2_PATTERN }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    post_processor: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: bpeModel(Object.fromEntries(tokens.map((token, id) => [token, id])), merges),
  };
  const tokenizerConfig: JsonObject = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    eos_token: end,
    pad_token: end,
    clean_up_tokenization_spaces: false,
  };
  return { tokenizerJson, tokenizerConfig };
}

/** How often each word (in byte characters) occurs. */
function countWords(texts: Iterable<string>): Map<string, number> {
  const pattern = compilePattern(QWEN2_PATTERN, 'byte-level BPE');
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const [word] of toUnicodeForm(text, 'NFC').matchAll(pattern)) {
      const key = toByteChars(word);
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  return counts;
}

interface TrainingWord {
  ids: number[];
  readonly count: number;
}

/** A pair of neighbours: how often, and in which words. */
interface Pair {
  readonly left: number;
  readonly right: number;
  count: number;
  readonly words: Set<TrainingWord>;
}

/** Ids of a pair in one number; vocabularies stay below 2²⁴. */
const keyOf = (left: number, right: number): number => left * 2 ** 24 + right;

function learnMerges(
  counts: ReadonlyMap<string, number>,
  room: number,
  minCount: number,
): { tokens: string[]; merges: [string, string][] } {
  const tokens = BYTE_TO_CHAR.toSorted();
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const pairs = new Map<number, Pair>();
  for (const [word, count] of counts) {
    const entry: TrainingWord = { ids: Array.from(word, (c) => idOf.get(c) as number), count };
    addPairs(pairs, entry, 1);
  }
  const merges: [string, string][] = [];
  while (merges.length < room) {
    const best = bestPair(pairs);
    if (!best || best.count < minCount) break;
    const left = tokens[best.left] as string;
    const right = tokens[best.right] as string;
    // Two ways to the same token: it keeps its first id.
    let merged = idOf.get(left + right);
    if (merged === undefined) {
      merged = tokens.length;
      tokens.push(left + right);
      idOf.set(left + right, merged);
    }
    merges.push([left, right]);
    for (const word of [...best.words]) {
      addPairs(pairs, word, -1);
      word.ids = mergeIn(word.ids, best.left, best.right, merged);
      addPairs(pairs, word, 1);
    }
  }
  return { tokens, merges };
}

/** Count the pairs of a word in (`sign` 1) or out (−1). */
function addPairs(pairs: Map<number, Pair>, word: TrainingWord, sign: 1 | -1): void {
  for (let i = 0; i + 1 < word.ids.length; i++) {
    const left = word.ids[i] as number;
    const right = word.ids[i + 1] as number;
    const key = keyOf(left, right);
    let pair = pairs.get(key);
    if (!pair) pairs.set(key, (pair = { left, right, count: 0, words: new Set() }));
    pair.count += sign * word.count;
    if (sign > 0) pair.words.add(word);
    else pair.words.delete(word);
    if (pair.count === 0) pairs.delete(key);
  }
}

function bestPair(pairs: ReadonlyMap<number, Pair>): Pair | undefined {
  let best: Pair | undefined;
  for (const pair of pairs.values())
    if (
      !best ||
      pair.count > best.count ||
      (pair.count === best.count && keyOf(pair.left, pair.right) < keyOf(best.left, best.right))
    )
      best = pair;
  return best;
}

function mergeIn(ids: readonly number[], left: number, right: number, merged: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === left && ids[i + 1] === right) {
      out.push(merged);
      i++;
    } else out.push(ids[i] as number);
  }
  return out;
}
