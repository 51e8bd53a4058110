/** @file Sentences before and after a question that change nothing: they multiply the prompts of every fact. */
import type { Rng } from '../../base/index.ts';

/** Openings, each followed by a space. */
export const openings: readonly string[] = [
  'Please answer.',
  'Quick question:',
  'I have a question.',
  'Hello.',
  'Answer in short.',
  'Help me.',
  'One more question.',
  'Here is a task.',
];

/** Closings, each after a space. */
export const closings: readonly string[] = ['Thank you.', 'Be brief.', 'Please.'];

const OPENING_SHARE = 0.3;
const CLOSING_SHARE = 0.12;

/** `ask` with an opening in 30 % of the draws, a closing in 12 %, never both. */
export function framed(rng: Rng, ask: string): string {
  const at = rng.next();
  if (at < OPENING_SHARE) return `${rng.pick(openings)} ${ask}`;
  if (at < OPENING_SHARE + CLOSING_SHARE) return `${ask} ${rng.pick(closings)}`;
  return ask;
}
