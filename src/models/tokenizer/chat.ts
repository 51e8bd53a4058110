/** @file Chat templates (Jinja, as Hugging Face writes them). */
import { Template } from '@huggingface/jinja';
import { errorLine, InputError } from '../../base/index.ts';

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

const parsed = new Map<string, Template>();

/** Render `source` with the special tokens by name (`bos_token`, …) in scope, white space as transformers renders it. */
export function renderChat(
  source: string,
  messages: readonly ChatMessage[],
  specialTokens: Readonly<Record<string, string>>,
  options: ChatOptions,
): string {
  try {
    let template = parsed.get(source);
    // The engine's own strftime_now reads the clock; the newline is trimmed with the block.
    if (!template)
      parsed.set(source, (template = new Template(`{% set strftime_now = format_date %}\n${source}`)));
    return template.render({
      ...specialTokens,
      messages,
      add_generation_prompt: options.addGenerationPrompt ?? false,
      format_date: (format: string) => formatDate(options.now ?? new Date(), format),
      ...options.variables,
    });
  } catch (cause) {
    throw new InputError(`chat template: ${errorLine(cause)}`, { id: 'chat-template', cause });
  }
}

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** The `strftime` fields chat templates use, English names, UTC. */
function formatDate(date: Date, format: string): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const month = MONTHS[date.getUTCMonth()] as string;
  const fields: Record<string, string> = {
    Y: String(date.getUTCFullYear()),
    m: two(date.getUTCMonth() + 1),
    d: two(date.getUTCDate()),
    B: month,
    b: month.slice(0, 3),
    H: two(date.getUTCHours()),
    M: two(date.getUTCMinutes()),
    S: two(date.getUTCSeconds()),
    '%': '%',
  };
  return format.replace(/%([a-zA-Z%])/g, (all, field: string) => fields[field] ?? all);
}
