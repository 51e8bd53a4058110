/** @file Tokens as OpenAI's clients see them. */
import type { ScoredToken, Tokenizer } from '../../models/index.ts';
import type { SpokenToken } from './question.ts';

/** A token with its log-probability and the likeliest in its place. */
export function spoken(tokenizer: Tokenizer, { id, logprob, top }: ScoredToken): SpokenToken {
  return {
    ...spokenText(tokenizer, id),
    logprob,
    top: top.map((other) => ({ ...spokenText(tokenizer, other.id), logprob: other.logprob })),
  };
}

/** The text of one token, and its bytes in UTF-8. */
export function spokenText(
  tokenizer: Tokenizer,
  id: number,
): { readonly token: string; readonly bytes: readonly number[] } {
  const token = tokenizer.decode([id], { skipSpecialTokens: false });
  return { token, bytes: [...Buffer.from(token, 'utf8')] };
}
