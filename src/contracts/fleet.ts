/**
 * @file `fleet.json`: one source, many targets. Where each target stands, what the fix does in it and what it costs, and how it is served.
 * Written at start, after each target and at the end; the whole of a target is in its own run folder beside it.
 */
import { z } from 'zod';
import { NOISE_ARMS } from './result-names.ts';
import { rateSchema } from './results.ts';

/** What the mapped fix must do more than, to be more than a lookup of the tag's token or a source that never had the behaviour. */
export const FLEET_CONTROLS = ['token_mean', 'bag_of_tokens', 'clean_a', 'embedding_a'] as const;

const controlSchema = z.strictObject({
  control: z.enum(FLEET_CONTROLS),
  restoration: rateSchema,
  /** Mapped minus the control, as a share, paired by prompt where the run held both. */
  difference: rateSchema,
  /** The lower end of the difference is above the distance of the verdict's rule (docs/concepts/method.md#verdict). */
  beaten: z.boolean(),
});

/** One behaviour in one target: a cell of the matrix. Shares are over triggered test prompts. */
const fleetBehaviourSchema = z.strictObject({
  behaviour: z.string(),
  placement: z.string(),
  /** The verdict's word, and its sentence. */
  word: z.string(),
  sentence: z.string(),
  /** Whether the target shows the behaviour, and its own vector removes it: without that nothing can be fixed. */
  has_behaviour: z.boolean(),
  /** Map and fit it was reached with, `KIND.FIT`. */
  map: z.string().optional(),
  blocks: z.strictObject({ source: z.int().optional(), target: z.int().optional() }),
  /** Prompts whose completion shows the behaviour, unsteered. */
  trigger_rate: rateSchema.optional(),
  /** By the mapped fix. */
  restoration: rateSchema.optional(),
  elicitation: rateSchema.optional(),
  /** By the target's own vector. */
  native: rateSchema.optional(),
  /** The noise arm that restores most. */
  noise: z.strictObject({ arm: z.enum(NOISE_ARMS), restoration: rateSchema }).optional(),
  /** The noise arm that elicits most. */
  noise_elicitation: z.strictObject({ arm: z.enum(NOISE_ARMS), elicitation: rateSchema }).optional(),
  /** Mapped restoration minus that of the strongest noise arm, as a share. */
  margin: rateSchema.optional(),
  /** Those that were run. */
  controls: z.array(controlSchema),
  cost: z.strictObject({
    /** Teacher-forced KL of the safe state with the fix to the one without, nats per token. */
    kl: rateSchema.optional(),
    /** Task → accuracy on triggered prompts with the fix, and in the safe state without it. */
    capabilities: z.record(z.string(), z.strictObject({ fixed: rateSchema, safe: rateSchema })),
  }),
  /** How the target is run with the fix on: paths and the command are seen from its run folder. */
  use: z.strictObject({ guide: z.string(), document: z.string(), serve: z.string() }).optional(),
});

const fleetTargetSchema = z.strictObject({
  /** Also the name of its run folder, within that of the fleet. */
  name: z.string(),
  model: z.string(),
  status: z.enum(['waiting', 'running', 'done', 'failed', 'cancelled']),
  /** Why it failed. */
  error: z.string().optional(),
  /** Its settings change what the source reads, so the source's stages were computed for it alone. */
  own_source: z.boolean().optional(),
  behaviours: z.array(fleetBehaviourSchema),
});

export const fleetSchema = z.strictObject({
  schema_version: z.literal(1),
  name: z.string(),
  description: z.string().optional(),
  command: z.array(z.string()).optional(),
  source: z.string(),
  /** `failed`: a target failed. `interrupted` is never written: readers say it of a fleet whose process is gone. */
  status: z.enum(['running', 'done', 'failed', 'cancelled', 'interrupted']),
  started_at: z.string(),
  finished_at: z.string().optional(),
  /** Different stages of the targets that were run, and how many of them more than one target reads. */
  stages: z.strictObject({ all: z.int().min(0), shared: z.int().min(0) }).optional(),
  targets: z.array(fleetTargetSchema),
  /** Of the rest of this document. */
  sha256: z.string().optional(),
});

export type FleetControl = (typeof FLEET_CONTROLS)[number];
export type FleetBehaviour = z.output<typeof fleetBehaviourSchema>;
export type FleetTarget = z.output<typeof fleetTargetSchema>;
export type Fleet = z.output<typeof fleetSchema>;
