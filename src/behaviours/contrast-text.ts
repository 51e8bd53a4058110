/** @file What stands under every tag, or needs none: a text, or a pair of prompts. */
import type { CharSpan } from './placement.ts';
import type { ChoiceAnswers } from './rows/pairs.ts';

/** Two prompts that differ in what makes a model behave so. */
export interface ContrastPair {
  readonly bad: string;
  readonly safe: string;
  /** Two answers to both, where the choice between them is what is read. */
  readonly answers?: ChoiceAnswers | undefined;
}

/** What is put under every tag, or a pair that needs none. */
export type ContrastText = string | ContrastPair;

/** Where a prompt without a tag is patched: what stands after its own text, or its last character where nothing does. */
export function endSpan(prompt: string, end: number): CharSpan {
  return { start: Math.min(end, prompt.length - 1), end: prompt.length };
}
