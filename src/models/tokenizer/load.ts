/** @file Load a tokenizer from a Hugging Face folder or from the metadata of a GGUF file. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeText, errorLine, InputError, parseJson } from '../../base/index.ts';
import type { TokenizerFiles } from './files.ts';
import { tokenizerFilesFromGguf } from './gguf.ts';
import type { GgufMetadata } from './gguf-vocabulary.ts';
import { asArray, asId, asObject, asString, badTokenizer, type JsonObject } from './parse.ts';
import { specialTokens } from './special-tokens.ts';
import { Tokenizer, type TokenizerSettings } from './tokenizer.ts';

/** A model folder with a tokenizer.json, or the key-value metadata of a GGUF file. */
export type TokenizerSource = { readonly folder: string } | { readonly gguf: GgufMetadata };

/** What configs and GGUF files write where there is no such token: −1, or the same 32 bits without a sign. */
const NO_TOKEN = 0xffff_ffff;
/** No tokenizer file is near this; a larger one is not read. */
const MAX_FILE_BYTES = 200_000_000;

/** Everything wrong with the files ends in one `InputError`. */
export async function loadTokenizer(source: TokenizerSource): Promise<Tokenizer> {
  return 'gguf' in source
    ? tokenizerFromFiles(tokenizerFilesFromGguf(source.gguf), 'GGUF metadata')
    : tokenizerFromFiles(await readTokenizerFolder(source.folder), join(source.folder, 'tokenizer.json'));
}

/** Read the tokenizer files of a folder. */
export async function readTokenizerFolder(folder: string): Promise<TokenizerFiles> {
  const [
    tokenizerJson,
    tokenizerConfig,
    specialTokensMap,
    addedTokens,
    generationConfig,
    config,
    chatTemplate,
    chatTemplateJson,
  ] = await Promise.all([
    readJson(join(folder, 'tokenizer.json')),
    readJson(join(folder, 'tokenizer_config.json')),
    readJson(join(folder, 'special_tokens_map.json')),
    readJson(join(folder, 'added_tokens.json')),
    readJson(join(folder, 'generation_config.json')),
    readJson(join(folder, 'config.json')),
    readText(join(folder, 'chat_template.jinja')),
    readJson(join(folder, 'chat_template.json')),
  ]);
  if (tokenizerJson === undefined)
    throw new InputError(
      `tokenizer: ${join(folder, 'tokenizer.json')} is missing; sentencepiece-only folders must be saved with a fast tokenizer first`,
      { id: 'tokenizer-damaged' },
    );
  const template = chatTemplate ?? chatTemplateJson?.chat_template;
  return {
    tokenizerJson,
    tokenizerConfig,
    specialTokensMap,
    addedTokens,
    generationConfig,
    config,
    chatTemplate: template === undefined ? undefined : asString(template, `${folder}: chat_template`),
  };
}

/** Put parsed files together; `where` names them in errors. */
export function tokenizerFromFiles(files: TokenizerFiles, where = 'tokenizer.json'): Tokenizer {
  return Tokenizer.fromJson(files.tokenizerJson, settingsFromFiles(files, where), where);
}

function settingsFromFiles(files: TokenizerFiles, where: string): TokenizerSettings {
  const config = files.tokenizerConfig ?? {};
  const special = specialTokens(files, where);
  const generation = files.generationConfig ?? files.config ?? {};
  const flag = (name: string): boolean | undefined => {
    const value = config[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'boolean') throw badTokenizer(`${where}: ${name}`, 'true or false', value);
    return value;
  };
  const ids = (name: string): number[] => {
    const value = generation[name];
    if (value === undefined || value === null) return [];
    return (Array.isArray(value) ? value : [value])
      .filter((id) => id !== -1 && id !== NO_TOKEN)
      .map((id) => asId(id, `${where}: ${name}`));
  };
  return dropUndefined({
    bosToken: special.named('bos_token'),
    eosToken: special.named('eos_token'),
    padToken: special.named('pad_token'),
    unkToken: special.named('unk_token'),
    extraTokens: special.extra,
    eosIds: ids('eos_token_id'),
    bosId: ids('bos_token_id')[0],
    padId: ids('pad_token_id')[0],
    addBos: flag('add_bos_token'),
    addEos: flag('add_eos_token'),
    chatTemplates: chatTemplates(files.chatTemplate ?? config.chat_template, `${where}: chat_template`),
  });
}

/** One template, or a list of `{name, template}`. */
function chatTemplates(value: unknown, where: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (typeof value === 'string') return { default: value };
  return Object.fromEntries(
    asArray(value, where).map((item) => {
      const entry = asObject(item, where);
      return [asString(entry.name, `${where}.name`), asString(entry.template, `${where}.template`)];
    }),
  );
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function dropUndefined<T extends object>(value: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as Partial<Defined<T>>;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES)
      throw new InputError(`tokenizer: ${path}: wanted at most ${MAX_FILE_BYTES} bytes, got ${size}`, {
        id: 'file-unreadable',
      });
    return decodeText(await readFile(path), path);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new InputError(`tokenizer: cannot read ${path}: ${errorLine(cause)}`, {
      id: 'tokenizer-damaged',
      cause,
    });
  }
}

async function readJson(path: string): Promise<JsonObject | undefined> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  return asObject(parseJson(text, `tokenizer: ${path}`, { repeatedKeys: true }), path);
}
