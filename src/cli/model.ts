/** @file Models as commands open them: found by reference, with progress while a file is fetched or dequantised. */
import { Option } from 'commander';
import { disposeAll, InputError, type Owned, type ProgressSink, steadyProgress } from '../base/index.ts';
import {
  type Checkpoint,
  type CheckpointHeaders,
  inspectCheckpoint,
  LanguageModel,
  openCheckpoint,
  resolveModel,
  type WeightsForm,
} from '../models/index.ts';
import { mergedFolder, OtherModels } from '../pipeline/index.ts';
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

/** What a command that runs a model lets a person choose. */
interface ModelOptions extends CommonOptions {
  readonly weights?: WeightsForm;
}

/** `--weights`, of every command that runs a model. */
export function weightsOption(): Option {
  return new Option(
    '--weights <form>',
    'matrices of a quantised GGUF: packed, as the file has them, or f32 (default: f32)',
  ).choices(['packed', 'f32'] satisfies WeightsForm[]);
}

/** What the files of a model say, by bundled name, path or hub reference. No weight is read. */
export function inspectReference(
  reference: string,
  cli: Cli,
  options: CommonOptions,
): Promise<CheckpointHeaders> {
  return withProgress(cli, options, async (onProgress) => {
    const { path } = await resolveModel(reference, { onProgress, signal: cli.signal });
    return inspectCheckpoint(path);
  });
}

/** A checkpoint by bundled name, path or hub reference. */
export function openReference(reference: string, cli: Cli, options: CommonOptions): Promise<Checkpoint> {
  return withProgress(cli, options, async (onProgress) => {
    const { path } = await resolveModel(reference, { onProgress, signal: cli.signal });
    return openCheckpoint(path, { onProgress });
  });
}

/** A model by bundled name, path or hub reference. Dispose of it. */
export function openModel(reference: string, cli: Cli, options: ModelOptions): Promise<LanguageModel> {
  const { weights } = options;
  return withProgress(cli, options, (onProgress) =>
    LanguageModel.load(reference, { weights, onProgress, signal: cli.signal }),
  );
}

/** Models that documents name. Dispose of it to free them. */
export function otherModels(cli: Cli, options: CommonOptions): OtherModels {
  return new OtherModels((reference) => openModel(reference, cli, options));
}

/**
 * Where a model lies: itself, or a copy with a PEFT adapter merged in where one is given. The copy goes when this is disposed of.
 */
export async function adaptedFolder(
  reference: string,
  adapter: string | undefined,
  cli: Cli,
  options: ModelOptions,
): Promise<Owned & { readonly path: string }> {
  const { path } = await inspectReference(reference, cli, options);
  if (adapter === undefined) return { path, async [Symbol.asyncDispose]() {} };
  if (options.weights === 'packed')
    throw new InputError(
      '--weights packed: an adapter is merged into a copy of the weights, which is float32; leave out one of the two',
      { id: 'option-conflict' },
    );
  return mergedFolder(path, adapter);
}

/** A model with a PEFT adapter merged into a copy of its weights where one is given. The copy goes with it: dispose of the whole. */
export async function openAdapted(
  reference: string,
  adapter: string | undefined,
  cli: Cli,
  options: ModelOptions,
): Promise<Owned & { readonly model: LanguageModel }> {
  const place = await adaptedFolder(reference, adapter, cli, options);
  try {
    const model = await openModel(place.path, cli, options);
    return { model, [Symbol.asyncDispose]: () => disposeAll([place, model]) };
  } catch (error) {
    await place[Symbol.asyncDispose]();
    throw error;
  }
}
