/** @file Task prompts as tokens, split where lm-evaluation-harness splits them. */
import { InputError } from '../../base/index.ts';
import { type AskedItem, contextOf, rstrip } from '../../behaviours/index.ts';
import type { Tokenizer } from '../../models/index.ts';

/** One item as tokens. */
export interface EncodedItem {
  /** The context as text: without white space at its end, which is read with the choice. */
  readonly text: string;
  /** Its tokens, special ones added. */
  readonly context: readonly number[];
  /** What follows it, by choice. */
  readonly choices: readonly (readonly number[])[];
}

/**
 * An item as tokens. A choice's tokens are those of context and choice together, from the context's number of tokens on
 * (`TemplateLM._encode_pair` of `lm_eval/api/model.py`); white space that ends the context is read with the choice. `text` stands in
 * place of the question's, where it is given.
 */
export function encodeItem(tokenizer: Tokenizer, item: AskedItem, text?: string): EncodedItem {
  const whole = contextOf(item, text);
  const ids = (given: string): number[] => tokenizer.encodeIds(given, { addSpecialTokens: 'auto' });
  if (item.choices.length === 0) return { text: whole, context: ids(whole), choices: [] };
  const start = rstrip(whole);
  const context = ids(start);
  return {
    text: start,
    context,
    choices: item.choices.map((choice) => {
      const tokens = ids(`${whole} ${choice}`).slice(context.length);
      if (tokens.length === 0)
        throw new InputError(
          `${item.task} ${item.id}: the choice ${JSON.stringify(choice)} has no token of its own after its question`,
          { id: 'data-invalid' },
        );
      return tokens;
    }),
  };
}
