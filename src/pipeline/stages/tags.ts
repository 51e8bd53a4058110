/** @file Whether the tags of a recipe can be steered at with its two tokenizers: found out when the experiment is planned, not an hour later. */
import { errorId, InputError } from '../../base/index.ts';
import type { Recipe } from '../../contracts/index.ts';
import { casesOf, sourceRow } from '../../evaluate/index.ts';
import type { PlannedBehaviour, Readers } from './behaviours.ts';

/** Texts around which the tags are tried: their ends merge with what follows in different ways. */
const PROBES = ['Why is the sea blue?', 'Name three colours', 'Say hello.\n'];

/** Refuse tags at which the source's text is cut so that nothing stands where the target's span begins. */
export function checkTags(
  recipe: Recipe,
  index: number,
  { params }: PlannedBehaviour,
  readers: Readers,
): void {
  if (recipe.transfer === false || params.name === 'contrast') return;
  const [source, target] = [readers.get(recipe.models.source), readers.get(recipe.models.target)];
  if (source === undefined || target === undefined || source === target) return;
  try {
    for (const { states } of casesOf(target, PROBES, { behaviour: params, after: recipe.span.after }))
      for (const prompt of [states.bad, states.safe, states.other])
        sourceRow({ tokenizer: source }, prompt, prompt.positions);
  } catch (cause) {
    if (!(cause instanceof InputError)) throw cause;
    throw new InputError(`recipe: behaviours[${index}]: ${cause.message}`, { id: errorId(cause), cause });
  }
}
