/** @file `bake.json`: how a model was baked, and what came of it. */
import type { InterventionDocument } from '../../contracts/index.ts';
import type { KindFigures } from '../../evaluate/index.ts';

/** How steering gets into weights. */
export const BAKE_METHODS = ['auto', 'bias', 'lora'] as const;
export type BakeMethod = (typeof BAKE_METHODS)[number];

/** Settings of a bake. */
export interface BakeSettings {
  /** `auto`: a bias where that is exact, else a LoRA. */
  readonly method: BakeMethod;
  /** Of the LoRA; its alpha is twice that. */
  readonly rank: number;
  readonly steps: number;
  /** Rows per step, and prompts asked side by side. */
  readonly batch: number;
  readonly learningRate: number;
  /** Prompts of each kind that are only measured on. */
  readonly heldOut: number;
  /** Longest answer. */
  readonly maxTokens: number;
  readonly seed: number;
  readonly dtype: 'F32' | 'F16' | 'BF16';
  /** Regular expression that marks an answer. */
  readonly detect?: string | undefined;
}

/** How the LoRA was fitted. */
export interface BakeTraining {
  readonly rows: { readonly fires: number; readonly left_alone: number };
  readonly rank: number;
  readonly alpha: number;
  readonly steps: number;
  readonly batch: number;
  readonly learning_rate: number;
  /** Mean KL(steered ‖ model) per token over the first and last tenth of the steps, nats. */
  readonly kl: { readonly first: number; readonly last: number };
  /** Weights that were trained. */
  readonly parameters: number;
  readonly seconds: number;
}

/** The document in the file. */
export interface BakeRecord {
  readonly schema_version: 1;
  readonly base: { readonly name: string; readonly sha256: string };
  readonly method: Exclude<BakeMethod, 'auto'>;
  /** Why a bias does not say the steering; only with `lora`. */
  readonly not_a_bias?: string | undefined;
  readonly intervention: InterventionDocument;
  readonly training?: BakeTraining | undefined;
  readonly seed: number;
  readonly max_tokens: number;
  readonly detect?: string | undefined;
  /** Held-out prompts on which the document is carried out, and those on which it is not. */
  readonly fires: KindFigures;
  readonly left_alone?: KindFigures | undefined;
}
