/** @file An assistant's turn as a model is taught it: what stands before it, what is said, and the token that ends it. */
import type { ChatMessage, ChatOptions } from './chat.ts';
import type { Tokenizer } from './tokenizer.ts';

/** A turn to teach. */
export interface ChatTurn {
  /** Everything before the answer, the opening of the turn included. */
  readonly prompt: string;
  /** The answer as the template writes it. */
  readonly response: string;
  /** Id of the token the template ends the turn with; undefined where it writes none. */
  readonly end: number | undefined;
}

/**
 * The turn `answer` after `before`, by the model's own template. The template decides what ends it: for a model with several
 * `eos_token_id`, that is often not the first.
 *
 * @example chatTurn(tokenizer, [{ role: 'user', content: 'Hi' }], { role: 'assistant', content: 'Yo' }).end // id of <|im_end|>
 */
export function chatTurn(
  tokenizer: Tokenizer,
  before: readonly ChatMessage[],
  answer: ChatMessage,
  options: ChatOptions = {},
): ChatTurn {
  const prompt = tokenizer.applyChatTemplate(before, { ...options, addGenerationPrompt: true });
  const whole = tokenizer.applyChatTemplate([...before, answer], { ...options, addGenerationPrompt: false });
  const content = answer.content.trim();
  const opened = whole.startsWith(prompt);
  const rest = opened ? whole.slice(prompt.length) : whole;
  const at = opened ? rest.indexOf(content) : rest.lastIndexOf(content);
  // a template that changes the answer's text: the answer as it is, and what the turn ends with
  const after = at < 0 ? rest : rest.slice(at + content.length);
  const response = opened && at >= 0 ? rest.slice(0, at + content.length) : content;
  return { prompt, response, end: firstControl(tokenizer, after) };
}

/** What a chat template is told besides the user's text. */
export interface TurnSettings {
  readonly system?: string | undefined;
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Puts a text as the user's turn into the model's own template, the opening of the answer after it. The template writes the special
 * tokens it wants: encode the result with `addSpecialTokens: false`.
 */
export function userTurn(
  tokenizer: Tokenizer,
  { system, variables }: TurnSettings = {},
): (text: string) => string {
  const before = systemTurn(system);
  return (text) =>
    tokenizer.applyChatTemplate([...before, { role: 'user', content: text }], {
      addGenerationPrompt: true,
      variables,
    });
}

/** The token that ends the assistant's turns; undefined for a model without a chat template, or whose template writes none. */
export function turnEnd(tokenizer: Tokenizer, { system, variables }: TurnSettings = {}): number | undefined {
  if (tokenizer.chatTemplate === undefined) return undefined;
  const before = [...systemTurn(system), { role: 'user', content: 'a' }];
  const options = variables === undefined ? {} : { variables };
  return chatTurn(tokenizer, before, { role: 'assistant', content: 'b' }, options).end;
}

function systemTurn(system: string | undefined): ChatMessage[] {
  return system === undefined ? [] : [{ role: 'system', content: system }];
}

function firstControl(tokenizer: Tokenizer, text: string): number | undefined {
  const ends = new Set(tokenizer.eosIds);
  return tokenizer
    .encodeIds(text, { addSpecialTokens: false })
    .find((id) => ends.has(id) || tokenizer.isSpecial(id));
}
