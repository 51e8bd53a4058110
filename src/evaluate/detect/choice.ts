/**
 * @file Multiple choice: a prompt that ends where one of two answers follows, and which of them the model gives the larger logit. As in
 * N. Rimsky et al., 2024, "Steering Llama 2 via Contrastive Activation Addition", §4, whose prompts end before the letter of a choice.
 */
import { CrosspatchError } from '../../base/index.ts';
import { type Detection, isDegenerate } from '../../behaviours/index.ts';
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
