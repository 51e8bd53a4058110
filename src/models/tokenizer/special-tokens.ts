/**
 * @file Special and added tokens that stand beside tokenizer.json: in tokenizer_config.json, special_tokens_map.json and
 * added_tokens.json, put together as transformers 5 does (`PreTrainedTokenizerFast`). Those tokenizer.json lacks are added.
 */
import type { TokenizerFiles } from './files.ts';
import { asArray, asBoolean, asId, asObject, asString, badTokenizer, type JsonObject } from './parse.ts';

/** A token to add where tokenizer.json has none of this content; its id is the vocabulary's, or the next free one. */
export interface ExtraToken {
  readonly content: string;
  readonly special: boolean;
  readonly normalized: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly singleWord: boolean;
  /** Its flags replace those of a token of the same content. */
  readonly replaces: boolean;
}

/** Named tokens in the order in which they are added. */
const NAMED = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
] as const;

/** What the files beside tokenizer.json say. */
interface SpecialTokens {
  /** Content of a named token; undefined where the model has none. */
  named(name: string): string | undefined;
  /** In the order in which they are added. */
  readonly extra: readonly ExtraToken[];
}

/** `where` names the folder's tokenizer in errors. */
export function specialTokens(files: TokenizerFiles, where: string): SpecialTokens {
  const config = files.tokenizerConfig ?? {};
  const listed = optional(config.added_tokens_decoder, `${where}: added_tokens_decoder`);
  // Only files without the list are from the time when special_tokens_map.json counted, and then it wins.
  const values: JsonObject = listed === undefined ? { ...config, ...files.specialTokensMap } : config;
  const named = NAMED.flatMap((name) => {
    const value = values[name];
    return value === undefined || value === null
      ? []
      : [[name, tokenOf(value, `${where}: ${name}`, true)] as const];
  });
  const further = furtherTokens(values, where);
  const special = new Set([...named.map(([, t]) => t.content), ...further.map((t) => t.content)]);
  const added =
    listed === undefined
      ? Object.entries(files.addedTokens ?? {})
          .map(([content, id]) => ({ id: asId(id, `${where}: added_tokens.json`), content }))
          .sort((a, b) => a.id - b.id)
          .map(({ content }) => plain(content, special.has(content)))
      : Object.entries(listed)
          .map(([id, value]) => [Number(id), value] as const)
          .sort(([a], [b]) => a - b)
          .map(([, value]) => ({
            ...tokenOf(value, `${where}: added_tokens_decoder`, false),
            replaces: true,
          }));
  const ofName = new Map<string, string>(named.map(([name, t]) => [name, t.content]));
  return {
    named: (name) => ofName.get(name),
    extra: [
      ...added.map((t) => (special.has(t.content) ? { ...t, special: true } : t)),
      ...named.map(([, t]) => t),
      ...further,
    ],
  };
}

/** `additional_special_tokens`, and `extra_special_tokens` as a list or by name. */
function furtherTokens(values: JsonObject, where: string): ExtraToken[] {
  return ['additional_special_tokens', 'extra_special_tokens'].flatMap((key) => {
    const value = values[key];
    if (value === undefined || value === null) return [];
    const at = `${where}: ${key}`;
    const tokens = Array.isArray(value) ? asArray(value, at) : Object.values(asObject(value, at));
    return tokens.map((token) => tokenOf(token, at, true));
  });
}

/** A token as a string, or with its flags. */
function tokenOf(value: unknown, where: string, special: boolean): ExtraToken {
  if (typeof value === 'string') return plain(value, special);
  const obj = asObject(value, where);
  const isSpecial = special || asBoolean(obj.special, `${where}.special`, false);
  return {
    content: asString(obj.content, `${where}.content`),
    special: isSpecial,
    normalized: asBoolean(obj.normalized, `${where}.normalized`, !isSpecial),
    lstrip: asBoolean(obj.lstrip, `${where}.lstrip`, false),
    rstrip: asBoolean(obj.rstrip, `${where}.rstrip`, false),
    singleWord: asBoolean(obj.single_word, `${where}.single_word`, false),
    replaces: false,
  };
}

function plain(content: string, special: boolean): ExtraToken {
  return {
    content,
    special,
    normalized: !special,
    lstrip: false,
    rstrip: false,
    singleWord: false,
    replaces: false,
  };
}

function optional(value: unknown, where: string): JsonObject | undefined {
  if (value === undefined || value === null) return undefined;
  const obj = asObject(value, where);
  for (const key of Object.keys(obj))
    if (!/^\d{1,10}$/.test(key)) throw badTokenizer(where, 'token ids as keys', key);
  return obj;
}
