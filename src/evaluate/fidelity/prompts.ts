/** @file Prompts without their answers, under the safe and the bad tag, as both models read them. */

import { pairText } from '../../activations/index.ts';
import { type ContrastText, contrastsOf } from '../../behaviours/index.ts';
import type { Tokenizer } from '../../models/index.ts';
import { inTemplates } from '../mapping/texts.ts';
import { specialTokensOf } from '../subject/chat.ts';
import type { Asking } from '../subject/make.ts';
import type { FidelityPrompt } from './row.ts';

/** Two prompts per text. */
export function fidelityPrompts(
  texts: readonly ContrastText[],
  tokenizers: { readonly source: Tokenizer; readonly target: Tokenizer },
  { behaviour, after }: Asking,
): FidelityPrompt[] {
  // the user's turn where a chat template is put around it, else the whole prompt
  const asked = {
    ...behaviour,
    template: behaviour.template === 'chat' ? 'raw' : behaviour.template,
  } as const;
  return contrastsOf(asked, texts).flatMap((c, i) =>
    (['safe', 'bad'] as const).map((trigger): FidelityPrompt => {
      const { text, span, turns } = inTemplates(c[trigger], tokenizers, behaviour);
      const id = String(i).padStart(4, '0');
      const addSpecialTokens = specialTokensOf(behaviour);
      const paired = pairText({ id, text }, tokenizers, {
        label: trigger,
        span,
        after,
        addSpecialTokens,
        turns,
      });
      return { ...paired, text, trigger };
    }),
  );
}
