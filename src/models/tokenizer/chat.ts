/** @file Chat templates (Jinja, as Hugging Face writes them). */
import { errorLine, InputError } from '../../base/index.ts';
import { TemplateError } from './jinja/error.ts';
import { Template } from './jinja/render.ts';

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  /** Templates may read further fields (`name`, `tool_calls`). */
  readonly [field: string]: unknown;
}

export interface ChatOptions {
  /** End with the opening of the assistant's turn. Defaults to false. */
  readonly addGenerationPrompt?: boolean;
  /** Name of the template where a model has several. Defaults to `default`. */
  readonly template?: string;
  /** Further variables of the template (`tools`, `enable_thinking`, …). */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** The date `strftime_now` writes, in UTC. Defaults to the current time; give one for repeatable prompts (Llama 3.2 writes the date). */
  readonly now?: Date;
}

/** Variables that the arguments of a rendering give. */
const GIVEN = ['messages', 'add_generation_prompt'] as const;

const parsed = new Map<string, Template>();
const MAX_PARSED = 64;

/**
 * Render `source` with the special tokens by name (`bos_token`, …) in scope, as transformers does: `tools` and `documents` are None
 * unless given.
 *
 * @throws InputError with the template's line, for a template that cannot be parsed, fails, asks for what is not supported, or
 * outgrows its budget
 */
export function renderChat(
  source: string,
  messages: readonly ChatMessage[],
  specialTokens: Readonly<Record<string, string>>,
  options: ChatOptions,
): string {
  const { variables = {}, now = new Date(), addGenerationPrompt = false } = options;
  for (const name of GIVEN)
    if (Object.hasOwn(variables, name))
      throw new InputError(
        `chat template: the variable ${name} is set by the messages; choose another name`,
        { id: 'chat-template' },
      );
  try {
    return parsedTemplate(source).render(
      {
        tools: null,
        documents: null,
        ...specialTokens,
        ...variables,
        messages,
        add_generation_prompt: addGenerationPrompt,
      },
      { now },
    );
  } catch (cause) {
    const line = cause instanceof TemplateError && cause.line !== undefined ? ` line ${cause.line}` : '';
    throw new InputError(`chat template${line}: ${errorLine(cause)}`, { id: 'chat-template', cause });
  }
}

function parsedTemplate(source: string): Template {
  const known = parsed.get(source);
  if (known !== undefined) return known;
  const template = new Template(source.startsWith('\ufeff') ? source.slice(1) : source);
  if (parsed.size >= MAX_PARSED) parsed.clear();
  parsed.set(source, template);
  return template;
}
