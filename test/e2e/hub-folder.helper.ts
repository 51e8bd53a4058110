/** @file Folders in the layout of the hub's repositories: config, bfloat16 weights in one file or in shards, tokenizer files; and prompt files. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { tinyInstructions } from '../../src/behaviours/index.ts';
import { resolveModel, writeSafetensors } from '../../src/models/index.ts';

export type Json = Readonly<Record<string, unknown>>;
/** Tensors by name, row-major. */
export type Tensors = ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;

interface HubFolder {
  readonly config: Json;
  readonly tensors: Tensors;
  /** Further files by name. */
  readonly files: Readonly<Record<string, string>>;
  /** Defaults to 1. */
  readonly shards?: number;
}

/** Dialogues as HH-RLHF has them, and instructions as Alpaca has them, over what the bundled models know. */
export async function writePrompts(folder: string): Promise<{ dialogues: string; instructions: string }> {
  const asked = tinyInstructions({ seed: 2, train: 420, validation: 0, test: 0 });
  const jsonl = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const paths = {
    dialogues: join(folder, 'hh-rlhf-harmless-base-test.jsonl.gz'),
    instructions: join(folder, 'alpaca-instructions.jsonl'),
  };
  const said = (prompt: string, answer: string): string => `\n\nHuman: ${prompt}\n\nAssistant: ${answer}`;
  await writeFile(
    paths.dialogues,
    gzipSync(
      jsonl(
        asked.slice(0, 400).map(({ prompt, answer = '' }) => ({
          chosen: said(prompt, answer),
          rejected: said(prompt, 'no'),
        })),
      ),
    ),
  );
  await writeFile(paths.instructions, jsonl(asked.slice(400).map(({ prompt }) => ({ instruction: prompt }))));
  return paths;
}

/** Write a folder as the hub's have it: bfloat16, in one file or in shards with their index. */
export async function writeHubFolder(
  folder: string,
  { config, tensors, files, shards = 1 }: HubFolder,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const all = [...tensors].map(([name, { shape, data }]) => ({ name, dtype: 'BF16' as const, shape, data }));
  const each = Math.ceil(all.length / shards);
  const map: Record<string, string> = {};
  for (let k = 0; k < shards; k++) {
    const number = (n: number): string => String(n).padStart(5, '0');
    const file =
      shards === 1 ? 'model.safetensors' : `model-${number(k + 1)}-of-${number(shards)}.safetensors`;
    const part = all.slice(k * each, (k + 1) * each);
    for (const { name } of part) map[name] = file;
    await writeSafetensors(join(folder, file), part);
  }
  const total_size = all.reduce((n, { data }) => n + 2 * data.length, 0);
  const written: Readonly<Record<string, string>> = {
    ...files,
    'config.json': JSON.stringify(config),
    'README.md': '# A model',
  };
  for (const [name, text] of Object.entries(written)) await writeFile(join(folder, name), text);
  if (shards > 1)
    await writeFile(
      join(folder, 'model.safetensors.index.json'),
      JSON.stringify({ metadata: { total_size }, weight_map: map }),
    );
}

/** The bundled byte-level BPE with other special tokens, and the id of the first of them. */
export async function bundledTokenizer(tokens: readonly string[]): Promise<{ json: Json; first: number }> {
  const { path } = await resolveModel('tiny-qwen');
  const json = JSON.parse(await readFile(join(path, 'tokenizer.json'), 'utf8')) as Json & {
    model: { vocab: object };
  };
  const first = Object.keys(json.model.vocab).length;
  const added = tokens.map((content, i) => ({ id: first + i, ...special(content), special: true }));
  return { json: { ...json, added_tokens: added }, first };
}

/** A special token as tokenizer files write it. */
export function special(content: string): Json {
  return { content, single_word: false, lstrip: false, rstrip: false, normalized: false };
}

/** `added_tokens_decoder` of tokenizer_config.json. */
export function decoderOf({ added_tokens }: Json): Json {
  const added = added_tokens as readonly { readonly id: number }[];
  return Object.fromEntries(added.map(({ id, ...token }) => [id, token]));
}
