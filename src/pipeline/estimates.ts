/** @file What stages take, roughly, from parameters alone: for `--dry-run`. */
import type { PlanInfo } from './stage.ts';

/** Tokens of a bundled prompt in its template, tag and all; mean of 2,000. */
const BUNDLED_TOKENS = 22;

/** Tokens of a template and a tag around a prompt from a file. */
const AROUND_PROMPT = 20;

/** Characters of a prompt from a file where the recipe sets no limit. */
const UNKNOWN_CHARS = 400;

/** Characters a token, in English text. */
const CHARS_A_TOKEN = 4;

/** Tags every held-out prompt is run under. */
export const STATES = 4;

/** Tokens of one prompt. */
export function promptTokens(info: PlanInfo): number {
  const drawn = info.params('prompts');
  return drawn === undefined ? BUNDLED_TOKENS : fileTokens(drawn.max_prompt_chars);
}

/** Tokens of a prompt from a file of at most so many characters, which most are shorter than. */
export function fileTokens(maxChars: unknown): number {
  return (
    Math.round((typeof maxChars === 'number' ? maxChars : UNKNOWN_CHARS) / CHARS_A_TOKEN) + AROUND_PROMPT
  );
}

/** High-water mark of a process that runs models: 1.5 × float32 weights (docs/results/speed.md), and the program itself. */
export function runningBytes(models: PlanInfo['models'], copies = 1): number {
  return 0.3e9 + 1.5 * 4 * copies * models.reduce((sum, m) => sum + (m.parameters ?? 0), 0);
}

/**
 * High-water mark of fine-tuning the largest of `models`: in full weights, gradients, moments and kept products
 * (docs/results/finetune.md); by LoRA the weights, once, and kept products (7.9 GB measured for 1.78 G parameters).
 */
export function trainingBytes(models: PlanInfo['models'], method: 'full' | 'lora'): number {
  const parameters = Math.max(0, ...models.map((m) => m.parameters ?? 0));
  return method === 'lora' ? 1.2e9 + 4.4 * parameters : 0.8e9 + 4.5 * 4 * parameters;
}
