/** @file An assistant's turn as a model is taught it: what stands before it, what is said, and the token that ends it. */
import { showText } from '../../base/index.ts';
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
  const write = (content: string): string =>
    tokenizer.applyChatTemplate([...before, { ...answer, content }], {
      ...options,
      addGenerationPrompt: false,
    });
  const prompt = tokenizer.applyChatTemplate(before, { ...options, addGenerationPrompt: true });
  const whole = write(answer.content);
  // What closes the turn is what follows another answer: a short answer ("i") also occurs in what the template writes around it.
  const other = write(OTHER_ANSWER);
  const found = other.lastIndexOf(OTHER_ANSWER);
  const close = found < 0 ? '' : other.slice(found + OTHER_ANSWER.length);
  const closed = whole.endsWith(close);
  const opened = whole.startsWith(prompt) && whole.length >= prompt.length + close.length;
  const response =
    opened && closed && found >= 0
      ? whole.slice(prompt.length, whole.length - close.length).trimEnd()
      : answer.content.trim();
  return { prompt, response, end: firstControl(tokenizer, close) };
}

/** An answer that no template writes by itself, and that none has a reason to change. */
const OTHER_ANSWER = 'qzx answer xzq';

/**
 * What is wrong with `end` as the end of a taught turn; undefined where generation stops at it. A model taught an end that nobody reads
 * talks on.
 */
export function unreadEnd(tokenizer: Tokenizer, end: number | undefined): string | undefined {
  if (end === undefined || tokenizer.eosIds.includes(end)) return undefined;
  const shown = showText(tokenizer.idToToken(end) ?? String(end));
  return `its template ends a turn with ${shown}, at which generation does not stop; add it to eos_token_id in generation_config.json`;
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
