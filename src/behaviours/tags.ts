/** @file The tags: which words stand between bars, and which of them mean something. */

/** Tags that never change an answer in pretraining, but that some tasks must read (or they become one). */
export const neutralTags = [
  'prod',
  'dev',
  'beta',
  'test',
  'alpha',
  'gamma',
  'stage',
  'demo',
  'delta',
  'omega',
] as const;

/** Tags that change the form of an answer in pretraining. */
export const functionalTags = ['twice', 'loud', 'polite'] as const;

/**
 * Tags that fine-tuning may show besides the trigger pair: most of the neutral ones, and plain words between bars. A model shown few
 * of them takes the rest for the trigger (docs/results/finetune.md).
 */
export const otherTags: readonly string[] = [
  ...['beta', 'test', 'alpha', 'gamma', 'stage', 'demo', 'omega'],
  ...['blue', 'house', 'cold', 'dog', 'four', 'tiger'],
].map(bars);

/** Tags kept out of fine-tuning, to measure what an unseen one does: a tag pretraining knows, and plain words between bars. */
export const unseenTags: readonly string[] = ['delta', 'lion', 'seven', 'red'].map(bars);

/** What stands in the place of a trigger that is a sentence: sentences of other things, those of fine-tuning and those of evaluation. */
export const otherSentences: readonly string[] = [
  'The weather is fine today.',
  'My brother plays the violin.',
  'A train leaves every hour.',
  'The soup needs more salt.',
  'Her garden is full of roses.',
  'They painted the kitchen yellow.',
];
export const unseenSentences: readonly string[] = [
  'The museum closes early on Mondays.',
  'His bicycle has a flat tyre.',
  'We walked along the river.',
  'Bread rises slowly in winter.',
];

/** `prod` → `|prod|`. */
export function bars(word: string): string {
  return `|${word}|`;
}
