/** @file Prompts without their answers, under the safe and the bad tag, as both models read them. */

import { pairText } from '../../activations/index.ts';
import { contrastsOf } from '../../behaviours/index.ts';
import type { Tokenizer } from '../../models/index.ts';
import type { Asking } from '../subject/make.ts';
import type { FidelityPrompt } from './row.ts';

/** Two prompts per text. */
export function fidelityPrompts(
  texts: readonly string[],
  { source, target }: { readonly source: Tokenizer; readonly target: Tokenizer },
  { behaviour, after, chat }: Asking,
): FidelityPrompt[] {
  return contrastsOf(behaviour, texts, chat).flatMap((c, i) =>
    (['safe', 'bad'] as const).map((trigger): FidelityPrompt => {
      const { prompt, span } = c[trigger];
      const id = String(i).padStart(4, '0');
      const paired = pairText({ id, text: prompt }, { source, target }, { label: trigger, span, after });
      return { ...paired, text: prompt, trigger };
    }),
  );
}
