/** @file Progress as it comes back from a worker: the runner's events, less the stage, whose job it is. */
import { z } from 'zod';

/** A worker sends a stage's plain progress at most so often, in milliseconds. */
export const PROGRESS_MS = 500;

/** Reads an event of a worker. */
export const progressSchema = z.object({
  state: z.enum(['started', 'running']),
  done: z.number(),
  total: z.number().optional(),
  unit: z.string().optional(),
  figures: z.record(z.string(), z.number()).optional(),
  message: z.string().optional(),
});
export type WorkerProgress = z.infer<typeof progressSchema>;

/** What a worker says of a finished job. */
export const doneSchema = z.object({ worker: z.string(), peak_memory_bytes: z.number() });
