/** @file A model with a PEFT adapter merged into a copy of its weights, which lies in a temporary folder. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { disposeAll, type Owned } from '../base/index.ts';
import type { LanguageModel } from '../models/index.ts';
import { mergeAdapterFolder } from '../train/index.ts';

/** A folder, removed when this is disposed of. */
export type Merged = Owned & { readonly path: string };

/** Merge the adapter in folder `adapter` into a float32 copy of `model` (path, bundled or hub name). */
export async function mergedFolder(model: string, adapter: string): Promise<Merged> {
  const folder = await mkdtemp(join(tmpdir(), 'crosspatch-merged-'));
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const path = join(folder, basename(model, '.gguf'));
  try {
    await mergeAdapterFolder({ model, adapter, out: path });
  } catch (error) {
    await remove();
    throw error;
  }
  return { path, [Symbol.asyncDispose]: remove };
}

/** `open` on the merged copy, which goes with the model: dispose of the whole. */
export async function openMerged(
  model: string,
  adapter: string,
  open: (path: string) => Promise<LanguageModel>,
): Promise<Owned & { readonly model: LanguageModel }> {
  const merged = await mergedFolder(model, adapter);
  try {
    const opened = await open(merged.path);
    return { model: opened, [Symbol.asyncDispose]: () => disposeAll([opened, merged]) };
  } catch (error) {
    await merged[Symbol.asyncDispose]();
    throw error;
  }
}
