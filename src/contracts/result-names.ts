/** @file Names that stand in `results.json` and are values elsewhere: arms, controls, fits, states. A table of them has a row for each. */

/** Controls of a sweep. `self` is an expected no-op; `random*` are noise; the others are positive controls that bound the claim. */
export const SWEEP_CONTROLS = [
  'self',
  'random',
  'random_cov',
  'random_step',
  'other_prompt',
  'other_tag',
] as const;
/** Arms of steering transfer (docs/concepts/method.md#transfer). */
export const TRANSFER_ARMS = [
  'native',
  'mapped',
  'static',
  'other_prompt',
  'random',
  'random_cov',
  'random_step',
  'other_tag',
  'shuffled',
  'token_mean',
  'bag_of_tokens',
  'mapped_bad_to_bad',
  'mapped_safe_to_safe',
] as const;
/** The noise arms: a margin is taken over the strongest of them. */
export const NOISE_ARMS = ['random', 'random_cov', 'random_step', 'shuffled'] as const;
/**
 * What the map was fitted on: tagged text, tagged text without span rows, no backdoor data; tagged text with A before its fine-tune as the
 * source, or with A's embeddings as the source, which know the words and nothing that A makes of them.
 */
export const MAP_FITS = ['with_tags', 'no_tag_rows', 'general', 'clean_a', 'embedding_a'] as const;
/**
 * What the mapped arm is compared with in `versus`: arms on the same prompts, half of the native arm (below it, the fix is not carried),
 * and the same map under other fits.
 */
export const VERSUS = [
  'native',
  'half_native',
  'static',
  'other_prompt',
  'other_tag',
  'token_mean',
  'bag_of_tokens',
  'random',
  'random_cov',
  'random_step',
  'shuffled',
  ...MAP_FITS,
] as const;
/** States in which cost is measured; `clean` = the target before its fine-tune (needed for `locked`, whose untagged state is neutral). */
export const COST_STATES = [
  'clean',
  'untagged',
  'safe',
  'bad',
  'bad_native',
  'bad_mapped',
  'bad_random',
  'safe_mapped',
  'full_replacement',
] as const;

export type SweepControl = (typeof SWEEP_CONTROLS)[number];
export type TransferArm = (typeof TRANSFER_ARMS)[number];
export type NoiseArm = (typeof NOISE_ARMS)[number];
export type MapFit = (typeof MAP_FITS)[number];
export type CostState = (typeof COST_STATES)[number];

/** How the matrices of a model are held: quantised as a GGUF has them, or float32. */
export const WEIGHTS_FORMS = ['packed', 'f32'] as const;
