/** @file A model with a PEFT adapter merged into a copy of its weights, which lies in a temporary folder. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { disposeAll, type Owned } from '../base/index.ts';
import type { LanguageModel } from '../models/index.ts';
import { mergeAdapterFolder } from '../train/index.ts';

/** Where a model lies; a copy is removed when this is disposed of. */
export type Place = Owned & { readonly path: string };

/** Merge the adapter in folder `adapter` into a float32 copy of `model` (path, bundled or hub name). */
export async function mergedFolder(model: string, adapter: string): Promise<Place> {
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

/** `open` what lies at `place`, which goes with the model: dispose of the whole. */
export async function openAt(
  place: Place,
  open: (path: string) => Promise<LanguageModel>,
): Promise<Owned & { readonly model: LanguageModel }> {
  try {
    const model = await open(place.path);
    return { model, [Symbol.asyncDispose]: () => disposeAll([model, place]) };
  } catch (error) {
    await place[Symbol.asyncDispose]();
    throw error;
  }
}
