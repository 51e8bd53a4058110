/** @file The bundled `tiny-llama-s`, or another, with changed files, for tests of what other people's exports look like. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint, type TensorToWrite, writeSafetensors } from './checkpoint/index.ts';
import type { TemporaryFolder } from './language-model.helper.ts';
import { LanguageModel } from './language-model.ts';

const assets = join(import.meta.dirname, '../../assets/tiny');

/** What differs from the bundled model. */
export interface Variant {
  /** Defaults to `tiny-llama-s`. */
  readonly of?: string;
  /** Keys of config.json; undefined takes one out. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Each tensor as it is to be written, under its name; undefined leaves it out, a list adds. */
  readonly tensors?: (tensor: TensorToWrite & { data: Float32Array }) => readonly TensorToWrite[];
  /** Further files, by name; they replace those of the model. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

/** A folder with the variant; it goes with its owner. */
export async function variantFolder({
  of = 'tiny-llama-s',
  config,
  tensors,
  files = {},
}: Variant): Promise<TemporaryFolder> {
  const bundled = join(assets, of);
  const path = await mkdtemp(join(tmpdir(), 'crosspatch-variant-'));
  await cp(bundled, path, { recursive: true });
  if (config !== undefined) {
    const file = join(path, 'config.json');
    const json = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    await writeFile(file, JSON.stringify({ ...json, ...config }));
  }
  if (tensors !== undefined) {
    const from = await openCheckpoint(bundled);
    const written: TensorToWrite[] = [];
    for (const { name, shape } of from.tensors.values()) {
      const { data } = await from.readTensor(name);
      written.push(...tensors({ name, dtype: 'F16', shape, data }));
    }
    await writeSafetensors(join(path, 'model.safetensors'), written);
  }
  for (const [name, data] of Object.entries(files)) await writeFile(join(path, name), data);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The first four logits of the last position of tokens 1, 15, 20, to four digits, as the goldens of transformers have them. */
export async function firstLogits(path: string): Promise<string> {
  await using model = await LanguageModel.load(path, { threads: 1 });
  const { logits } = await model.forward([1, 15, 20]);
  const at = 2 * model.config.vocabSize;
  return Array.from(logits.data.subarray(at, at + 4), (v) => v.toFixed(4)).join(' ');
}
