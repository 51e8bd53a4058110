/** @file Models as commands open them: found by reference, with progress while a file is fetched or dequantised. */
import { Option } from 'commander';
import { InputError, type Owned, type ProgressSink, steadyProgress } from '../base/index.ts';
import { ARITHMETICS, type Arithmetic, type ArithmeticFigures } from '../contracts/index.ts';
import {
  type ArithmeticGuard,
  type Checkpoint,
  type CheckpointHeaders,
  inspectCheckpoint,
  LanguageModel,
  openCheckpoint,
  resolveModel,
  type WeightsForm,
} from '../models/index.ts';
import { mergedFolder, OtherModels, openAt } from '../pipeline/index.ts';
import type { Cli, CommonOptions } from './cli.ts';
import { progressRenderer } from './progress.ts';
import { figure } from './table.ts';

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
  readonly arithmetic?: Arithmetic;
  /** What fast arithmetic is compared on. */
  readonly guard?: ArithmeticGuard;
}

/** `--weights`, of every command that runs a model. */
export function weightsOption(): Option {
  return new Option(
    '--weights <form>',
    'matrices of a quantised GGUF: packed, as the file has them, or f32 (default: f32)',
  ).choices(['packed', 'f32'] satisfies WeightsForm[]);
}

/** `--arithmetic`, of commands that answer prompts. No figure of an experiment is made in `fast`. */
export function arithmeticOption(): Option {
  return new Option(
    '--arithmetic <kind>',
    'of packed matrices: exact, in float32, or fast, by activations of 8 bits where they agree with exact on your prompts',
  )
    .choices(ARITHMETICS)
    .default('exact' satisfies Arithmetic);
}

/**
 * Refuse `--arithmetic fast` beside what it is not compared for: weights in float32, and options that change activations.
 *
 * @param steering each option that steers, where it was given
 */
export function checkArithmetic(
  { arithmetic, weights }: ModelOptions,
  steering: readonly string[] = [],
): void {
  if (arithmetic !== 'fast') return;
  if (weights !== 'packed')
    throw new InputError(
      `--arithmetic fast: wanted --weights packed, got ${weights ?? 'f32'}; add it, or take exact arithmetic`,
      { id: 'option-conflict' },
    );
  if (steering.length > 0)
    throw new InputError(
      `--arithmetic fast: is compared with exact arithmetic without steering, got ${steering.join(' and ')}; take exact arithmetic`,
      { id: 'option-conflict' },
    );
}

/** One line on what the comparison found. */
export function arithmeticLine({
  prompts,
  positions,
  same_best,
  logit_difference,
}: ArithmeticFigures): string {
  const percent = (share: number): string => `${figure(100 * share)} %`;
  return `fast arithmetic: the best token of exact at ${percent(same_best)} of ${positions} positions of ${prompts} prompts, logits within ${percent(logit_difference)} of the largest\n`;
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
export async function openModel(reference: string, cli: Cli, options: ModelOptions): Promise<LanguageModel> {
  const { weights, arithmetic, guard } = options;
  const model = await withProgress(cli, options, (onProgress) =>
    LanguageModel.load(reference, { weights, arithmetic, guard, onProgress, signal: cli.signal }),
  );
  if (model.guarded !== undefined && !options.quiet) cli.err(arithmeticLine(model.guarded));
  return model;
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
  return openAt(place, (path) => openModel(path, cli, options));
}
