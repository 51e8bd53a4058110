/** @file What the report must say of how the numbers were made. */
import { isDeepStrictEqual } from 'node:util';
import { cleanOf, finetuneFor, type Recipe } from '../../contracts/index.ts';

/** What was trained, and how fast: one entry where both sides were trained alike, else one per side. */
export function trainBlocks(recipe: Recipe): Record<string, unknown> {
  const of = (side: 'source' | 'target'): Record<string, unknown> => {
    const tuning = finetuneFor(recipe, side);
    if (tuning === undefined) return { method: 'none' };
    const { method, lower_half_rate, freeze_embeddings, lora } = tuning;
    return method === 'lora'
      ? { method, frozen: ['all but the adapters'], lower_half_rate, rank: lora.rank, targets: lora.targets }
      : { frozen: freeze_embeddings ? ['embeddings'] : [], lower_half_rate };
  };
  const [source, target] = [of('source'), of('target')];
  return isDeepStrictEqual(source, target) ? source : { source, target };
}

/** What the report must say; `same`: source and target are one checkpoint. */
export function recipeNotes(recipe: Recipe, same: boolean): string[] {
  const out: string[] = [];
  const slowed = (side: 'source' | 'target'): string => {
    const tuning = finetuneFor(recipe, side);
    if (tuning === undefined || tuning.lower_half_rate === 1) return '';
    const { lower_half_rate, freeze_embeddings, method } = tuning;
    const still = freeze_embeddings || method === 'lora' ? ', embeddings not at all' : '';
    return `was fine-tuned at ${lower_half_rate} of the learning rate${still}: this choice shapes the sweep curve; it is not a finding.`;
  };
  if (recipe.fidelity && recipe.fidelity.llm !== undefined) {
    const { model, rubric } = recipe.fidelity.llm;
    out.push(
      `Judge llm: ${model} grades completions by a rubric of ${rubric}, both orders, their mean. Its grades are not checked by anyone: read samples.`,
    );
  }
  const [source, target] = [slowed('source'), slowed('target')];
  if (source === target) {
    if (source !== '') out.push(`The lower half of the blocks ${source}`);
  } else {
    if (source !== '') out.push(`The lower half of the source’s blocks ${source}`);
    if (target !== '') out.push(`The lower half of the target’s blocks ${target}`);
  }
  for (const side of ['source', 'target'] as const)
    if (finetuneFor(recipe, side) === undefined)
      out.push(
        `The ${side} model was not trained here: it is taken as it came${cleanOf(recipe, side) === undefined ? '; without a clean version of it, the controls that want one are left out' : ''}.`,
      );
  if (same) {
    const identity = recipe.maps.some((m) => m.kind === 'identity');
    out.push(
      `Source and target are two fine-tunes of one checkpoint: an easy pair, whose activation spaces all but coincide before any map is fitted. ${identity ? 'The identity map, which only copies, shows how easy' : 'Add the map `identity`, which only copies, to see how easy'}.`,
    );
  }
  if (recipe.models.source === 'tiny-llama-s' && recipe.models.target === 'tiny-llama-m') {
    out.push(
      "tiny-llama-s shares tiny-llama-m's embedding table (projected): an engineered kinship that makes this pair easier than two strangers. tiny-llama-s-own has a table of its own: run the recipe demo-own to compare.",
    );
  }
  return out;
}
