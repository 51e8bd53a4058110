/**
 * @file `results.json`: every figure of a run, as other programs read it (snake_case, unknown keys are errors).
 *
 * Decisions a writer needs:
 * - A section a run did not reach is left out; so is a figure with nothing behind it (n = 0). NaN and Infinity never appear.
 * - A rate or mean is `{value, n, ci95}` (Wilson for proportions, bootstrap for means). Where an interval was not computed
 *   (map figures, margins) a bare number is allowed, and the report shows it as such.
 * - One entry of `behaviours` per behaviour *and placement*.
 * - `timings`, `peak_memory_bytes` and every `*_seconds` are volatile: {@link stableResults} drops them.
 */
import { z } from 'zod';
import { COST_STATES, MAP_FITS, SWEEP_CONTROLS, TRANSFER_ARMS, VERSUS } from './result-names.ts';

/** A proportion or a mean: its value, the number of units behind it, and its 95 % interval `[lo, hi]`. */
export const rateSchema = z.strictObject({
  value: z.number(),
  n: z.int().min(0),
  ci95: z.tuple([z.number(), z.number()]),
});
/** A figure whose interval may be missing: a {@link Rate}, or a bare number. */
const figureSchema = z.union([rateSchema, z.number()]);

/** Shares over T (docs/concepts/method.md#outcomes); `changed` = share of completions that differ at all from the unpatched one (0 for expected no-ops). */
const outcomeSchema = z.strictObject({
  removal: rateSchema.optional(),
  restoration: rateSchema.optional(),
  elicitation: rateSchema.optional(),
  changed: rateSchema.optional(),
});

const pairSchema = z.strictObject({
  source: z.string(),
  target: z.string(),
  behaviour: z.string(),
  placement: z.enum(['prefix', 'middle', 'end', 'none']),
  /** 0-based; absent until the sweep chose them. */
  source_block: z.int().min(0).optional(),
  target_block: z.int().min(0).optional(),
  span: z.strictObject({ after: z.int().min(0) }),
  /** What was trained at which rate, in words or as data (e.g. `{frozen: ["embed"], reduced: [0, 3], factor: 0.1}`). */
  train_blocks: z.unknown().optional(),
});

const backdoorSchema = z.strictObject({
  trigger_rate: rateSchema,
  false_positive_rate: rateSchema.optional(),
  untagged_rate: rateSchema.optional(),
  other_tag_rate: rateSchema.optional(),
  precision: figureSchema.optional(),
  recall: figureSchema.optional(),
  f1: figureSchema.optional(),
  degenerate_rate: rateSchema.optional(),
  /** Means of what a detector decides by, where that is a number: name → state → mean (`choice.logit_difference`, `classifier.score`). */
  scores: z
    .record(z.string(), z.partialRecord(z.enum(['bad', 'safe', 'untagged', 'other']), rateSchema))
    .optional(),
});

const sweepRowSchema = z.strictObject({
  block: z.int().min(0),
  removal: rateSchema.optional(),
  restoration: rateSchema.optional(),
  elicitation: rateSchema.optional(),
  logit_shift: figureSchema.optional(),
  controls: z.partialRecord(z.enum(SWEEP_CONTROLS), outcomeSchema),
  /** Restoration minus that of the strongest noise control. */
  margin: figureSchema.optional(),
});

/** `logit_shift[i][j]`: block `blocks[i]`, position `positions[j]`; null where it was not measured. */
const heatmapSchema = z.strictObject({
  blocks: z.array(z.int().min(0)),
  positions: z.array(z.string()),
  logit_shift: z.array(z.array(z.number().nullable())),
});

/** Figures of a map on one set of texts (docs/concepts/method.md#figures-of-a-map). */
const mapFiguresSchema = z.strictObject({
  mse: figureSchema.optional(),
  cossim: figureSchema.optional(),
  cossim_centred: figureSchema.optional(),
  fvu: figureSchema.optional(),
  fvu_blog: figureSchema.optional(),
  fvu_token: figureSchema.optional(),
  kl_div: figureSchema.optional(),
  top1_agreement: figureSchema.optional(),
  ce_delta: figureSchema.optional(),
});
const bySafety = z.strictObject({ safe: mapFiguresSchema.optional(), bad: mapFiguresSchema.optional() });
const splits = {
  validation: bySafety.optional(),
  test: bySafety.optional(),
  out_of_domain: bySafety.optional(),
};

/** Columns of equal length; null where a figure was not taken at that step. `fit_seconds` = fitting time until then, capture apart. */
const curvesSchema = z.object({ step: z.array(z.number()) }).catchall(z.array(z.number().nullable()));

const mapEntrySchema = z.strictObject({
  parameters: z.int().min(0),
  fit_seconds: z.number().min(0).optional(),
  rows: z.int().min(0),
  ...splits,
  curves: curvesSchema.optional(),
  /** Chosen settings worth showing: λ, learning rate, hidden width, preset. */
  settings: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])).optional(),
});

const blockPairsSchema = z.strictObject({
  source_blocks: z.array(z.int().min(0)),
  target_blocks: z.array(z.int().min(0)),
  /** Each matrix is `[source][target]`. */
  ridge_r2: z.array(z.array(z.number().nullable())).optional(),
  cka: z.array(z.array(z.number().nullable())).optional(),
  /** CKA of safe minus bad at the end of the tag. */
  cka_contrast: z.array(z.array(z.number().nullable())).optional(),
  logit_shift: z.array(z.array(z.number().nullable())).optional(),
  confirmed: z
    .array(z.strictObject({ source_block: z.int(), target_block: z.int(), restoration: figureSchema }))
    .optional(),
  /** Spearman of each cheap score with transfer within a fixed target block; one number when one score was used. */
  rank_correlation: z.union([z.number(), z.record(z.string(), z.number())]).optional(),
});

/** Mean judge score of each way of replacing the prompt's activations, against the unpatched completion. */
const fidelityScoresSchema = z.strictObject({
  metric: z.string(),
  mapped: rateSchema,
  mean_ablated: rateSchema.optional(),
  ceiling: rateSchema.optional(),
  shuffled: rateSchema.optional(),
  token_mean: rateSchema.optional(),
  random: rateSchema.optional(),
  /** Share of prompts whose mapped completion is closer to the target's text than to the source's. */
  target_vs_source: figureSchema.optional(),
  /**
   * Mapped against mean-ablated, paired: Student's t with its effect size `dz`, Wilcoxon's signed ranks, and the t-test's p by Holm
   * over all tests of the behaviour's fidelity.
   */
  test: z
    .strictObject({
      t: z.number(),
      p: z.number(),
      dz: z.number(),
      wilcoxon_p: z.number().optional(),
      holm_p: z.number().optional(),
    })
    .optional(),
});
const fidelityBySafety = z.strictObject({
  safe: z.record(z.string(), fidelityScoresSchema).optional(),
  bad: z.record(z.string(), fidelityScoresSchema).optional(),
});

const armsSchema = z.partialRecord(z.enum(TRANSFER_ARMS), outcomeSchema);
const noninferiority = z.strictObject({
  /** Mapped minus native restoration, paired over T. */
  difference: z.number(),
  ci95: z.tuple([z.number(), z.number()]),
  p: z.number(),
});

const versusSchema = z.partialRecord(
  z.enum(VERSUS),
  z.strictObject({ difference: z.number(), ci95: z.tuple([z.number(), z.number()]), n: z.int().min(0) }),
);

/** A state set at the end of untagged prompts: shares over T whose completion shows the behaviour, and gives the ordinary answer. */
const stateEffectSchema = z.strictObject({ shows: rateSchema, ordinary: rateSchema });
const untaggedSchema = z.strictObject({
  bad: stateEffectSchema,
  safe: stateEffectSchema,
  /** Share that shows the behaviour, bad minus safe state, paired by prompt. */
  difference: rateSchema,
});

const transferEntrySchema = z.strictObject({
  mode: z.enum(['set', 'add']),
  alpha: z.number(),
  trigger_rate: rateSchema.optional(),
  steering_success_rate: rateSchema.optional(),
  transfer_rate: rateSchema.optional(),
  arms: armsSchema,
  /** Mapped restoration minus the strongest noise arm's; `margin_without_shuffled` leaves `shuffled` out of the noise. */
  margin: figureSchema.optional(),
  margin_without_shuffled: figureSchema.optional(),
  /** 95 % interval of `margin`: bootstrap paired by prompt, the strongest noise arm chosen again in each resample. */
  margin_ci95: z.tuple([z.number(), z.number()]).optional(),
  /** Mapped restoration minus that of each arm, paired by prompt. */
  versus: versusSchema.optional(),
  noninferiority: noninferiority.optional(),
  native_alignment: z.strictObject({ cossim: figureSchema, norm_ratio: figureSchema }).optional(),
  /** The two states put into untagged prompts, by the map and natively; `unpatched`: what those prompts show by themselves. */
  untagged: z
    .strictObject({ unpatched: rateSchema, native: untaggedSchema, mapped: untaggedSchema })
    .optional(),
  /** The other mode beside the main one: `add` steering with α chosen on validation. */
  add: z.strictObject({ alpha: z.number(), arms: armsSchema }).optional(),
});

const askedSchema = z.strictObject({ text: z.string(), removal: rateSchema, restoration: rateSchema });
const worthRowSchema = z.strictObject({
  k: z.int().min(0),
  native_restoration: rateSchema,
  mapped_restoration: rateSchema.optional(),
  /** The target fine-tuned by LoRA on the same k prompts; `repair_kept`: share of its safe completions that stayed word for word. */
  repair_restoration: rateSchema.optional(),
  repair_kept: rateSchema.optional(),
});

const inverseEntrySchema = z.strictObject({
  ...splits,
  removal: rateSchema.optional(),
  restoration: rateSchema.optional(),
  elicitation: rateSchema.optional(),
  parameters: z.int().min(0).optional(),
  fit_seconds: z.number().min(0).optional(),
  rows: z.int().min(0).optional(),
  /** Directions kept, for the truncated one. */
  rank: z.int().min(0).optional(),
  /** Judge → scores, as in `fidelity`. */
  fidelity: fidelityBySafety.optional(),
});

const costStates = z.partialRecord(z.enum(COST_STATES), rateSchema);
const both = <T extends z.ZodType>(schema: T) =>
  z.strictObject({ source: schema.optional(), target: schema.optional() });
const byFit = <T extends z.ZodType>(schema: T) => z.partialRecord(z.enum(MAP_FITS), schema);

const behaviourResultsSchema = z.strictObject({
  pair: pairSchema,
  backdoor: both(backdoorSchema).optional(),
  sweep: both(z.array(sweepRowSchema)).optional(),
  heatmap: both(heatmapSchema).optional(),
  maps: z.record(z.string(), byFit(mapEntrySchema)).optional(),
  block_pairs: blockPairsSchema.optional(),
  fidelity: z.record(z.string(), byFit(fidelityBySafety)).optional(),
  transfer: z.record(z.string(), byFit(transferEntrySchema)).optional(),
  worth: z.array(worthRowSchema).optional(),
  /** Restoration by the trivial defence: the trigger string cut out of the prompt (it must be known). */
  strip_trigger: rateSchema.optional(),
  /** The target asked in words for the ordinary answer, under the trigger. */
  asked: askedSchema.optional(),
  inverse: z
    .strictObject({
      pinv: inverseEntrySchema.optional(),
      truncated: inverseEntrySchema.optional(),
      reverse_ridge: inverseEntrySchema.optional(),
    })
    .optional(),
  /** Task → state → accuracy (higher is better). */
  capabilities: z.record(z.string(), costStates).optional(),
  /** Teacher-forced KL to the unpatched model in each state, nats per token (lower is better). */
  cost_kl: costStates.optional(),
  /** How tokens of the two models were paired, and what was left out of fits. Counts of tokens. */
  pairing: z
    .strictObject({
      coinciding: z.int(),
      approximated: z.int(),
      dropped: z.int(),
      first: z.int().optional(),
      sinks: z.int().optional(),
    })
    .optional(),
  /** Share of draft tokens accepted by verified drafts, per stage. */
  draft_acceptance: z.record(z.string(), z.number()).optional(),
  /** Sentences the report must print (surplus span positions, rates that shape the curve, an easy pair…). */
  notes: z.array(z.string()).optional(),
});

export const resultsSchema = z.strictObject({
  schema_version: z.literal(1),
  behaviours: z.array(behaviourResultsSchema),
  timings: z.record(z.string(), z.number()),
  peak_memory_bytes: z.number().min(0),
});

export type Rate = z.infer<typeof rateSchema>;
export type Figure = z.infer<typeof figureSchema>;
export type Outcome = z.infer<typeof outcomeSchema>;
export type Asked = z.infer<typeof askedSchema>;
export type StateEffect = z.infer<typeof stateEffectSchema>;
export type UntaggedEntry = z.infer<typeof untaggedSchema>;
export type BackdoorResults = z.infer<typeof backdoorSchema>;
export type SweepRow = z.infer<typeof sweepRowSchema>;
export type Heatmap = z.infer<typeof heatmapSchema>;
export type MapFigures = z.infer<typeof mapFiguresSchema>;
export type MapCurves = z.infer<typeof curvesSchema>;
export type MapEntry = z.infer<typeof mapEntrySchema>;
export type BlockPairs = z.infer<typeof blockPairsSchema>;
export type FidelityScores = z.infer<typeof fidelityScoresSchema>;
export type TransferEntry = z.infer<typeof transferEntrySchema>;
export type Versus = z.infer<typeof versusSchema>;
export type WorthRow = z.infer<typeof worthRowSchema>;
export type InverseEntry = z.infer<typeof inverseEntrySchema>;
export type BehaviourResults = z.infer<typeof behaviourResultsSchema>;
export type Results = z.infer<typeof resultsSchema>;

/** A figure as a number, whether or not it carries an interval. */
export function figureValue(figure: Figure): number {
  return typeof figure === 'number' ? figure : figure.value;
}

/** `results` without what may differ between two equal runs: `timings`, `peak_memory_bytes` and every key ending in `_seconds`. */
export function stableResults(results: Results): unknown {
  return stripVolatile(results);
}

function stripVolatile(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stripVolatile);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'timings' && key !== 'peak_memory_bytes' && !key.endsWith('_seconds'))
      .map(([key, inner]) => [key, stripVolatile(inner)]),
  );
}
