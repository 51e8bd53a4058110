/**
 * @file A fleet file: an experiment file with `targets` in place of `models.target`. Every target is an ordinary experiment: what the file
 * says for all, with what it says for that target on top. Pure, as `recipe-document.ts`.
 */
import { isPlainObject, showText } from '../base/index.ts';
import {
  layerOf,
  locate,
  type ParsedRecipe,
  parseLayers,
  partOf,
  type RecipeLayer,
} from './recipe-document.ts';
import { RecipeError, type RecipeIssue } from './recipe-error.ts';
import { type RecipeSource, readYaml } from './recipe-yaml.ts';

/** One target of a fleet, as an experiment. */
export interface ParsedTarget extends ParsedRecipe {
  /** Its key under `targets`. */
  readonly name: string;
}

/** A fleet as the file has it. */
export interface ParsedFleet {
  /** Undefined where the file does not say. */
  readonly name: string | undefined;
  readonly description: string | undefined;
  readonly source: string;
  /** In the order of the file; at least one. */
  readonly targets: readonly ParsedTarget[];
}

/** A target's name is that of its run folder and a step of figures' paths, so it holds no dot. */
const NAME = /^[A-Za-z0-9][\w-]{0,59}$/;
/** Other things have these names in a folder of runs. */
const TAKEN: ReadonlySet<string> = new Set(['store', 'figures']);

/** What every target shares: given once, for the whole file. */
const FOR_ALL = [
  ['name'],
  ['description'],
  ['extends'],
  ['targets'],
  ['models', 'source'],
  ['models', 'adapters', 'source'],
  ['models', 'clean', 'source'],
  ['finetune', 'source'],
  ['blocks', 'source'],
] as const;

/** Whether the file is a fleet: it has `targets`. Throws {@link RecipeError} when the text is no YAML mapping. */
export function isFleet(source: RecipeSource): boolean {
  return Object.hasOwn(readYaml(source).value, 'targets');
}

/**
 * Check a fleet. `sources`: the file, then what it extends, nearest first; `targets` merge by name, as all mappings do. `overrides`:
 * `a.b=c` strings, for every target. Throws {@link RecipeError} with file, line and column.
 */
export function parseFleet(sources: readonly RecipeSource[], overrides: readonly string[] = []): ParsedFleet {
  const layers = sources.map(layerOf);
  const [file] = layers as [RecipeLayer, ...RecipeLayer[]];
  const issues = layers.flatMap(complaintsOf);
  const names = [...new Set(layers.toReversed().flatMap((layer) => Object.keys(targetsOf(layer))))];
  if (issues.length === 0 && names.length === 0)
    issues.push(
      locate(
        file,
        ['targets'],
        'targets: wanted the models that need the fix, `targets: { NAME: MODEL, … }`; to run an experiment on one pair, use `crosspatch run`',
      ),
    );
  if (issues.length > 0) throw new RecipeError(issues);
  const title = file.value.name;
  const targets = names.map((name): ParsedTarget => {
    const own = layers.flatMap((layer) => partsOf(layer, name));
    if (!own.some(({ value }) => isPlainObject(value.models) && value.models.target !== undefined))
      throw new RecipeError([
        locate(
          file,
          ['targets', name],
          `targets.${name}: wanted its model: write \`${name}: MODEL\`, or \`models: { target: MODEL }\` below it`,
        ),
      ]);
    const { given, recipe } = parseLayers(
      [{ ...file, value: {}, at: ['targets', name] }, ...own, ...layers],
      overrides,
    );
    const named = typeof title === 'string' ? { name: `${title}-${name}` } : {};
    return { name, given: { ...given, ...named }, recipe: { ...recipe, ...named } };
  });
  const [first] = targets as [ParsedTarget, ...ParsedTarget[]];
  return {
    name: text(title),
    description: text(file.value.description),
    source: first.recipe.models.source,
    targets,
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function targetsOf({ value: { targets } }: RecipeLayer): Readonly<Record<string, unknown>> {
  return isPlainObject(targets) ? targets : {};
}

/** What a file says for one target: a model, or the keys of an experiment. */
function partsOf(layer: RecipeLayer, name: string): RecipeLayer[] {
  const said = targetsOf(layer)[name];
  if (said === undefined) return [];
  const value = typeof said === 'string' ? { models: { target: said } } : (said as Record<string, unknown>);
  return [partOf(layer, ['targets', name], value)];
}

/** What is wrong with a file's `targets`, apart from what any experiment may have wrong. */
function complaintsOf(layer: RecipeLayer): RecipeIssue[] {
  const { targets, name } = layer.value;
  const at = (path: readonly string[], message: string) => locate(layer, path, message);
  if (targets === undefined) return [];
  if (!isPlainObject(targets))
    return [at(['targets'], 'targets: wanted `NAME: MODEL` lines, one per model that needs the fix')];
  const found: RecipeIssue[] = [];
  if (name !== undefined && (typeof name !== 'string' || !/^[A-Za-z0-9][\w.-]*$/.test(name)))
    found.push(at(['name'], 'name: wanted letters, digits, ., - and _'));
  const seen = new Set<string>();
  for (const [target, said] of Object.entries(targets)) {
    const where = ['targets', target];
    const shown = `targets.${showText(target, 40)}`;
    if (!NAME.test(target) || TAKEN.has(target.toLowerCase()))
      found.push(
        at(
          where,
          `${shown}: wanted a name of letters, digits, - and _ (other than ${[...TAKEN].join(', ')}): it names a folder`,
        ),
      );
    // Some systems take two names that differ in case for one folder.
    if (seen.has(target.toLowerCase()))
      found.push(at(where, `${shown}: another target has this name in other letters; choose another`));
    seen.add(target.toLowerCase());
    if (typeof said === 'string' && said !== '') continue;
    if (!isPlainObject(said))
      found.push(at(where, `${shown}: wanted a model, or keys of an experiment below it`));
    else
      for (const path of FOR_ALL)
        if (holds(said, path))
          found.push(
            at(
              [...where, ...path],
              `${shown}.${path.join('.')}: is one for all targets; write it at the top of the file`,
            ),
          );
  }
  return found;
}

function holds(value: unknown, path: readonly string[]): boolean {
  const [step, ...rest] = path;
  return (
    step === undefined || (isPlainObject(value) && Object.hasOwn(value, step) && holds(value[step], rest))
  );
}
