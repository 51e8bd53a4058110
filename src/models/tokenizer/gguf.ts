/**
 * @file The tokenizer inside a GGUF file as the files of a Hugging Face folder, so that one executor serves both and
 * `models convert` can write them. Byte-level BPE (`gpt2`) and SentencePiece BPE (`llama`, also Gemma's).
 *
 * Keys: the GGUF specification of ggml and llama.cpp's vocabulary loader.
 */
import { fallbackToken } from './bytes.ts';
import type { TokenizerFiles } from './files.ts';
import { CutMerges } from './gguf-spm.ts';
import {
  badKey,
  flagAt,
  type GgufMetadata,
  idAt,
  LLAMA3,
  listOf,
  readVocabulary,
  TYPE,
  type Vocabulary,
} from './gguf-vocabulary.ts';
import { addedToken, bpeModel } from './json-parts.ts';
import type { JsonObject } from './parse.ts';
import { Vocab } from './token-model.ts';

/** An equivalent tokenizer.json; `JSON.stringify` writes out what is held in shorter forms. */
export function tokenizerJsonFromGguf(metadata: GgufMetadata): JsonObject {
  return buildTokenizerJson(readVocabulary(metadata));
}

/** tokenizer.json, tokenizer_config.json and generation_config.json of a GGUF file's tokenizer. */
export function tokenizerFilesFromGguf(
  metadata: GgufMetadata,
): TokenizerFiles & { readonly tokenizerConfig: JsonObject; readonly generationConfig: JsonObject } {
  const v = readVocabulary(metadata);
  const tokenOf = (id: number | undefined): string | undefined =>
    id === undefined ? undefined : v.tokens[id];
  const chatTemplate = v.get('tokenizer.chat_template') ?? '';
  if (typeof chatTemplate !== 'string')
    throw badKey('tokenizer.chat_template', 'a string', typeof chatTemplate);
  const tokenizerConfig: JsonObject = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    add_bos_token: v.addBos,
    add_eos_token: v.addEos,
    clean_up_tokenization_spaces: false,
  };
  for (const [name, id] of [
    ['bos_token', v.bos],
    ['eos_token', v.eos],
    ['pad_token', v.pad],
    ['unk_token', v.unk],
  ] as const) {
    const token = tokenOf(id);
    if (token !== undefined) tokenizerConfig[name] = token;
  }
  if (chatTemplate !== '') tokenizerConfig.chat_template = chatTemplate;
  const generationConfig: JsonObject = {
    eos_token_id: endIds(v, chatTemplate),
  };
  if (v.bos !== undefined) generationConfig.bos_token_id = v.bos;
  if (v.pad !== undefined) generationConfig.pad_token_id = v.pad;
  return { tokenizerJson: buildTokenizerJson(v), tokenizerConfig, generationConfig };
}

/** The files as texts by name, ready to be written into a converted folder (its generation_config.json is the model's own). */
export function tokenizerTextsFromGguf(
  metadata: GgufMetadata,
): Record<'tokenizer.json' | 'tokenizer_config.json', string> {
  const files = tokenizerFilesFromGguf(metadata);
  return {
    'tokenizer.json': `${JSON.stringify(files.tokenizerJson)}\n`,
    'tokenizer_config.json': `${JSON.stringify(files.tokenizerConfig, null, 2)}\n`,
  };
}

/** Ids that end generation besides `eos`: end of turn and end of message, by key and by the names chat templates write. */
function endIds(v: Vocabulary, chatTemplate: string): number[] {
  const ids = [v.eos, idAt(v, 'tokenizer.ggml.eot_token_id'), idAt(v, 'tokenizer.ggml.eom_token_id')];
  for (const name of ['<|im_end|>', '<|eot_id|>', '<|eom_id|>', '<end_of_turn>'])
    if (chatTemplate.includes(name)) ids.push(v.tokens.indexOf(name));
  return [...new Set(ids.filter((id): id is number => id !== undefined && id >= 0))];
}

function buildTokenizerJson(v: Vocabulary): JsonObject {
  const added: JsonObject[] = [];
  const vocab = new Vocab();
  for (const [id, token] of v.tokens.entries()) {
    const type = v.types[id];
    if (token !== '' && (type === TYPE.control || type === TYPE.userDefined || type === TYPE.unknown))
      added.push(addedToken({ id, content: token, special: type !== TYPE.userDefined }));
    vocab.set(token, id);
    if (vocab.size === id)
      throw badKey(`tokenizer.ggml.tokens[${id}]`, 'each token once', JSON.stringify(token));
  }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    ...(v.model === 'gpt2' ? byteLevelParts(v, vocab) : sentencePieceParts(v, vocab)),
    post_processor: templateOf(v),
  };
}

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const wordsWithNumbers = (numbers: string): string =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
/** Word pattern of Qwen2, 2.5 and 3. */
export const QWEN2_PATTERN = wordsWithNumbers('\\p{N}');
const TEKKEN =
  '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|' +
  '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|' +
  '\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

interface ByteLevelRecipe {
  /** Word pattern; undefined where ByteLevel's own (GPT-2's) is used. */
  readonly pattern?: string;
  readonly digitsAlone?: boolean;
  readonly nfc?: boolean;
  readonly ignoreMerges?: boolean;
}

/** How each `tokenizer.ggml.pre` cuts words: as the tokenizer.json of the models it is written for. */
const PRE: Readonly<Record<string, ByteLevelRecipe>> = {
  default: {},
  'gpt-2': {},
  gpt2: {},
  smollm: { digitsAlone: true },
  ...Object.fromEntries(
    LLAMA3.map((name) => [name, { pattern: wordsWithNumbers('\\p{N}{1,3}'), ignoreMerges: true }]),
  ),
  qwen2: { pattern: QWEN2_PATTERN, nfc: true },
  tekken: { pattern: TEKKEN, ignoreMerges: true },
};

/** Names of `tokenizer.ggml.pre` that llama.cpp knows as well, each with the parts of a tokenizer.json that it stands for. */
export const byteLevelCuts: ReadonlyMap<string, ByteLevelCut> = new Map(
  ['gpt-2', 'smollm', 'llama-bpe', 'qwen2', 'tekken'].map((name) => [name, cutOf(PRE[name] ?? {})]),
);

interface ByteLevelCut {
  readonly normalizer: JsonObject | null;
  readonly pre_tokenizer: JsonObject;
  readonly ignoreMerges: boolean;
}

function cutOf(recipe: ByteLevelRecipe): ByteLevelCut {
  const byteLevel = {
    type: 'ByteLevel',
    add_prefix_space: false,
    trim_offsets: false,
    use_regex: recipe.pattern === undefined,
  };
  const before = recipe.pattern
    ? [{ type: 'Split', pattern: { Regex: recipe.pattern }, behavior: 'Isolated', invert: false }]
    : recipe.digitsAlone
      ? [{ type: 'Digits', individual_digits: true }]
      : [];
  return {
    normalizer: recipe.nfc ? { type: 'NFC' } : null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...before, byteLevel] },
    ignoreMerges: recipe.ignoreMerges === true,
  };
}

function byteLevelParts(v: Vocabulary, vocab: Vocab): JsonObject {
  const recipe = Object.hasOwn(PRE, v.pre) ? PRE[v.pre] : undefined;
  if (!recipe)
    throw badKey('tokenizer.ggml.pre', `one of ${Object.keys(PRE).join(', ')}`, JSON.stringify(v.pre));
  const merges = listOf(v.get('tokenizer.ggml.merges'), 'string', 'tokenizer.ggml.merges');
  const { normalizer, pre_tokenizer, ignoreMerges } = cutOf(recipe);
  return {
    normalizer,
    pre_tokenizer,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: bpeModel(vocab, merges, { ignore_merges: ignoreMerges }),
  };
}

function sentencePieceParts(v: Vocabulary, vocab: Vocab): JsonObject {
  const scores = listOf(v.get('tokenizer.ggml.scores'), 'number', 'tokenizer.ggml.scores');
  if (scores.length !== v.tokens.length)
    throw badKey('tokenizer.ggml.scores', `${v.tokens.length} scores`, `${scores.length}`);
  for (let b = 0; b < 256; b++)
    if (!vocab.has(fallbackToken(b)))
      throw badKey('tokenizer.ggml.tokens', `the byte token ${fallbackToken(b)}`, 'none');
  // User-defined tokens have score 0 in a SentencePiece model; the converter replaces it by −1000.
  const scoreOf = (id: number): number | undefined =>
    v.types[id] === TYPE.normal ? scores[id] : v.types[id] === TYPE.userDefined ? 0 : undefined;
  const spacePrefix = flagAt(v.get, 'tokenizer.ggml.add_space_prefix', true);
  const toMark = { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' };
  const toSpace = { type: 'Replace', pattern: { String: '\u2581' }, content: ' ' };
  return {
    normalizer: spacePrefix
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '\u2581' }, toMark] }
      : toMark,
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        toSpace,
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(spacePrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: bpeModel(vocab, new CutMerges(v.tokens, vocab, scoreOf), {
      unk_token: v.unk === undefined ? null : v.tokens[v.unk],
      fuse_unk: true,
      byte_fallback: true,
    }),
  };
}

/** BOS before and EOS after the text where the flags say so. */
function templateOf(v: Vocabulary): JsonObject | null {
  const before = v.addBos && v.bos !== undefined ? [v.bos] : [];
  const after = v.addEos && v.eos !== undefined ? [v.eos] : [];
  if (before.length + after.length === 0) return null;
  const special = (id: number, typeId: number): JsonObject => ({
    SpecialToken: { id: v.tokens[id], type_id: typeId },
  });
  const around = (name: 'A' | 'B', typeId: number): JsonObject[] => [
    ...before.map((id) => special(id, typeId)),
    { Sequence: { id: name, type_id: typeId } },
    ...after.map((id) => special(id, typeId)),
  ];
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries(
      [...before, ...after].map((id) => [
        v.tokens[id],
        { id: v.tokens[id], ids: [id], tokens: [v.tokens[id]] },
      ]),
    ),
  };
}
