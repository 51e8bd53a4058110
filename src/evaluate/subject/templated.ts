/** @file A text in its template, as a model reads it. */
import { renderPrompt, type TemplateName } from '../../behaviours/index.ts';
import { type Encoding, type Tokenizer, type TurnSettings, userTurn } from '../../models/index.ts';

/** A prompt as the model reads it. */
export interface TemplatedPrompt {
  readonly text: string;
  readonly ids: readonly number[];
  readonly encoding: Encoding;
  readonly addSpecialTokens: false | 'auto';
}

/** `text` in its template; `turn` is for `chat`. A chat template writes its own special tokens: none is added to them. */
export function templatedPrompt(
  tokenizer: Tokenizer,
  text: string,
  { template, turn = {} }: { readonly template: TemplateName; readonly turn?: TurnSettings },
): TemplatedPrompt {
  const { prompt } = renderPrompt(template, text, userTurn(tokenizer, turn));
  const addSpecialTokens = template === 'chat' ? false : 'auto';
  const encoding = tokenizer.encode(prompt, { addSpecialTokens });
  return { text: prompt, ids: encoding.ids, encoding, addSpecialTokens };
}
