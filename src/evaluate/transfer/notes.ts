/** @file What a reader of a transfer must know of how tokens pair at the tag (docs/concepts/method.md#span, #paired-activations). */
import type { LanguageModel } from '../../models/index.ts';
import { sourceRow } from '../arms/spans.ts';
import { type ContrastCase, surplusNotes, type TaggedPrompt } from '../subject/cases.ts';

/** Notes on spans of unequal length, and on tokens of the target whose source ends earlier; none where everything pairs one to one. */
export function transferNotes(
  source: Pick<LanguageModel, 'tokenizer'>,
  cases: readonly ContrastCase[],
): string[] {
  const early = cases.filter(
    ({ states }) => endsEarlier(source, states.bad) || endsEarlier(source, states.safe),
  );
  const notes = surplusNotes(cases, 'target model');
  if (early.length > 0)
    notes.push(
      `In ${early.length} of ${cases.length} prompts a token of the target's span takes the activation of a source token that ends before it: the source cuts the text elsewhere. Maps are not fitted on such pairs.`,
    );
  return notes.map((note) => `Transfer: ${note}`);
}

/** What a chat template writes around the user's turn pairs in proportion, as it should, and is not counted. */
function endsEarlier(source: Pick<LanguageModel, 'tokenizer'>, prompt: TaggedPrompt): boolean {
  const { turn, positions, offsets } = prompt;
  const end = turn === undefined ? Number.POSITIVE_INFINITY : turn.start + turn.text.length;
  const { flags } = sourceRow(source, prompt, positions);
  return positions.some((p, i) => flags[i] === 'approximate' && offsets[p][1] <= end);
}
