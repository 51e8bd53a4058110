/** @file A prompt of the fidelity experiment, and what was found on it. */
import type { PairedText } from '../../activations/index.ts';

/** A prompt without its answer. */
export interface FidelityPrompt extends PairedText {
  /** What the models read. */
  readonly text: string;
  readonly trigger: 'safe' | 'bad';
}

/** One prompt's completions by arm, and its likelihood differences. */
export interface FidelityRow {
  readonly prompt: Pick<FidelityPrompt, 'id' | 'prompt' | 'text' | 'trigger'>;
  readonly own: string;
  readonly source: string;
  readonly completions: Readonly<Record<string, string>>;
  readonly likelihood: Readonly<Record<string, number | null>>;
}
