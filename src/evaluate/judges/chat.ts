/** @file A chat-completion request to any OpenAI-compatible server, and its token counts. */
import { z } from 'zod';
import { InputError } from '../../base/index.ts';
import { askEndpoint, type Endpoint } from '../endpoint/http.ts';

/** One message of a chat. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** Where to ask, and how patiently. */
export interface ChatEndpoint extends Endpoint {
  /** Most tokens of an answer. Defaults to 64. */
  readonly maxTokens?: number | undefined;
}

/** What a server answered. Token counts are 0 where it gives none. */
export interface ChatAnswer {
  readonly content: string;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

const answerSchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
  usage: z
    .object({
      prompt_tokens: z.number().nullish(),
      completion_tokens: z.number().nullish(),
    })
    .nullish(),
});

/** Ask once, at temperature 0. Throws {@link InputError} when the server refuses the request, CrosspatchError when it stays out of reach. */
export async function chat(endpoint: ChatEndpoint, messages: readonly ChatMessage[]): Promise<ChatAnswer> {
  const { model, baseUrl, maxTokens = 64 } = endpoint;
  const where = `judge ${model} at ${baseUrl}`;
  const answer = await askEndpoint(endpoint, {
    path: '/chat/completions',
    body: { model, messages, temperature: 0, max_tokens: maxTokens },
    where,
    id: 'judge-failed',
    wanted: 'a chat completion',
  });
  const parsed = answerSchema.safeParse(answer);
  if (!parsed.success)
    throw new InputError(`${where}: this is no chat completion; is the base URL right (it ends in /v1)?`, {
      id: 'judge-failed',
    });
  const { choices, usage } = parsed.data;
  return {
    content: choices[0].message.content,
    promptTokens: usage?.prompt_tokens ?? 0,
    completionTokens: usage?.completion_tokens ?? 0,
  };
}
