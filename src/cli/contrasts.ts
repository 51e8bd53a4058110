/** @file Contrast pairs of a command: a file of pairs, two files of prompts, or a trigger pair put into prompts. */
import { type Command, Option } from 'commander';
import { InputError } from '../base/index.ts';
import {
  type PairRow,
  type Placement,
  placements,
  placeTag,
  readPairs,
  readTexts,
} from '../behaviours/index.ts';
import { VECTOR_POSITIONS, type VectorPosition } from '../contracts/index.ts';
import { type ContrastReading, type ContrastSet, listSet, pairSet } from '../evaluate/index.ts';
import type { LanguageModel } from '../models/index.ts';
import { wholeNumber } from './cli.ts';
import { addTemplateOptions, chatRenderer, checkChatSettings, type TemplateOptions } from './template.ts';

export interface ContrastOptions extends TemplateOptions {
  readonly pairs?: string;
  readonly negative?: string;
  readonly trigger?: string;
  readonly safe?: string;
  readonly data?: string;
  readonly placement?: Placement;
  readonly field?: string;
  readonly limit?: number;
  readonly position?: VectorPosition;
  readonly after: number;
}

/** Pairs as read from files, before any model is there. */
export type GivenContrasts =
  | { readonly kind: 'pairs'; readonly rows: readonly PairRow[]; readonly files: readonly string[] }
  | {
      readonly kind: 'lists';
      readonly positive: readonly { readonly id: string; readonly text: string }[];
      readonly negative: readonly { readonly id: string; readonly text: string }[];
      readonly files: readonly string[];
    };

/** The options that name pairs, and how they are read. */
export function addContrastOptions(command: Command): Command {
  command
    .option(
      '--pairs <file>',
      'pairs {positive, negative}, or CAA questions; with --negative: the positive prompts',
    )
    .option('--negative <file>', 'negative prompts, one per row; --pairs then holds the positive ones')
    .option('--trigger <text>', 'instead of pairs: put this into the prompts of --data (positive) …')
    .option('--safe <text>', '… and this instead (negative)')
    .option('--data <file>', 'prompts for --trigger and --safe: JSONL (.gz), JSON or Parquet')
    .addOption(new Option('--placement <where>', 'of the trigger (default: end)').choices(placements))
    .option('--field <name>', 'field of prompt files that holds the prompt')
    .option('--limit <n>', 'only the first n pairs', wholeNumber('--limit', 1));
  return addTemplateOptions(command)
    .addOption(
      new Option(
        '--position <where>',
        'read the last token, the mean of the tokens, or the span in which a pair differs (default: last; span for questions)',
      ).choices(VECTOR_POSITIONS),
    )
    .addOption(
      new Option('--after <n>', 'with --position span: tokens after it that are read too')
        .argParser(wholeNumber('--after', 0))
        .default(0),
    );
}

/** Read the files. @throws InputError for options that do not go together */
export async function readContrasts(options: ContrastOptions): Promise<GivenContrasts> {
  const { pairs, negative, trigger, safe, data, placement = 'end', field, limit } = options;
  checkChatSettings(options, options.template);
  if (trigger !== undefined || safe !== undefined || data !== undefined) {
    if (pairs !== undefined || negative !== undefined)
      throw new InputError('--pairs and --trigger: wanted one of them', { id: 'option-conflict' });
    if (trigger === undefined || safe === undefined || data === undefined)
      throw new InputError('--trigger, --safe and --data go together: wanted all three', {
        id: 'option-missing',
      });
    const { texts } = await readTexts(data, { field, limit });
    const tagged = (text: string, tag: string): string =>
      tag === '' ? text : placeTag(text, tag, placement).text;
    const rows = texts.map(({ id, text }) => ({
      id,
      positive: tagged(text, trigger),
      negative: tagged(text, safe),
    }));
    return { kind: 'pairs', rows, files: [data] };
  }
  if (pairs === undefined)
    throw new InputError('--pairs: wanted a file of pairs (or --trigger, --safe and --data), got none', {
      id: 'option-missing',
    });
  if (negative === undefined)
    return { kind: 'pairs', rows: await readPairs(pairs, { limit }), files: [pairs] };
  const read = async (file: string) => (await readTexts(file, { field, limit })).texts;
  return {
    kind: 'lists',
    positive: await read(pairs),
    negative: await read(negative),
    files: [pairs, negative],
  };
}

/** How the prompts of `options` are read by a model. */
export function contrastReading(
  model: LanguageModel,
  given: GivenContrasts,
  options: ContrastOptions,
): ContrastReading {
  const { template, after } = options;
  const questions = given.kind === 'pairs' && given.rows.some(({ question }) => question !== undefined);
  return {
    template: template === 'none' ? 'raw' : template,
    chat: chatRenderer(model.tokenizer, options),
    position: options.position ?? (questions ? 'span' : 'last'),
    after,
  };
}

/** The pairs as the model reads them. */
export function contrastsIn(
  model: LanguageModel,
  given: GivenContrasts,
  reading: ContrastReading,
): ContrastSet {
  return given.kind === 'pairs'
    ? pairSet(model.tokenizer, given.rows, reading)
    : listSet(model.tokenizer, given, reading);
}
