/** @file Load a tokenizer from a Hugging Face folder or from the metadata of a GGUF file. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorLine, InputError } from '../../base/index.ts';
import { tokenizerFilesFromGguf } from './gguf.ts';
import type { GgufMetadata } from './gguf-vocabulary.ts';
import { asArray, asId, asObject, asString, badTokenizer, type JsonObject } from './parse.ts';
import { Tokenizer, type TokenizerSettings } from './tokenizer.ts';

/** A model folder with a tokenizer.json, or the key-value metadata of a GGUF file. */
export type TokenizerSource = { readonly folder: string } | { readonly gguf: GgufMetadata };

/** The parsed files that say what a tokenizer is; all but the first may be missing. */
export interface TokenizerFiles {
  readonly tokenizerJson: unknown;
  readonly tokenizerConfig?: JsonObject | undefined;
  readonly specialTokensMap?: JsonObject | undefined;
  readonly generationConfig?: JsonObject | undefined;
  /** config.json: its `eos_token_id` is used where there is no generation_config.json. */
  readonly config?: JsonObject | undefined;
  /** chat_template.jinja; wins over tokenizer_config.json. */
  readonly chatTemplate?: string | undefined;
}

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
    generationConfig,
    config,
    chatTemplate,
    chatTemplateJson,
  ] = await Promise.all([
    readJson(join(folder, 'tokenizer.json')),
    readJson(join(folder, 'tokenizer_config.json')),
    readJson(join(folder, 'special_tokens_map.json')),
    readJson(join(folder, 'generation_config.json')),
    readJson(join(folder, 'config.json')),
    readText(join(folder, 'chat_template.jinja')),
    readJson(join(folder, 'chat_template.json')),
  ]);
  if (tokenizerJson === undefined)
    throw new InputError(
      `tokenizer: ${join(folder, 'tokenizer.json')} is missing; sentencepiece-only folders must be saved with a fast tokenizer first`,
    );
  const template = chatTemplate ?? chatTemplateJson?.chat_template;
  return {
    tokenizerJson,
    tokenizerConfig,
    specialTokensMap,
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
  const special = files.specialTokensMap ?? {};
  const generation = files.generationConfig ?? files.config ?? {};
  const token = (name: string): string | undefined => {
    const value = config[name] ?? special[name];
    if (value === undefined || value === null) return undefined;
    const at = `${where}: ${name}`;
    return typeof value === 'string' ? value : asString(asObject(value, at).content, `${at}.content`);
  };
  const flag = (name: string): boolean | undefined => {
    const value = config[name];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== 'boolean') throw badTokenizer(`${where}: ${name}`, 'true or false', value);
    return value;
  };
  const ids = (name: string): number[] => {
    const value = generation[name];
    if (value === undefined || value === null) return [];
    return (Array.isArray(value) ? value : [value]).map((id) => asId(id, `${where}: ${name}`));
  };
  return dropUndefined({
    bosToken: token('bos_token'),
    eosToken: token('eos_token'),
    padToken: token('pad_token'),
    unkToken: token('unk_token'),
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
    return await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new InputError(`tokenizer: cannot read ${path}: ${errorLine(cause)}`, { cause });
  }
}

async function readJson(path: string): Promise<JsonObject | undefined> {
  const text = await readText(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InputError(`tokenizer: ${path} is not valid JSON; download the file again`);
  }
  return asObject(value, path);
}
