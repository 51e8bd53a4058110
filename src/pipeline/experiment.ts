/**
 * @file A run: an experiment file, its plan, and the run folder people look at (docs/reference/files.md#run-folder): manifest, results, samples, log.
 * The store holds the work; the run folder holds copies of what is worth reading.
 */
import { dirname, join } from 'node:path';
import { InputError, unwritable } from '../base/index.ts';
import type { Manifest, ParsedRecipe, Recipe } from '../contracts/index.ts';
import { type NodeRef, Plan } from './plan.ts';
import type { QueueAddress } from './queue/address.ts';
import { Submitter } from './queue/submit.ts';
import type { RunSink } from './run-event.ts';
import { RunFolder } from './run-folder.ts';
import { runPlan } from './runner.ts';
import { refuseForeignRun } from './runs.ts';
import { openStore } from './store-open.ts';

/** How models that are not on this machine are come by. */
export interface ExpandOptions {
  /** False: fetch what says what a model is, and not its weights; such a plan can be looked at and not run. Defaults to true. */
  readonly weights?: boolean;
  readonly signal?: AbortSignal;
  /** Hears what is fetched, under ids `pull ORG/NAME`. */
  readonly onEvent?: RunSink;
}

/** Turns a resolved recipe into stages. `results` is the node whose output is `results.json`, timings aside. */
export type Expand = (
  recipe: Recipe,
  plan: Plan,
  options?: ExpandOptions,
) => Promise<{ readonly results?: NodeRef<object> }>;

export interface ExperimentOptions {
  readonly parsed: ParsedRecipe;
  readonly expand: Expand;
  /** The run folder. */
  readonly out: string;
  /** Shared by all runs: a folder, or `s3://bucket/prefix`. Defaults to `store` beside the run folder. */
  readonly store?: string;
  readonly jobs?: number;
  /** Threads of a stage. Defaults to its share of the cores. */
  readonly threads?: number | undefined;
  /** Stages go to the workers of this queue instead. */
  readonly queue?: QueueAddress | undefined;
  readonly only?: string;
  readonly signal?: AbortSignal;
  readonly onEvent?: RunSink;
  /** The command line, for the manifest. */
  readonly command?: readonly string[];
}

export interface ExperimentSummary {
  readonly out: string;
  readonly manifest: Manifest;
  /** What was written to `results.json`; absent when `only` left it out. */
  readonly results?: object;
}

/** The plan of a resolved recipe. */
export async function planExperiment(
  recipe: Recipe,
  expand: Expand,
  options: ExpandOptions = {},
): Promise<{ plan: Plan; results: NodeRef<object> | undefined }> {
  const plan = new Plan(recipe.seed);
  const { results } = await expand(recipe, plan, options);
  return { plan, results };
}

/** Where a run's store is when nothing else is said. */
export function defaultStore(out: string): string {
  return join(dirname(out), 'store');
}

/**
 * Run an experiment, or go on with it. The run folder is locked meanwhile. On failure or abort the manifest says so, what is
 * finished stays, and the error is thrown; an output folder that cannot be written is an {@link InputError}.
 */
export async function runExperiment(options: ExperimentOptions): Promise<ExperimentSummary> {
  const { out } = options;
  try {
    await refuseForeignRun(out);
    const { signal, onEvent } = options;
    const { plan, results } = await planExperiment(options.parsed.recipe, options.expand, {
      signal,
      onEvent,
    });
    plan.select(options.only);
    await using folder = await RunFolder.open({ ...options, plan, results });
    return await inFolder(options, plan, folder);
  } catch (error) {
    throw asInputError(error, out);
  }
}

async function inFolder(
  options: ExperimentOptions,
  plan: Plan,
  folder: RunFolder,
): Promise<ExperimentSummary> {
  const { out } = options;
  let memory = 0;
  try {
    const store = await openStore(options.store ?? defaultStore(out));
    await using elsewhere = options.queue && (await Submitter.open(options.queue, store));
    await runPlan(plan, {
      ...options,
      store,
      elsewhere,
      onEvent: (event) => {
        folder.onEvent(event);
        options.onEvent?.(event);
      },
      onFinish: (node, done) => folder.onFinish(node, done),
      onMemory: (bytes) => {
        memory = bytes;
      },
    });
    const results = await folder.done(memory);
    return { out, manifest: folder.manifest, results };
  } catch (error) {
    await folder.failed(error);
    throw error;
  }
}

/** A folder that cannot be written is the user's to mend: exit code 2 and one line. */
export function asInputError(error: unknown, out: string): unknown {
  const code = unwritable(error);
  if (code === undefined) return error;
  return new InputError(`${out}: cannot write there (${code}); choose another folder with --out`, {
    id: 'out-unwritable',
    cause: error,
  });
}
