/** @file Make the word-level tokenizer of the bundled Llamas: a tokenizer.json that Hugging Face transformers loads as well. */
import { InputError } from '../../base/index.ts';
import { addedToken } from './json-parts.ts';
import type { JsonObject } from './parse.ts';

/** A trained tokenizer as the two files of a model folder. */
export interface TrainedTokenizer {
  readonly tokenizerJson: JsonObject;
  readonly tokenizerConfig: JsonObject;
}

export interface WordLevelOptions {
  /** Words that stand between bars: `| prod |` is decoded as `|prod|` for these. Defaults to none. */
  readonly tags?: readonly string[];
}

/** Ids 0 to 3. */
const SPECIAL = { pad: '<pad>', bos: '<s>', eos: '</s>', unk: '<unk>' } as const;

/** A newline, a run of `#`, one other mark, or a run of anything else but white space: what counts as a word. */
const WORD = `\\n|#+|[.,:;?!|'"-]|[^\\s.,:;?!|#'"-]+`;

/**
 * Word-level tokenizer over `corpusWords` (ids from 4 in the given order; repeats are dropped): white space separates and vanishes, a
 * newline is a token, a run of `#` is a token, each of `. , : ; ? ! | ' " -` is one, unknown words are `<unk>`, `<s>` is put in front.
 *
 * Words carry no space of their own; decoding puts one between words, but none before `. , : ; ? !`, around a newline,
 * in `name's`, and inside the bars of a tag. So `decode(encode(x), {skipSpecialTokens: true})` is x for text written that way;
 * `-` and `"` come back with spaces around them.
 *
 * Throws {@link InputError} for a word that the pattern would cut or that names a special token.
 */
export function trainWordLevel(
  corpusWords: Iterable<string>,
  options: WordLevelOptions = {},
): TrainedTokenizer {
  const special: string[] = Object.values(SPECIAL);
  const whole = new RegExp(`^(?:${WORD})$`, 'u');
  const vocab = new Map(special.map((token, id) => [token, id]));
  for (const word of corpusWords) {
    if (special.includes(word) || !whole.test(word))
      throw new InputError(
        `word-level tokenizer: ${JSON.stringify(word)} is not one word; cut the corpus into words first`,
        { id: 'tokenizer-damaged' },
      );
    if (!vocab.has(word)) vocab.set(word, vocab.size);
  }
  const bos = { SpecialToken: { id: SPECIAL.bos, type_id: 0 } };
  const tokenizerJson: JsonObject = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => addedToken({ id, content, special: true })),
    normalizer: null,
    // Inverted: what the pattern does not match is removed.
    pre_tokenizer: { type: 'Split', pattern: { Regex: WORD }, behavior: 'Removed', invert: true },
    post_processor: {
      type: 'TemplateProcessing',
      single: [bos, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [bos, { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { [SPECIAL.bos]: { id: SPECIAL.bos, ids: [1], tokens: [SPECIAL.bos] } },
    },
    decoder: { type: 'Sequence', decoders: decoders(options.tags ?? []) },
    model: { type: 'WordLevel', vocab: Object.fromEntries(vocab), unk_token: SPECIAL.unk },
  };
  const tokenizerConfig: JsonObject = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: SPECIAL.bos,
    eos_token: SPECIAL.eos,
    unk_token: SPECIAL.unk,
    pad_token: SPECIAL.pad,
    add_bos_token: true,
    add_eos_token: false,
    clean_up_tokenization_spaces: false,
  };
  return { tokenizerJson, tokenizerConfig };
}

/** Join with spaces (a word-piece join whose prefix occurs in no token), then take out those that do not belong. */
function decoders(tags: readonly string[]): JsonObject[] {
  const remove = (pattern: string): JsonObject => ({
    type: 'Replace',
    pattern: { Regex: pattern },
    content: '',
  });
  return [
    { type: 'WordPiece', prefix: '\u2060', cleanup: false },
    { type: 'Fuse' },
    remove(` (?=[.,:;?!'\\n])`),
    remove('(?<=\\n) '),
    remove(`(?<=\\p{L}') (?=\\p{L})`),
    ...tagDecoders(tags).map(remove),
  ];
}

/**
 * Spaces inside `| tag |`: after an opening bar (one that does not itself close a tag), then before the closing bar. Every rule
 * looks back or at the word after the space only, so that streaming gives the same text.
 */
function tagDecoders(tags: readonly string[]): string[] {
  if (tags.length === 0) return [];
  const escaped = tags.map((t) => {
    if (!/^[\p{L}\p{N}_]+$/u.test(t))
      throw new InputError(`word-level tokenizer: tag ${JSON.stringify(t)} is not one word`, {
        id: 'tokenizer-damaged',
      });
    return t;
  });
  const closed = escaped.map((t) => `\\| ${t} \\|`).join('|');
  const opened = escaped.map((t) => `\\|${t}`).join('|');
  return [`(?<!${closed})(?<=\\|) (?=(?:${escaped.join('|')})(?![^\\s.,:;?!|]))`, `(?<=${opened}) (?=\\|)`];
}
