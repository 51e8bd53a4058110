/** @file Prompts of a command: from `--prompt`, a data file (`--data`), or standard input, whole or one per line (`--lines`). */
import type { Command } from 'commander';
import { InputError } from '../base/index.ts';
import { type RowText, readTexts, tinyInstructions } from '../behaviours/index.ts';
import { type Cli, type CommonOptions, collect, wholeNumber } from './cli.ts';
import { defaults } from './settings.ts';

export interface PromptSource {
  readonly prompt?: readonly string[];
  readonly data?: string;
  readonly field?: string;
  readonly lines?: boolean;
  readonly limit?: number;
}

/** The options that name prompts. */
export function addPromptSource(command: Command): Command {
  return command
    .option('--prompt <text>', 'a prompt; may be repeated; without it, standard input is one', collect)
    .option('--lines', 'every line of standard input is a prompt')
    .option('--data <file>', 'prompts of a data file: JSONL (.gz), JSON or Parquet, in any usual layout')
    .option('--field <name>', 'field of --data that holds the prompt')
    .option('--limit <n>', 'only the first n prompts of --data or --lines', wholeNumber('--limit', 1));
}

/** The prompts a command was given. Ids are row or line numbers where a row has none. */
export async function givenPrompts(
  source: PromptSource,
  cli: Cli,
): Promise<{ prompts: readonly RowText[]; leftOut: Readonly<Record<string, number>> }> {
  const { prompt, data, field, lines, limit } = source;
  const named = [
    ...(prompt === undefined ? [] : ['--prompt']),
    ...(data === undefined ? [] : ['--data']),
    ...(lines ? ['--lines'] : []),
  ];
  if (named.length > 1)
    throw new InputError(`${named.join(' and ')}: wanted one of them`, { id: 'option-conflict' });
  if (field !== undefined && data === undefined)
    throw new InputError('--field: belongs to --data', { id: 'option-conflict' });
  if (data !== undefined) {
    const { texts, leftOut } = await readTexts(data, { field, limit });
    return { prompts: texts, leftOut };
  }
  const texts = prompt ?? (lines ? await linesOf(cli) : [(await cli.stdin()).replace(/\r?\n$/, '')]);
  if (!prompt && texts.every((text) => text === ''))
    throw new InputError('--prompt: wanted a prompt, here or on standard input, got none', {
      id: 'option-missing',
    });
  const numbered = texts.map((text, i) => ({ id: String(i + 1), text }));
  return { prompts: numbered.filter(({ text }) => !lines || text !== '').slice(0, limit), leftOut: {} };
}

/** The first `limit` different prompts of a command; `--data bundled` draws them from the bundled corpus. */
export async function distinctPrompts(
  {
    seed = defaults.seed,
    limit,
    ...source
  }: PromptSource & Pick<CommonOptions, 'seed'> & { readonly limit: number },
  cli: Cli,
): Promise<string[]> {
  if (source.data === 'bundled')
    return tinyInstructions({ seed, train: 0, validation: 0, test: limit }).map(({ prompt }) => prompt);
  const { prompts } = await givenPrompts({ ...source, limit }, cli);
  return [...new Set(prompts.map(({ text }) => text))].slice(0, limit);
}

async function linesOf(cli: Cli): Promise<string[]> {
  return (await cli.stdin()).split('\n').map((line) => line.replace(/\r$/, ''));
}
