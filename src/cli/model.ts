/** @file Models as commands open them: found by reference, with progress while a file is fetched or dequantised. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { InputError, type Owned, type ProgressSink } from '../base/index.ts';
import { renderPrompt, type TemplateName } from '../behaviours/index.ts';
import { type Checkpoint, LanguageModel, openCheckpoint, resolveModel } from '../models/index.ts';
import { mergeAdapterFolder } from '../train/index.ts';
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
    return await body(({ message, stage: part, ...event }) => {
      const news = message === undefined || message === said ? {} : { message };
      said = message ?? said;
      renderer.onEvent({ state: 'running', ...event, stage: '', part, ...news });
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

/** A model with a PEFT adapter merged into a copy of its weights where one is given. The copy goes with it: dispose of the whole. */
export async function openAdapted(
  reference: string,
  adapter: string | undefined,
  cli: Cli,
  options: CommonOptions,
): Promise<Owned & { readonly model: LanguageModel }> {
  const { path } = await openReference(reference, cli, options);
  const folder = adapter === undefined ? undefined : await mkdtemp(join(tmpdir(), 'crosspatch-merged-'));
  const removeCopy = async (): Promise<void> => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  };
  try {
    const merged = folder === undefined ? path : join(folder, basename(path, '.gguf'));
    if (adapter !== undefined) await mergeAdapterFolder({ model: path, adapter, out: merged });
    const model = await LanguageModel.load(merged);
    return {
      model,
      async [Symbol.asyncDispose]() {
        await model[Symbol.asyncDispose]();
        await removeCopy();
      },
    };
  } catch (error) {
    await removeCopy();
    throw error;
  }
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
  if (text === '')
    throw new InputError('--prompt: wanted a prompt, here or on standard input, got none', {
      id: 'option-missing',
    });
  return [text];
}
