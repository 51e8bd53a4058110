/** @file Finding and reading experiment files: a path, or the name of a bundled recipe; what it extends is read along. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { InputError, readTextFile } from '../base/index.ts';
import {
  isFleet,
  limitRecipe,
  nearest,
  type ParsedFleet,
  type ParsedRecipe,
  parseFleet,
  parseRecipe,
  type Recipe,
  type RecipeSource,
  recipeExtends,
} from '../contracts/index.ts';
import { packageRoot } from './machine.ts';

export interface LoadOptions {
  /** `key=value` strings, applied in order after the files. */
  readonly set?: readonly string[];
  /** At most so many prompts a figure. */
  readonly limit?: number;
  /** Replaces the file's seed. */
  readonly seed?: number;
}

/**
 * Read and check an experiment. `file` is a path or a bundled name (`demo`, `quick`). A file without `name` is named after
 * itself. Throws `RecipeError` (with line and column) or {@link InputError}.
 */
export async function loadRecipe(file: string, options: LoadOptions = {}): Promise<ParsedRecipe> {
  return parsedFrom(await readChain(await locate(file)), file, options);
}

/** {@link loadRecipe} of a text that would lie in `file`: what it extends is read, `file` is not. */
export async function loadRecipeText(source: RecipeSource, options: LoadOptions = {}): Promise<ParsedRecipe> {
  return parsedFrom(await readChain(source.file, source.text), source.file, options);
}

/** A fleet with its name. */
export type LoadedFleet = ParsedFleet & { readonly name: string };

/**
 * Read and check a fleet: {@link loadRecipe} for one source and many targets. A file without `name` is named after itself.
 */
export async function loadFleet(file: string, options: LoadOptions = {}): Promise<LoadedFleet> {
  const fleet = parseFleet(await readChain(await locate(file)), setOf(options));
  const name = fleet.name ?? nameFrom(file);
  const targets = fleet.targets.map((target) => ({
    ...target,
    recipe: { ...limited(target.recipe, options.limit), name: `${name}-${target.name}` },
  }));
  return { ...fleet, name, targets };
}

/** Whether an experiment file, by path or bundled name, is a fleet. */
export async function isFleetFile(name: string): Promise<boolean> {
  const file = await locate(name);
  return isFleet({ file, text: await readTextFile(file) });
}

/** The text of a bundled recipe. */
export async function bundledRecipe(name: string): Promise<string> {
  return readTextFile(await locate(basename(name, '.yaml')));
}

/** Names of the bundled recipes of one pair; fleets are left out. */
export async function bundledRecipes(): Promise<string[]> {
  const names = await bundledFiles();
  const fleets = await Promise.all(names.map(isFleetFile));
  return names.filter((_, i) => !fleets[i]);
}

async function bundledFiles(): Promise<string[]> {
  const files = await readdir(join(packageRoot(), 'recipes'));
  return files.filter((f) => f.endsWith('.yaml')).map((f) => basename(f, '.yaml'));
}

function parsedFrom(sources: readonly RecipeSource[], file: string, options: LoadOptions): ParsedRecipe {
  const { given, recipe } = parseRecipe(sources, setOf(options));
  const named = 'name' in given ? recipe : { ...recipe, name: nameFrom(file) };
  return { given, recipe: limited(named, options.limit) };
}

function setOf({ set = [], seed }: LoadOptions): string[] {
  return [...set, ...(seed === undefined ? [] : [`seed=${seed}`])];
}

function limited(recipe: Recipe, limit: number | undefined): Recipe {
  if (limit === undefined) return recipe;
  if (!Number.isInteger(limit) || limit < 1)
    throw new InputError(`--limit ${limit}: wanted a whole number from 1`, { id: 'option-invalid' });
  return limitRecipe(recipe, limit);
}

/** `file` and what it extends; with `given` as the text of the first. */
async function readChain(file: string, given?: string): Promise<RecipeSource[]> {
  const chain: RecipeSource[] = [];
  let next: string | undefined = file;
  while (next !== undefined) {
    const path: string = next;
    if (chain.some((source) => resolve(source.file) === resolve(path)))
      throw new InputError(`${path}: extends itself`, { id: 'recipe-invalid' });
    const text = chain.length === 0 && given !== undefined ? given : await readTextFile(path);
    const source: RecipeSource = { file: path, text };
    chain.push(source);
    const parent = recipeExtends(source);
    next = parent === undefined ? undefined : await locate(parent, path);
  }
  return chain;
}

/** A bundled name, or a path relative to the file that mentions it. */
async function locate(name: string, from?: string): Promise<string> {
  const isPath = /[/\\]/.test(name) || /\.ya?ml$/.test(name);
  if (isPath) return from === undefined ? name : resolve(dirname(from), name);
  const names = await bundledFiles();
  if (names.includes(name)) return join(packageRoot(), 'recipes', `${name}.yaml`);
  const near = nearest(name, names);
  const hint = near ? `did you mean "${near}"?` : `bundled recipes: ${names.join(', ')}`;
  throw new InputError(`${name}: no such recipe; ${hint} (a path ends in .yaml)`, { id: 'recipe-not-found' });
}

function nameFrom(file: string): string {
  const name = basename(file, extname(file)).replace(/[^\w.-]+/g, '-');
  return /^[A-Za-z0-9]/.test(name) ? name : 'experiment';
}
