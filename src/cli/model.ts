/** @file Models as commands open them: found by reference, with progress while a file is fetched or dequantised. */
import { InputError, type ProgressSink } from '../base/index.ts';
import { renderPrompt, type TemplateName } from '../behaviours/index.ts';
import { type Checkpoint, LanguageModel, openCheckpoint, resolveModel } from '../models/index.ts';
import type { Cli, CommonOptions } from './cli.ts';
import { progressRenderer } from './progress.ts';

/** Run `body` with a sink that draws its progress, and leave the terminal clean. */
export async function withProgress<T>(
  cli: Cli,
  options: CommonOptions,
  body: (onProgress: ProgressSink) => Promise<T>,
): Promise<T> {
  const renderer = progressRenderer(cli, options.quiet === true);
  let said: string | undefined;
  try {
    return await body(({ message, ...event }) => {
      const news = message === undefined || message === said ? {} : { message };
      said = message ?? said;
      renderer.onEvent({ state: 'running', ...event, ...news });
    });
  } finally {
    renderer.close();
  }
}

/** A checkpoint by bundled name, path or hub reference. */
export function openReference(reference: string, cli: Cli, options: CommonOptions): Promise<Checkpoint> {
  return withProgress(cli, options, async (onProgress) => {
    const { path } = await resolveModel(reference, { onProgress, signal: cli.signal });
    return openCheckpoint(path, { onProgress });
  });
}

/** A model by bundled name, path or hub reference. Dispose of it. */
export async function openModel(reference: string, cli: Cli, options: CommonOptions): Promise<LanguageModel> {
  const { path } = await openReference(reference, cli, options);
  return LanguageModel.load(path);
}

/** What `--template` takes; `none` and `raw` are the same. */
export const TEMPLATE_CHOICES = ['none', 'raw', 'instruction', 'alpaca', 'chat'] as const;
export type TemplateChoice = (typeof TEMPLATE_CHOICES)[number];

/** `text` in a template, special tokens of the chat template included. */
export function inTemplate(model: LanguageModel, template: TemplateChoice, text: string): string {
  const name: TemplateName = template === 'none' ? 'raw' : template;
  return renderPrompt(name, text, (user) => model.applyChatTemplate([{ role: 'user', content: user }]))
    .prompt;
}

/** The prompts of a command: those given with `--prompt`, else all of standard input as one. */
export async function promptsOf(given: readonly string[] | undefined, cli: Cli): Promise<readonly string[]> {
  if (given !== undefined) return given;
  const text = (await cli.stdin()).replace(/\r?\n$/, '');
  if (text === '') throw new InputError('--prompt: wanted a prompt, here or on standard input, got none');
  return [text];
}
