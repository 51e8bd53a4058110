/** @file From messages or text to the prompt's tokens. */

import { InputError } from '../../base/index.ts';
import { renderPrompt } from '../../behaviours/index.ts';
import type { PromptTokens } from '../../interventions/index.ts';
import { type ChatMessage, type LanguageModel, userTurn } from '../../models/index.ts';
import type { Question, TemplateOption } from './question.ts';

/** Characters of a token at most, on average, in a text that is worth counting: a longer one is refused before it is read. */
const LONGEST_TOKEN = 32;

/** The prompt as tokens. Throws {@link InputError} for messages that the template has no place for, and texts far longer than the context. */
export function promptOf(
  { prompt }: Pick<Question, 'prompt'>,
  model: Pick<LanguageModel, 'tokenizer' | 'config'>,
  { template, system }: { readonly template: TemplateOption; readonly system?: string | undefined },
): PromptTokens {
  if ('ids' in prompt) {
    const text = model.tokenizer.decode(prompt.ids, { skipSpecialTokens: false });
    return { ids: prompt.ids, text };
  }
  const isChat = 'messages' in prompt;
  const text = isChat ? chatText(prompt.messages, model, { template, system }) : prompt.text;
  const { contextLength } = model.config;
  if (text.length > contextLength * LONGEST_TOKEN)
    throw new InputError(
      `prompt: ${text.length} characters cannot fit the model's context of ${contextLength} tokens; shorten it`,
      { id: 'prompt-invalid' },
    );
  const addSpecialTokens = isChat && usesChat(model, template) ? false : 'auto';
  const encoding = model.tokenizer.encode(text, { addSpecialTokens });
  return { ids: encoding.ids, text, encoding, addSpecialTokens };
}

function usesChat({ tokenizer }: Pick<LanguageModel, 'tokenizer'>, template: TemplateOption): boolean {
  return template === 'chat' || (template === 'auto' && tokenizer.chatTemplate !== undefined);
}

function chatText(
  messages: readonly ChatMessage[],
  model: Pick<LanguageModel, 'tokenizer'>,
  { template, system }: { readonly template: TemplateOption; readonly system?: string | undefined },
): string {
  const first = messages[0]?.role;
  const given =
    system === undefined || first === 'system' || first === 'developer'
      ? messages
      : [{ role: 'system', content: system }, ...messages];
  if (usesChat(model, template))
    return model.tokenizer.applyChatTemplate(
      given.map(({ role, content }) => ({ role: role === 'developer' ? 'system' : role, content })),
      { addGenerationPrompt: true },
    );
  const name = template === 'auto' ? 'instruction' : template;
  const [only, ...others] = given;
  if (only?.role !== 'user' || others.length > 0)
    throw new InputError(
      `messages: the template ${name} has a place for one user message only, got ${given.map(({ role }) => role).join(', ')}; this model has no chat template`,
      { id: 'chat-template' },
    );
  return renderPrompt(name, only.content, name === 'chat' ? userTurn(model.tokenizer) : undefined).prompt;
}
