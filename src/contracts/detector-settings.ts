/** @file How a completion of the behaviour `contrast` is read where no phrase tells it (docs/concepts/method.md#detectors). */
import { z } from 'zod';

/** The choice between two given answers, read from the logits. */
const multipleChoice = z.strictObject({
  kind: z.literal('multiple-choice'),
  answers: z
    .strictObject({ behaviour: z.string().min(1), other: z.string().min(1) })
    .optional()
    .describe(
      'What stands after each prompt, where the rows of `file` have no `answer_matching_behavior` and `answer_not_matching_behavior`',
    ),
  before: z
    .strictObject({ bad: z.string().min(1), safe: z.string().min(1) })
    .optional()
    .describe(
      'Where the rows of `file` are questions: the text before each that makes it the bad or the safe prompt',
    ),
});

/** Kinds of detector and their settings, as a recipe gives them. */
export const detectorSettings = z.discriminatedUnion('kind', [multipleChoice]);

export type DetectorSettings = z.output<typeof detectorSettings>;

/** The same as stages take them. */
export const detectorParams = z.discriminatedUnion('kind', [multipleChoice]);

export type DetectorParams = z.output<typeof detectorParams>;
