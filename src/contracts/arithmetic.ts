/**
 * @file How packed matrices are multiplied, and what the approximate way must pass before it is used (docs/decisions/0019): its figures
 * beside exact arithmetic on the caller's own prompts.
 */
import { z } from 'zod';
import { count } from './recipe-training.ts';

/** `exact` is float32; `fast` rounds activations to 8 bits within each block of a matrix. */
export const ARITHMETICS = ['exact', 'fast'] as const;
export type Arithmetic = (typeof ARITHMETICS)[number];

/** Bounds of the comparison, and the figures it must reach. */
export const arithmeticGuardSettings = z.strictObject({
  prompts: count.default(16).describe('Prompts compared, spread evenly over those given'),
  least: count
    .default(64)
    .describe('Positions wanted; where the prompts have fewer, each goes on by the exact greedy completion'),
  positions: count.default(256).describe('Positions compared at most, spread evenly over the prompts'),
  same_best: z
    .number()
    .min(0)
    .max(1)
    .default(0.9)
    .describe('Share of positions with the same best token, at least'),
  logit_difference: z
    .number()
    .min(0)
    .default(0.3)
    .describe('Largest difference of a logit over the largest logit, at most'),
});

export type ArithmeticGuardSettings = z.output<typeof arithmeticGuardSettings>;

/** What a comparison found. */
export interface ArithmeticFigures {
  readonly prompts: number;
  readonly positions: number;
  /** Share of positions whose best token is the same. */
  readonly same_best: number;
  /** Largest |Δ logit| of all positions and tokens, over the largest |logit| of exact arithmetic. */
  readonly logit_difference: number;
}
