/**
 * @file How many prompts a section of the experiment file may ask for: never more than `data` holds. A number that was written by
 * someone else than the size of its pool (a default, a recipe that is extended) is capped; one that was written beside it is a mistake.
 */
import type { Complaint } from './explain.ts';
import type { Recipe } from './recipe.ts';

/** Sections, the key with their number of prompts, and the split of `data` that the prompts are taken from. */
const POOLS = [
  ['sweep', 'prompts', 'validation'],
  ['heatmap', 'prompts', 'validation'],
  ['block_pairs', 'prompts', 'validation'],
  ['fidelity', 'prompts', 'test'],
  ['transfer', 'prompts', 'test'],
  ['worth', 'prompts', 'test'],
  ['inverse', 'prompts', 'test'],
  ['capabilities', 'items', 'test'],
] as const;

/**
 * The recipe with every number capped that the size of its pool overrules, and complaints about the others. `distance` of a key: how
 * far from the user it was written (0 nearest; infinite for a default).
 */
export function fitToPools(
  recipe: Recipe,
  distance: (path: readonly string[]) => number,
): { readonly recipe: Recipe; readonly wrong: readonly Complaint[] } {
  const fitted: Recipe = { ...recipe };
  const wrong: Complaint[] = [];
  for (const [section, key, split] of POOLS) {
    const settings = recipe[section] as false | Readonly<Record<string, unknown>>;
    const most = recipe.data[split];
    if (settings === false || Number(settings[key]) <= most) continue;
    // Items of other tasks are not of `data`.
    if (section === 'capabilities' && recipe.capabilities && !recipe.capabilities.tasks.includes('bundled'))
      continue;
    const written = distance([section, key]);
    if (written === Number.POSITIVE_INFINITY || written > distance(['data', split]))
      Object.assign(fitted, { [section]: { ...settings, [key]: most } });
    else
      wrong.push({
        path: [section, key],
        message: `${section}.${key}: asks for ${settings[key]} of the ${most} prompts of \`data.${split}\`; write at most ${most}, or leave it out`,
      });
  }
  return { recipe: fitted, wrong };
}

/** The same experiment on at most `n` prompts (and task items) per figure, for smoke tests. Training and capture keep their size. */
export function limitRecipe(recipe: Recipe, n: number): Recipe {
  const { validation, test } = recipe.data;
  const data = { ...recipe.data, validation: Math.min(validation, n), test: Math.min(test, n) };
  const { capabilities: asked } = recipe;
  const capabilities = asked && { ...asked, items: Math.min(asked.items, n) };
  return fitToPools({ ...recipe, data, capabilities }, () => Number.POSITIVE_INFINITY).recipe;
}
