/** @file `vector.json`: what a folder of steering vectors says of itself. */
import { z } from 'zod';

/** How a direction is made of contrast pairs. */
export const VECTOR_METHODS = ['mean-difference', 'pca', 'pca-center', 'logistic', 'refusal'] as const;
export type VectorMethod = (typeof VECTOR_METHODS)[number];

/** Where a prompt is read: its last token, the mean of its tokens, or the mean of the tokens in which a pair differs. */
export const VECTOR_POSITIONS = ['last', 'mean', 'span'] as const;
export type VectorPosition = (typeof VECTOR_POSITIONS)[number];

const share = z.number().min(0).max(1);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const estimate = z.strictObject({
  value: z.number(),
  n: z.int().min(0),
  ci95: z.tuple([z.number(), z.number()]),
});

/** How well a direction tells held-out positive prompts from negative ones. */
const separabilitySchema = z.strictObject({
  auroc: estimate.describe('Chance that a positive prompt lies further along than a negative one; n prompts'),
  pairs_right: estimate.optional().describe('Share of held-out pairs whose positive lies further along'),
  gap_sd: z.number().nullable().describe('Distance of the two means in pooled standard deviations'),
  shuffled: z
    .strictObject({ mean: share, low: share, high: share, n: z.int().min(1) })
    .describe('AUROC of directions made from training pairs with half of the labels swapped: mean and range'),
});

const blockSchema = z.strictObject({
  block: z.int().min(0).describe('The vector belongs to blocks.{block}.hook_resid_post'),
  norm: z.number().min(0).describe('‖v‖ of direction.{block}'),
  mean_norm: z.number().min(0).optional().describe('Mean ‖h‖ there over prompt tokens, the first left out'),
  relative_dose: z.number().min(0).optional().describe('‖v‖ / mean ‖h‖: the relative dose of α = 1'),
  explained: share.optional().describe('pca: share of the variance of the differences'),
  log_odds: z.number().optional().describe('logistic: rise of the log-odds for α = 1'),
  separability: separabilitySchema.optional(),
});

const costSchema = z.strictObject({
  next_token: z.number().min(0).describe('KL(steered ‖ unsteered) of the token after a neutral prompt, nats'),
  per_token: z.number().min(0).describe('Mean of it over the model’s own continuation, nats per token'),
});

const dosePointSchema = z.strictObject({
  arm: z
    .enum(['none', 'vector', 'random', 'asked', 'lora'])
    .describe(
      'random: a direction of the same norm; asked: no steering, a sentence in the prompt that asks for it; lora: no steering, an adapter trained on the same pairs',
    ),
  block: z.int().min(0).describe('Of none, asked and lora: the block they are shown beside'),
  alpha: z
    .number()
    .describe('Factor on the vector; of lora the scale s in W + s·(alpha/rank)·B·A (1: as trained)'),
  relative_dose: z.number().min(0).describe('α ‖v‖ / mean ‖h‖; 0 where no vector is added'),
  budget: z.number().optional().describe('nats per token that α was sought for'),
  effect: z.strictObject({
    share: estimate.optional().describe('Completions that match the pattern or hold the phrase'),
    changed: estimate.describe('Completions that differ from the unsteered ones'),
    shift: z
      .number()
      .nullable()
      .describe('Move along the last block’s direction, in distances of the two means; null without one'),
  }),
  cost: costSchema,
});

const doseLoraSchema = z.strictObject({
  rows: z.int().min(1).describe('Training pairs that were taught'),
  taught: z
    .enum(['own answers', 'given answers', 'own and given answers'])
    .describe(
      'own: the model’s greedy answer to the positive prompt; given: the positive answer of a question',
    ),
  steps: z.int().min(1).describe('Optimizer steps'),
  epochs: z.int().min(1),
  batch: z.int().min(1),
  learning_rate: z.number().positive(),
  rank: z.int().min(1),
  alpha: z.number().positive().describe('Scale 1 adds (alpha / rank)·B·A'),
  parameters: z.int().min(1).describe('Weights that were trained'),
  loss: z
    .strictObject({ first: z.number(), last: z.number() })
    .describe('Mean loss per token in the first and in the last epoch'),
  largest: z.number().positive().describe('The scale was not sought beyond this'),
  scales: z.int().min(1).describe('Scales at which the cost was measured'),
  train_seconds: z.number().min(0).describe('Time of training; differs from run to run'),
});

const doseSchema = z.strictObject({
  effect: z.enum(['share', 'shift']).describe('What the recommendation looks at'),
  prompts: z.int().min(1),
  neutral_prompts: z.int().min(1),
  bound: z.number().min(0).describe('Nats per token a recommended point may cost'),
  ask: z.string().optional().describe('The sentence of the arm `asked`'),
  lora: doseLoraSchema.optional().describe('How the adapter of the arm `lora` was trained'),
  points: z.array(dosePointSchema).min(1),
});

const endSchema = z.strictObject({
  name: z.string().min(1),
  sha256,
  blocks: z.int().min(1).optional(),
  width: z.int().min(1),
});

const refusalSchema = z.strictObject({
  position: z.int().describe('Prompt position of the chosen direction, from the end'),
  tokens: z.array(z.int().min(0)).describe('Tokens whose probability says that the model does it'),
  kl_bound: z.number().min(0),
  candidates: z.array(
    z.strictObject({
      block: z.int().min(0),
      position: z.int(),
      ablated: z
        .number()
        .describe('Mean log-odds of those tokens on positive prompts, direction projected out'),
      added: z.number().describe('The same on negative prompts, direction added at its block'),
      kl: z.number().min(0).describe('KL(ablated ‖ plain) of the next token on negative prompts, nats'),
      allowed: z.boolean(),
    }),
  ),
  baseline: z.strictObject({ positive: z.number(), negative: z.number() }),
});

/** A vector that a map carried here: whose it was, and which map. */
const carriedSchema = z.strictObject({
  model: endSchema.optional(),
  block: z.int().min(0),
  method: z.string().optional(),
  map: z.strictObject({ kind: z.string(), fit: z.string(), sha256 }),
  rows: z.int().min(1).optional().describe('Rows f(x + v) − f(x) was averaged over; none for W v'),
  agreement: z.number().optional().describe('Mean cosine of the rows’ differences with their mean'),
});

/** `vector.json`. */
export const vectorRecordSchema = z.strictObject({
  schema_version: z.literal(1),
  model: endSchema.describe('The model the vectors steer'),
  method: z.enum([...VECTOR_METHODS, 'mapped']),
  unit: z.string().describe('What α = 1 means'),
  template: z.string().optional(),
  system: z.string().optional(),
  position: z.enum(VECTOR_POSITIONS).optional(),
  pairs: z
    .strictObject({
      files: z.array(z.string()),
      sha256: sha256.describe('Of the token ids read and their positions'),
      paired: z.boolean(),
      train: z.int().min(1),
      held_out: z.int().min(0),
    })
    .optional(),
  seed: z.int().min(0).optional(),
  blocks: z.array(blockSchema).min(1),
  recommended: z.strictObject({ block: z.int().min(0), alpha: z.number(), reason: z.string() }),
  dose: doseSchema.optional(),
  refusal: refusalSchema.optional(),
  carried: carriedSchema.optional(),
});

export type VectorRecord = z.infer<typeof vectorRecordSchema>;
export type VectorBlock = z.infer<typeof blockSchema>;
export type Separability = z.infer<typeof separabilitySchema>;
export type DoseReport = z.infer<typeof doseSchema>;
export type DoseLora = z.infer<typeof doseLoraSchema>;
export type DosePoint = z.infer<typeof dosePointSchema>;
export type DoseCost = z.infer<typeof costSchema>;
export type RefusalReport = z.infer<typeof refusalSchema>;
