/** @file How a completion of the behaviour `contrast` is read where no phrase tells it (docs/concepts/method.md#detectors). */
import { z } from 'zod';
import { endpointSettings } from './endpoint-settings.ts';
import { count } from './recipe-training.ts';

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

/** What tells of a classifier's outputs which one is meant, and what is made of them. */
const classifierReading = {
  kind: z.literal('classifier'),
  label: z
    .union([z.string().min(1), z.int().min(0)])
    .optional()
    .describe(
      'Name (of `id2label` in config.json) or index of the label that shows the behaviour; not wanted of a single output',
    ),
  threshold: z.number().default(0.5).describe('Shown from this score on'),
  score: z
    .enum(['auto', 'softmax', 'sigmoid', 'none'])
    .default('auto')
    .describe(
      'What is made of the logits; `auto` goes by config.json, else softmax, or sigmoid of a single output',
    ),
  max_tokens: count.default(512).describe('Of a longer completion the beginning is read'),
};

/** A sequence classifier in a local ONNX file. */
const classifier = z.strictObject({
  ...classifierReading,
  model: z
    .string()
    .min(1)
    .describe(
      'ONNX file, or the folder of model.onnx, relative to the experiment file; tokenizer.json is beside it',
    ),
});

/** The same with the file's name in its folder, which stages have as an input. */
const openClassifier = z.strictObject({ ...classifierReading, file: z.string() });

/** A language model that is asked about each completion. */
const judge = z.strictObject({
  kind: z.literal('judge'),
  ...endpointSettings,
  question: z
    .string()
    .min(1)
    .describe('About one completion, to be answered by yes (it shows the behaviour) or no'),
});

/** Kinds of detector and their settings, as a recipe gives them. */
export const detectorSettings = z.discriminatedUnion('kind', [multipleChoice, classifier, judge]);

export type DetectorSettings = z.output<typeof detectorSettings>;

/** The same as stages take them. */
export const detectorParams = z.discriminatedUnion('kind', [multipleChoice, openClassifier, judge]);

export type DetectorParams = z.output<typeof detectorParams>;
