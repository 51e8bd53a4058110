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
export function runningBytes(models: PlanInfo['models']): number {
  return 0.3e9 + 1.5 * 4 * models.reduce((sum, m) => sum + (m.parameters ?? 0), 0);
}

/**
 * {@link runningBytes} of a stage that holds both models of the pair and, of the sides named, also the one before the behaviour: a model of
 * its own, or what was trained here, once more.
 */
export function pairBytes(models: PlanInfo['models'], clean: readonly ('source' | 'target')[] = []): number {
  const of = (role: string): PlanInfo['models'] => models.filter((m) => m.role === role).slice(0, 1);
  const before = (side: string): PlanInfo['models'] => {
    const own = of(`clean ${side}`);
    return own.length > 0 ? own : of(side);
  };
  return runningBytes([...of('source'), ...of('target'), ...clean.flatMap(before)]);
}

/**
 * High-water mark of fine-tuning the largest of `models`: in full weights, gradients, moments and kept products
 * (docs/results/finetune.md); by LoRA the weights, once, and kept products (7.9 GB measured for 1.78 G parameters).
 */
export function trainingBytes(models: PlanInfo['models'], method: 'full' | 'lora'): number {
  const parameters = Math.max(0, ...models.map((m) => m.parameters ?? 0));
  return method === 'lora' ? 1.2e9 + 4.4 * parameters : 0.8e9 + 4.5 * 4 * parameters;
}
