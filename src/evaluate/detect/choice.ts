/**
 * @file Multiple choice: a prompt that ends where one of two answers follows, and which of them the model gives the larger logit. As in
 * N. Rimsky et al., 2024, "Steering Llama 2 via Contrastive Activation Addition", §4, whose prompts end before the letter of a choice.
 */
import { CrosspatchError, InputError, showText } from '../../base/index.ts';
import { type ContrastPrompt, type Detection, isDegenerate } from '../../behaviours/index.ts';
import type { Tokenizer } from '../../models/index.ts';
import { beginsWith, type Probe } from '../drafts/verify.ts';
import type { Answer, Detector } from './detector.ts';

/** Name of the score: logit of the behaviour's answer minus that of the other, where they first differ. */
const CHOICE_SCORE = 'choice.logit_difference';

/** Shown where the logit difference is above 0. */
export const choiceDetector: Detector = {
  detect: async (answers) => answers.map(read),
};

function read({ text, choice }: Answer): Detection {
  if (choice === undefined)
    throw new CrosspatchError('multiple choice: a run without its logit difference', { id: 'internal' });
  const scores = { [CHOICE_SCORE]: choice };
  return { shows: choice > 0, neutral: false, degenerate: isDegenerate(text), scores };
}

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
