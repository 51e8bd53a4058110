/** @file Chat templates of real models, rendered as transformers renders them. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type ChatMessage, Tokenizer } from '../../src/models/tokenizer/index.ts';
import { trained } from './trained-tokenizers.ts';

const golden = JSON.parse(readFileSync(new URL('tokenizers-chat.json', import.meta.url), 'utf8')) as {
  models: Record<
    string,
    { template: string; cases: { messages: ChatMessage[]; prompt: boolean; text: string }[] }
  >;
};

it.each(Object.entries(golden.models))('%s', (_, { template, cases }) => {
  const tokenizer = Tokenizer.fromJson(trained['byte-bpe'].tokenizerJson, {
    chatTemplates: { default: template },
  });
  expect(cases.length).toBeGreaterThan(3);
  for (const { messages, prompt, text } of cases)
    expect(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: prompt })).toBe(text);
});
