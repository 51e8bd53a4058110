/** @file Text around prompts: `--template`, and for a model's own chat template `--system` and `--template-var`. */
import { type Command, Option } from 'commander';
import { InputError } from '../base/index.ts';
import type { ChatRenderer } from '../behaviours/index.ts';
import { type TemplatedPrompt, templatedPrompt } from '../evaluate/index.ts';
import { type LanguageModel, type Tokenizer, type TurnSettings, userTurn } from '../models/index.ts';

/** What `--template` takes; `none` and `raw` are the same. */
export const TEMPLATE_CHOICES = ['none', 'raw', 'instruction', 'alpaca', 'chat'] as const;
export type TemplateChoice = (typeof TEMPLATE_CHOICES)[number];

/** What a chat template is told besides the user's text. */
export interface ChatSettings {
  readonly system?: string;
  readonly templateVar?: Readonly<Record<string, unknown>>;
}

export interface TemplateOptions extends ChatSettings {
  readonly template: TemplateChoice;
}

/** `--template` for prompts, with the options of {@link addChatOptions}. */
export function addTemplateOptions(command: Command): Command {
  const option = new Option('--template <name>', 'text around each prompt; chat is the model’s own');
  return addChatOptions(command.addOption(option.choices(TEMPLATE_CHOICES).default('none')));
}

/** `--system` and `--template-var`. */
export function addChatOptions(command: Command): Command {
  return command
    .option('--system <text>', 'system text of --template chat')
    .option(
      '--template-var <key=value>',
      'variable of --template chat, e.g. enable_thinking=false; may be repeated',
      templateVariable,
    );
}

/** Refuse settings that only a chat template reads. */
export function checkChatSettings({ system, templateVar }: ChatSettings, template: string | undefined): void {
  if (template === 'chat') return;
  const flag = system !== undefined ? '--system' : templateVar !== undefined ? '--template-var' : undefined;
  if (flag !== undefined)
    throw new InputError(`${flag}: is for --template chat, got --template ${template ?? 'instruction'}`, {
      id: 'option-conflict',
    });
}

/** The settings as the layers below take them. */
export function turnSettings({ system, templateVar }: ChatSettings): TurnSettings {
  return { system, variables: templateVar };
}

/** One user turn in the chat template of a model, the opening of the answer after it. */
export function chatRenderer(tokenizer: Tokenizer, settings: ChatSettings = {}): ChatRenderer {
  return userTurn(tokenizer, turnSettings(settings));
}

/** `text` in its template. A chat template writes its own special tokens: none is added to them. */
export function inTemplate(
  model: Pick<LanguageModel, 'tokenizer'>,
  options: TemplateOptions,
  text: string,
): TemplatedPrompt {
  checkChatSettings(options, options.template);
  const template = options.template === 'none' ? 'raw' : options.template;
  return templatedPrompt(model.tokenizer, text, { template, turn: turnSettings(options) });
}

/** `key=value` added to those before; the value as JSON where it is JSON, else as text. */
function templateVariable(
  pair: string,
  before: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const [, key, value = ''] = /^([A-Za-z_]\w*)=(.*)$/s.exec(pair) ?? [];
  if (key === undefined)
    throw new InputError(`--template-var ${pair}: wanted key=value, e.g. enable_thinking=false`, {
      id: 'option-invalid',
    });
  return { ...before, [key]: jsonOrText(value) };
}

function jsonOrText(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
