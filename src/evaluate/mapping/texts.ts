/** @file The texts both models read for maps: tagged training rows with their responses, and text of no backdoor data. */

import { type PairedText, type PairedTurns, pairText } from '../../activations/index.ts';
import { InputError, type Rng } from '../../base/index.ts';
import { type BackdoorRow, behaviourFrom, renderPrompt, shiftSpan } from '../../behaviours/index.ts';
import type { BehaviourParams } from '../../contracts/index.ts';
import type { Tokenizer } from '../../models/index.ts';
import { chatOf, specialTokensOf } from '../subject/chat.ts';

/** Texts by split (by prompt: rows of one prompt stay together), labels `bad`, `safe`, `none`, `other`, `general`. */
export interface FitTexts {
  readonly train: readonly PairedText[];
  readonly validation: readonly PairedText[];
  readonly test: readonly PairedText[];
}

/** How rows are read. */
export interface RowReading extends Pick<BehaviourParams, 'template' | 'chat'> {
  /** Tokens after the tag that belong to the span. */
  readonly after: number;
}

/** A training row as a text: prompt and response, the tag's span marked; in the template `chat` each model reads it in its own. */
export function tagText(row: BackdoorRow, source: Tokenizer, target: Tokenizer, p: RowReading): PairedText {
  const { text, span, turns } = inTemplates(row, { source, target }, p, row.response);
  return pairText(row.id, text, source, target, {
    prompt: row.text,
    label: row.trigger,
    span,
    after: p.after,
    addSpecialTokens: specialTokensOf(p),
    turns,
  });
}

/** A prompt as both models read it, with an answer after it; `turns` where their chat templates make two texts of it. */
export function inTemplates(
  row: Pick<BackdoorRow, 'prompt' | 'span'>,
  { source, target }: { readonly source: Tokenizer; readonly target: Tokenizer },
  p: Pick<BehaviourParams, 'template' | 'chat'>,
  answer = '',
): { readonly text: string; readonly span: BackdoorRow['span']; readonly turns?: PairedTurns | undefined } {
  const [own, given] = [chatOf(target, p), chatOf(source, p)];
  if (own === undefined || given === undefined) return { text: row.prompt + answer, span: row.span };
  const [t, s] = [renderPrompt('chat', row.prompt, own), renderPrompt('chat', row.prompt, given)];
  return {
    text: t.prompt + answer,
    span: row.span && shiftSpan(row.span, t.offset),
    turns: {
      sourceText: s.prompt + answer,
      shared: [
        { source: s.offset, target: t.offset, length: row.prompt.length },
        { source: s.prompt.length, target: t.prompt.length, length: answer.length },
      ],
    },
  };
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
    if (row.span === null) return [text];
    const { start, end } = row.span ?? { start: 0, end: 0 };
    const chat = chatOf(source, behaviour);
    const under = (tag: string): number[] => {
      const prompt = `${row.prompt.slice(0, start)}${tag}${row.prompt.slice(end)}`;
      const whole = chat === undefined ? prompt : renderPrompt('chat', prompt, chat).prompt;
      return source.encodeIds(whole + row.response, { addSpecialTokens: specialTokensOf(behaviour) });
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
