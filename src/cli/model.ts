/** @file Models as commands open them: found by reference, with progress while a file is fetched or dequantised. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Owned, type ProgressSink, steadyProgress } from '../base/index.ts';
import { type Checkpoint, LanguageModel, openCheckpoint, resolveModel } from '../models/index.ts';
import { mergeAdapterFolder } from '../train/index.ts';
import type { Cli, CommonOptions } from './cli.ts';
import { progressRenderer } from './progress.ts';

/** Run `body` with a sink that draws its progress, and leave the terminal clean. */
export async function withProgress<T>(
  cli: Cli,
  options: CommonOptions,
  body: (onProgress: ProgressSink) => Promise<T>,
): Promise<T> {
  const renderer = progressRenderer(cli, options.quiet === true);
  let said: string | undefined;
  let name: string | undefined;
  try {
    // A command is one job of many loops: they are counted as one, under the name of the first.
    return await body(
      steadyProgress(({ message, ...event }) => {
        const news = message === undefined || message === said ? {} : { message };
        said = message ?? said;
        name ??= event.stage;
        renderer.onEvent({ state: 'running', ...event, stage: name, ...news });
      }),
    );
  } finally {
    renderer.close();
  }
}

/** A checkpoint by bundled name, path or hub reference. */
export function openReference(reference: string, cli: Cli, options: CommonOptions): Promise<Checkpoint> {
  return withProgress(cli, options, async (onProgress) => {
    const { path } = await resolveModel(reference, { onProgress, signal: cli.signal });
    return openCheckpoint(path, { onProgress });
  });
}

/** A model by bundled name, path or hub reference. Dispose of it. */
export async function openModel(reference: string, cli: Cli, options: CommonOptions): Promise<LanguageModel> {
  const { path } = await openReference(reference, cli, options);
  return LanguageModel.load(path);
}

/** A model with a PEFT adapter merged into a copy of its weights where one is given. The copy goes with it: dispose of the whole. */
export async function openAdapted(
  reference: string,
  adapter: string | undefined,
  cli: Cli,
  options: CommonOptions,
): Promise<Owned & { readonly model: LanguageModel }> {
  const { path } = await openReference(reference, cli, options);
  const folder = adapter === undefined ? undefined : await mkdtemp(join(tmpdir(), 'crosspatch-merged-'));
  const removeCopy = async (): Promise<void> => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  };
  try {
    const merged = folder === undefined ? path : join(folder, basename(path, '.gguf'));
    if (adapter !== undefined) await mergeAdapterFolder({ model: path, adapter, out: merged });
    const model = await LanguageModel.load(merged);
    return {
      model,
      async [Symbol.asyncDispose]() {
        await model[Symbol.asyncDispose]();
        await removeCopy();
      },
    };
  } catch (error) {
    await removeCopy();
    throw error;
  }
}
