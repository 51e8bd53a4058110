/** @file Settings of steering vectors and of their dose curves, with their defaults. */
import { z } from 'zod';
import { VECTOR_METHODS, VECTOR_POSITIONS } from './vector.ts';

/** How vectors are made of contrast pairs. */
export const vectorSettings = z.strictObject({
  method: z
    .enum(VECTOR_METHODS)
    .default('mean-difference')
    .describe(
      'mean-difference; pca: first component of the centred pair differences; pca-center: of the pairs, each centred on its own middle; logistic: weights of a logistic probe; refusal: mean difference chosen by what projecting it out does',
    ),
  position: z
    .enum(VECTOR_POSITIONS)
    .default('last')
    .describe('Read the last token, the mean of the tokens, or the tokens in which the pair differs'),
  held_out: z
    .number()
    .min(0)
    .max(0.9)
    .default(0.25)
    .describe('Share of the pairs kept for measuring. Defaults to 0.25'),
  shuffles: z.int().min(1).default(20).describe('Directions from shuffled labels, as a control'),
  l2: z
    .number()
    .positive()
    .optional()
    .describe(
      'logistic: penalty ½·l2·‖w‖² beside the mean loss, rows scaled to mean square 1 (default: 1/n)',
    ),
  kl_bound: z
    .number()
    .min(0)
    .default(0.1)
    .describe('refusal: most a direction projected out may move the next token of negative prompts, nats'),
  candidates: z
    .int()
    .min(1)
    .default(12)
    .describe('refusal: directions whose removal is tried, those that separate best'),
  batch: z.int().min(1).default(16).describe('Prompts per forward pass'),
  memory_mb: z
    .number()
    .positive()
    .default(512)
    .describe('Rows held at once; more blocks than fit are read in further passes'),
});
export type VectorSettings = z.infer<typeof vectorSettings>;

/** How the LoRA of a dose curve is trained and scaled. Its scale is sought, so alpha is not a setting: it is twice the rank. */
export const doseLoraSettings = z.strictObject({
  rank: z.int().min(1).default(8).describe('Rank of the adapters'),
  epochs: z.int().min(1).default(3).describe('Passes over the training pairs'),
  batch: z.int().min(1).default(8).describe('Pairs per optimizer step'),
  learning_rate: z.number().positive().default(1e-3).describe('Peak learning rate'),
  answer: z.int().min(1).default(64).describe('Tokens of an own answer that is taught'),
  largest: z.number().positive().default(64).describe('The scale is not sought beyond this'),
});
export type DoseLoraSettings = z.infer<typeof doseLoraSettings>;

/** How a dose curve is measured. */
export const doseSettings = z.strictObject({
  alphas: z.array(z.number()).min(1).default([0.5, 1, 2, 4]).describe('Strengths tried'),
  blocks: z.int().min(1).default(3).describe('Blocks tried, the best separating ones'),
  prompts: z.int().min(1).default(32).describe('Held-out negative prompts that are steered'),
  neutral: z.int().min(1).default(8).describe('Neutral prompts that the cost is measured on'),
  continuation: z.int().min(1).default(64).describe('Tokens of the model’s own continuation of each'),
  max_tokens: z.int().min(1).default(32).describe('New tokens of a completion'),
  bound: z.number().min(0).default(0.2).describe('Nats per token a recommended point may cost'),
  budgets: z
    .array(z.number().positive())
    .default([])
    .describe('Costs in nats per token for which α is sought, for the vector and for a random direction'),
  lora: doseLoraSettings
    .optional()
    .describe(
      'Train a LoRA on the same pairs and measure it beside, at scale 1 and at the scales of the budgets',
    ),
});
export type DoseSettings = z.infer<typeof doseSettings>;
