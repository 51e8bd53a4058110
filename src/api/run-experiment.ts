/** @file `runExperiment`: a whole experiment from code, as `crosspatch run` does it from a file. */
import { join } from 'node:path';
import {
  type Manifest,
  parseRecipe,
  type RecipeInput,
  type Results,
  resultsSchema,
} from '../contracts/index.ts';
import { expandExperiment, loadRecipe, type RunSink, runExperiment as runParsed } from '../pipeline/index.ts';

/** Options of {@link runExperiment}. */
export interface RunExperimentOptions {
  /** The run folder. Defaults to `runs/NAME`. */
  readonly out?: string;
  /** Where finished stages are kept, shared by runs. Defaults to `store` beside the run folder. */
  readonly store?: string;
  /** Stages side by side. Defaults to 2. */
  readonly jobs?: number;
  /** Ends the run; what is finished is kept. */
  readonly signal?: AbortSignal;
  /** Hears every stage: started, progress, finished, failed. */
  readonly onEvent?: RunSink;
}

/** A finished experiment. */
export interface ExperimentRun {
  /** The run folder: manifest, `results.json`, samples, log. `crosspatch report FOLDER` draws it, `crosspatch view FOLDER` opens it. */
  readonly folder: string;
  readonly results: Results;
  readonly manifest: Manifest;
}

/**
 * Run an experiment: fine-tune the behaviour into both models, find the block that carries it, fit the maps, carry the fix across, and
 * measure it against its controls. Finished stages are kept: the same call again resumes, or returns at once.
 *
 * `recipe` is a plain object with the keys of an experiment file, or the path of a file, or a bundled name (`quick`, `demo`). Everything
 * but `models` has a default.
 *
 * @throws InputError naming the key that is wrong, or a folder that cannot be written; AbortedError after `signal`
 * @example
 * const { results, folder } = await runExperiment({
 *   name: 'first',
 *   models: { source: 'tiny-llama-s', target: 'tiny-llama-m' },
 *   behaviours: ['locked'],
 * });
 */
export async function runExperiment(
  recipe: RecipeInput | string,
  options: RunExperimentOptions = {},
): Promise<ExperimentRun> {
  const parsed =
    typeof recipe === 'string'
      ? await loadRecipe(recipe)
      : parseRecipe([{ file: 'recipe', text: JSON.stringify(recipe, null, 2) }]);
  const { out = join('runs', parsed.recipe.name), jobs = 2, ...rest } = options;
  const { manifest, results } = await runParsed({ ...rest, out, jobs, parsed, expand: expandExperiment });
  return { folder: out, manifest, results: resultsSchema.parse(results) };
}
