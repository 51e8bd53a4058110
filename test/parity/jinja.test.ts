/** @file Templates rendered as jinja2 renders them in transformers' environment: text for text, and errors where it has errors. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { InputError } from '../../src/base/index.ts';
import { type ChatMessage, Tokenizer } from '../../src/models/tokenizer/index.ts';
import { trained } from './trained-tokenizers.ts';

interface Case {
  readonly name?: string;
  readonly template: string;
  readonly messages?: ChatMessage[];
  readonly variables?: Record<string, unknown>;
  readonly ok?: string;
  readonly err?: string;
  /** jinja2 prints an address in memory or bytes; refused by name. */
  readonly refused?: true;
}

const golden = JSON.parse(readFileSync(new URL('jinja.json', import.meta.url), 'utf8')) as {
  messages: ChatMessage[];
  variables: Record<string, unknown>;
  cases: Case[];
  reports: Case[];
};

function check({ template, messages, variables, ok }: Case): void {
  const tokenizer = Tokenizer.fromJson(trained['byte-bpe'].tokenizerJson, {
    chatTemplates: { default: template },
  });
  const render = (): string =>
    tokenizer.applyChatTemplate(messages ?? golden.messages, {
      addGenerationPrompt: true,
      variables: { bos_token: '<s>', eos_token: '</s>', ...(variables ?? golden.variables) },
      now: new Date(Date.UTC(2025, 2, 4, 15, 6, 7)),
    });
  if (ok === undefined) expect(render).toThrow(InputError);
  else expect(render()).toBe(ok);
}

describe('the language', () => {
  it.each(golden.cases.map((c) => [c.template, c] as const))('%s', (_, c) => {
    check(c);
  });
});

describe('templates of bug reports', () => {
  it.each(golden.reports.map((c) => [c.name, c] as const))('%s', (_, c) => {
    check(c);
  });
});
