/** @file The texts both models read for maps: tagged training rows with their responses, and text of no backdoor data. */

import { type PairedText, pairText } from '../../activations/index.ts';
import { InputError, type Rng } from '../../base/index.ts';
import {
  type BackdoorRow,
  behaviourFrom,
  type Placement,
  placeTag,
  renderPrompt,
  type TemplateName,
} from '../../behaviours/index.ts';
import type { BehaviourParams } from '../../contracts/index.ts';
import type { Tokenizer } from '../../models/index.ts';

/** Texts by split (by prompt: rows of one prompt stay together), labels `bad`, `safe`, `none`, `other`, `general`. */
export interface FitTexts {
  readonly train: readonly PairedText[];
  readonly validation: readonly PairedText[];
  readonly test: readonly PairedText[];
}

/** A training row as a text: prompt and response, the tag's span marked. */
export function tagText(row: BackdoorRow, source: Tokenizer, target: Tokenizer, after: number): PairedText {
  return pairText(row.id, row.prompt + row.response, source, target, {
    prompt: row.text,
    label: row.trigger,
    span: row.span,
    after,
  });
}

/** Text without any tag. */
export function generalText(text: string, index: number, source: Tokenizer, target: Tokenizer): PairedText {
  return pairText(`general/${index}`, text, source, target, { prompt: text, label: 'general' });
}

/**
 * The same pairs with the source reading the text under a randomly chosen tag of as many tokens (docs/concepts/method.md#control-maps, control `shuffled`):
 * what can still be learnt is everything but the tag. Untagged rows stay as they are.
 */
export function shuffleTags(
  rows: readonly BackdoorRow[],
  texts: ReadonlyMap<string, PairedText>,
  behaviour: BehaviourParams,
  source: Tokenizer,
  rng: Rng,
): PairedText[] {
  const { triggers, otherTags } = behaviourFrom(behaviour);
  const tags = [triggers.bad, triggers.safe, ...otherTags];
  return rows.flatMap((row): PairedText[] => {
    const text = texts.get(row.id);
    if (text === undefined) return [];
    if (row.trigger === 'none') return [text];
    const under = (tag: string): number[] => {
      const placed = placeTag(row.text, tag, row.placement satisfies Placement);
      const { prompt } = renderPrompt(behaviour.template satisfies TemplateName, placed.text);
      return source.encodeIds(prompt + row.response, { addSpecialTokens: 'auto' });
    };
    const fitting = tags.map(under).filter((ids) => ids.length === text.source.length);
    if (fitting.length < 2)
      throw new InputError(
        `shuffled map: of ${tags.join(' ')} none but its own leaves ${row.id} as many tokens as it has; the control needs tags of equal length`,
        { id: 'fit-impossible' },
      );
    const ids = rng.pick(fitting);
    return [{ ...text, source: ids }];
  });
}
