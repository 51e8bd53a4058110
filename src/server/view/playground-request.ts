/** @file What a person may ask of the playground, and what comes back, line by line. */
import { z } from 'zod';
import { placements, templateNames } from '../../behaviours/index.ts';
import { PROBE_ARMS, PROBE_OPS, type ProbeEvent } from '../../evaluate/index.ts';

/** Body of `POST /api/playground/run`. */
export const playgroundRequestSchema = z.strictObject({
  model: z.string(),
  text: z.string().min(1).max(20_000),
  /** Which trigger stands in the prompt. */
  trigger: z.enum(['bad', 'safe', 'none']),
  bad: z.string().min(1).max(200),
  safe: z.string().min(1).max(200),
  placement: z.enum(placements),
  template: z.enum(templateNames),
  /** Tokens after the trigger that are patched too. */
  after: z.int().min(0).max(20),
  block: z.int().min(0),
  op: z.enum(PROBE_OPS).default('set'),
  /** α: 0 leaves the run as it is, 1 does the whole of it. */
  strength: z.number().min(-10).max(10),
  arms: z.array(z.enum(PROBE_ARMS)).min(1),
  maxTokens: z.int().min(1).max(400),
  map: z.string().optional(),
  /** Where the map's source runs; needed with `mapped`. */
  source: z.string().optional(),
});
/** As it is sent, and as it is read. */
export type PlaygroundRequest = z.input<typeof playgroundRequestSchema>;
export type PlaygroundCall = z.output<typeof playgroundRequestSchema>;

/** Lines of the answer to `POST /api/playground/run`, one JSON object per line. */
export type PlaygroundEvent = ProbeEvent | { readonly type: 'error'; readonly message: string };
