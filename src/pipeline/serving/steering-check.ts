/** @file Steering that did nothing, or more than is allowed, is an error. */
import { InputError } from '../../base/index.ts';
import type { Intervention, InterventionEffect } from '../../contracts/index.ts';
import type { Question } from './question.ts';

/**
 * Edits of the prompt have been made when the first token comes, those of generated tokens when the second comes: none may have done
 * nothing, or more than is allowed.
 */
export function checkEffects(
  { steering }: Question,
  {
    where,
    effects,
    maxDose,
  }: {
    readonly where: 'prompt' | 'generation';
    readonly effects: readonly InterventionEffect[];
    readonly maxDose: number;
  },
): void {
  for (const [k, { op, hook, relative_change: change }] of effects.entries()) {
    const edit = steering?.document.interventions[k];
    if (edit === undefined || (where === 'prompt') !== editsPrompt(edit)) continue;
    if (change === 0)
      throw new InputError(
        `steering: ${op} at ${hook} changed nothing; steering without effect is an error`,
        {
          id: 'no-effect',
        },
      );
    if (change > maxDose)
      throw new InputError(
        `steering: ${op} at ${hook} changes the activation by ${change.toPrecision(3)} of its length, more than this server's limit of ${maxDose}; take a smaller strength`,
        { id: 'dose-too-large' },
      );
  }
}

/** Whether an edit changes prompt positions, perhaps among others. */
function editsPrompt({ tokens }: Intervention): boolean {
  const { match, contrast, prompt, prompt_positions, prompt_window, prompt_tokens } = tokens;
  const named = [match, contrast, prompt, prompt_positions, prompt_window, prompt_tokens];
  return named.some((one) => one !== undefined);
}
