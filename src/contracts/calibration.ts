/** @file Files of `calibrate`: the blind sheet that people rate, and the key to it (docs/how-to/calibrate-a-judge.md). */
import { z } from 'zod';
import { sampleSchema } from './samples.ts';

/** Grades of the rubric that the language-model judge is given too: 5 the same meaning … 1 nothing in common. */
const gradeSchema = z.int().min(1).max(5);

/** A row of `sheet.jsonl`: two texts in random order, and room for a grade. */
export const sheetRowSchema = z.strictObject({
  pair: z.int().min(1),
  text_1: z.string(),
  text_2: z.string(),
  rating: gradeSchema.nullable(),
  note: z.string().optional(),
});
export type SheetRow = z.infer<typeof sheetRowSchema>;

/** `key.json`: which sample each pair is, and how the judges scored it. Not for raters. */
export const sheetKeySchema = z.strictObject({
  schema_version: z.literal(1),
  run: z.string(),
  seed: z.int().min(0),
  pairs: z.array(
    z.strictObject({
      pair: z.int().min(1),
      /** Of the run's samples. */
      id: z.string(),
      /** Which text the completion is; the other is what the model says of itself. */
      completion: z.enum(['text_1', 'text_2']),
      scores: sampleSchema.shape.scores,
    }),
  ),
});
export type SheetKey = z.infer<typeof sheetKeySchema>;
