/** @file The files that say what a tokenizer is, parsed. */
import type { JsonObject } from './parse.ts';

/** The parsed files that say what a tokenizer is; all but the first may be missing. */
export interface TokenizerFiles {
  readonly tokenizerJson: unknown;
  readonly tokenizerConfig?: JsonObject | undefined;
  readonly specialTokensMap?: JsonObject | undefined;
  /** added_tokens.json: content → id; of older exports. */
  readonly addedTokens?: JsonObject | undefined;
  readonly generationConfig?: JsonObject | undefined;
  /** config.json: its `eos_token_id` is used where there is no generation_config.json. */
  readonly config?: JsonObject | undefined;
  /** chat_template.jinja; wins over tokenizer_config.json. */
  readonly chatTemplate?: string | undefined;
}
