/** @file Rows of `capabilities --samples`: one item of a task of lm-evaluation-harness, with what a model made of it. */
import { z } from 'zod';
import { CAPABILITY_TASKS, TASK_SCORES } from './capability-tasks.ts';

export const itemRowSchema = z.strictObject({
  task: z.enum(CAPABILITY_TASKS),
  /** Number of the row from 0, of its subject where it has one (`astronomy/3`). */
  id: z.string(),
  /** The model that was asked, and what was done to it. */
  model: z.string().optional(),
  adapter: z.string().optional(),
  interventions: z.array(z.string()).optional(),
  /** Solved examples before the question. */
  num_fewshot: z.int().min(0).optional(),
  prompt: z.string(),
  /** What may follow; absent where the model writes its own answer. `gold` is the index of the right one. */
  choices: z.array(z.string()).optional(),
  gold: z.int().min(0).optional(),
  /** By choice: sums of natural-log probabilities. */
  logprobs: z.array(z.number()).optional(),
  /** The right answer as a solved example shows it. */
  answer: z.string(),
  completion: z.string().optional(),
  /** The answers found in a completion, by filter. */
  extracted: z.record(z.string(), z.string()).optional(),
  scores: z.partialRecord(z.enum(TASK_SCORES), z.number()),
  /** The prompt was too long for the model and lost its beginning. */
  cut: z.boolean(),
});

export type ItemRow = z.infer<typeof itemRowSchema>;
