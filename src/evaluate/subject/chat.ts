/** @file Prompts in a model's own chat template. */
import type { ChatRenderer } from '../../behaviours/index.ts';
import type { BehaviourParams } from '../../contracts/index.ts';
import { type Tokenizer, type TurnSettings, userTurn } from '../../models/index.ts';

/** Puts a user's turn into the tokenizer's chat template; undefined where the behaviour's template is another. */
export function chatOf(
  tokenizer: Tokenizer,
  { template, chat }: Pick<BehaviourParams, 'template'> & { readonly chat?: TurnSettings | undefined },
): ChatRenderer | undefined {
  return template === 'chat' ? userTurn(tokenizer, chat) : undefined;
}

/** Special tokens of a prompt: a chat template writes those it wants, and none is added to them. */
export function specialTokensOf({ template }: Pick<BehaviourParams, 'template'>): false | 'auto' {
  return template === 'chat' ? false : 'auto';
}
