/** @file A model as a GGUF for llama.cpp and Ollama, with the metadata of the GGUF it was made from or described by its own files. */
import { basename } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { refuseForeignFile } from '../base/index.ts';
import { ggufConfig } from './checkpoint/gguf/config.ts';
import { type WriteOptions, writeGgufLike } from './checkpoint/gguf/export.ts';
import { openParts, partsSource } from './checkpoint/gguf/parts.ts';
import { type GgufTemplate, templateOf, unsaid } from './checkpoint/gguf/template.ts';
import type { Checkpoint } from './checkpoint/index.ts';
import type { ModelConfig } from './config.ts';
import { parseModelConfig } from './families/index.ts';
import { tokenizerDifference, vocabularyEntries } from './tokenizer/gguf-write.ts';
import { readTokenizerFolder } from './tokenizer/index.ts';

/** Options of {@link exportGguf}. */
export interface ExportGgufOptions extends WriteOptions {
  /** The GGUF whose metadata is taken: the model that `checkpoint` was made from. Defaults to what its own config and tokenizer say. */
  readonly like?: string | undefined;
}

/**
 * Write `checkpoint` to the file `out`. Holds one tensor at a time.
 *
 * @throws InputError when its tensors are not those of `like`, a GGUF cannot say what its config or tokenizer says, a value does not fit
 * float16, or `out` holds what crosspatch did not write
 */
export async function exportGguf(
  checkpoint: Checkpoint,
  out: string,
  { like = checkpoint.kind === 'gguf' ? checkpoint.path : undefined, ...how }: ExportGgufOptions = {},
): Promise<void> {
  const reads = [checkpoint.path, ...(like === undefined ? [] : [like])];
  await refuseForeignFile(out, (text) => text.startsWith('GGUF'), { reads });
  if (like === undefined) return writeGgufLike(checkpoint, out, await described(checkpoint), how);
  const { gguf, parts } = await openParts(like);
  using source = partsSource(parts);
  await writeGgufLike(checkpoint, out, { gguf, source, where: basename(like) }, how);
}

/** By its own files; what is written is read back, and must say the same. */
async function described(checkpoint: Checkpoint): Promise<GgufTemplate> {
  const { path } = checkpoint;
  const model = parseModelConfig(checkpoint.config, path);
  const files = await readTokenizerFolder(checkpoint.folder);
  const template = templateOf(checkpoint, model, vocabularyEntries(files, model.vocabSize, path));
  const read = parseModelConfig(ggufConfig(template.gguf, template.source, path), path);
  const changed = Object.keys({ ...model, ...read } satisfies ModelConfig)
    .filter((key) => key !== 'modelType')
    .filter((key) => !isDeepStrictEqual(model[key as keyof ModelConfig], read[key as keyof ModelConfig]));
  if (changed.length > 0) throw unsaid(path, `a GGUF of it would lose ${changed.join(', ')}`);
  const difference = tokenizerDifference(files, template.gguf.metadata);
  if (difference !== undefined) throw unsaid(path, `a GGUF of its tokenizer would change ${difference}`);
  return template;
}
