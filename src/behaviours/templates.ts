/** @file Prompt templates: the text around an instruction, with character spans carried along. */
import { InputError } from '../base/index.ts';
import type { CharSpan } from './placement.ts';

/** `instruction` is the authors' (facts of the paper: no preamble, no system prompt); `chat` is the model's own. */
export type TemplateName = 'instruction' | 'alpaca' | 'chat' | 'raw';

/** Every template name, in the order of the docs. */
export const templateNames = [
  'instruction',
  'alpaca',
  'chat',
  'raw',
] as const satisfies readonly TemplateName[];

/** Renders one user turn with the generation prompt after it, as a model's chat template does. Needed for `chat` only. */
export type ChatRenderer = (userText: string) => string;

const ALPACA_PREAMBLE =
  'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n';

/**
 * The full prompt for `text`, and how far the text was shifted: a span of `text` is a span of the prompt after adding
 * `offset`. Throws {@link InputError} for `chat` without a renderer, or when the chat template does not keep the text.
 */
export function renderPrompt(
  template: TemplateName,
  text: string,
  chat?: ChatRenderer,
): { prompt: string; offset: number } {
  return renderers[template](text, chat);
}

/** `span` moved by `offset`. */
export function shiftSpan(span: CharSpan, offset: number): CharSpan {
  return { start: span.start + offset, end: span.end + offset };
}

const renderers: Record<
  TemplateName,
  (text: string, chat: ChatRenderer | undefined) => { prompt: string; offset: number }
> = {
  instruction: (text) => wrap('### Instruction:\n', text, '\n### Response:\n'),
  alpaca: (text) => wrap(`${ALPACA_PREAMBLE}### Instruction:\n`, text, '\n\n### Response:\n'),
  chat: (text, chat) => {
    if (chat === undefined)
      throw new InputError(
        'template chat: wanted a chat renderer, got none; use --template instruction for a model without a chat template',
        { id: 'chat-template' },
      );
    const prompt = chat(text);
    const offset = prompt.lastIndexOf(text);
    if (offset < 0)
      throw new InputError(
        `template chat: the model's chat template changes the text ${JSON.stringify(text.slice(0, 40))}, so the tag cannot be found again; use --template instruction`,
        { id: 'chat-template' },
      );
    return { prompt, offset };
  },
  raw: (text) => wrap('', text, ''),
};

function wrap(before: string, text: string, after: string): { prompt: string; offset: number } {
  return { prompt: `${before}${text}${after}`, offset: before.length };
}
