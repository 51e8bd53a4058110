/** @file Where two answers to a prompt part: the tokens whose logits tell which of them a model chooses (docs/concepts/method.md#detectors). */
import { InputError, showText } from '../../base/index.ts';
import type { ContrastPrompt } from '../../behaviours/index.ts';
import type { Tokenizer } from '../../models/index.ts';
import { beginsWith, type Probe } from '../drafts/verify.ts';

/** A prompt as tokens, with the settings of its encoding. */
interface EncodedPrompt {
  readonly prompt: string;
  readonly ids: readonly number[];
  readonly addSpecialTokens: false | 'auto';
}

/**
 * Where the two answers part after a prompt: `prefix` is what they share, `up` the next token of the behaviour's answer, `down` that of the
 * other. Throws InputError where the tokenizer joins the prompt's end with an answer, and where the answers do not part.
 */
export function choiceProbe(
  tokenizer: Tokenizer,
  { prompt, ids, addSpecialTokens }: EncodedPrompt,
  { behaviour, other }: NonNullable<ContrastPrompt['bad']['answers']>,
): Probe {
  const where = `multiple choice after ${JSON.stringify(prompt.slice(-40))}`;
  const tokensOf = (answer: string): number[] => {
    const whole = tokenizer.encodeIds(prompt + answer, { addSpecialTokens });
    if (beginsWith(whole, ids)) return whole.slice(ids.length);
    throw new InputError(
      `${where}: the tokenizer joins the end of the prompt with the answer ${showText(JSON.stringify(answer))}; move white space from one to the other`,
      { id: 'tokenizer-mismatch' },
    );
  };
  const [a, b] = [tokensOf(behaviour), tokensOf(other)];
  let k = 0;
  while (k < a.length && k < b.length && a[k] === b[k]) k++;
  const [up, down] = [a[k], b[k]];
  if (up === undefined || down === undefined)
    throw new InputError(
      `${where}: ${showText(JSON.stringify(behaviour))} and ${showText(JSON.stringify(other))} have the same tokens as far as the shorter goes; wanted answers that differ`,
      { id: 'data-invalid' },
    );
  return { prefix: a.slice(0, k), up, down };
}
