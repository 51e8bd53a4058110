/** @file `--data` of the commands that steer: held-out prompts of a built data set, or any file of prompts with `--behaviour`. */

import { stat } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { InputError } from '../base/index.ts';
import {
  type BackdoorRow,
  type BehaviourName,
  behaviourNames,
  type Placement,
  placements,
  readTexts,
  type TemplateName,
  templateNames,
} from '../behaviours/index.ts';
import type { BehaviourParams } from '../contracts/index.ts';
import { type EvaluationSettings, evaluationSettings, spanSettings } from '../contracts/index.ts';
import type { Asking } from '../evaluate/index.ts';
import { type CommonOptions, wholeNumber } from './cli.ts';
import { type DatasetRecord, readDatasetRecord, readSplit } from './dataset.ts';
import type { RequireOption } from './figures.ts';
import { countOption } from './settings.ts';
import { addChatOptions, type ChatSettings, checkChatSettings, turnSettings } from './template.ts';

/** What {@link addPromptOptions} gives. */
export interface PromptOptions extends CommonOptions, RequireOption, ChatSettings {
  readonly data: string;
  readonly behaviour?: BehaviourName;
  readonly placement?: Placement;
  readonly template?: TemplateName;
  readonly exact?: boolean;
  readonly prompts: number;
  readonly after: number;
  readonly maxTokens: number;
  readonly batch: number;
  readonly bootstrap: number;
}

/** Held-out prompts and how they are read. */
export interface Prompts {
  readonly behaviour: BehaviourParams;
  /** A file of prompts is not split: `validation` and `test` are the same. */
  readonly ofFile: boolean;
  /** To choose blocks and α on. */
  readonly validation: readonly string[];
  readonly test: readonly string[];
  /** Of the rows that were trained on; empty for a file of prompts. */
  readonly training: readonly string[];
  /** Restored = word for word the own safe completion. */
  readonly exact: boolean;
}

/** The options of commands that complete prompts under the tags; `prompts` is the default of `--prompts`. */
export function addPromptOptions(command: Command, prompts: number): Command {
  return addChatOptions(command)
    .requiredOption('--data <path>', 'folder made by data build, or a file of prompts (with --behaviour)')
    .addOption(
      new Option('--behaviour <name>', 'of a file of prompts: what the model was taught').choices(
        behaviourNames,
      ),
    )
    .addOption(
      new Option('--placement <where>', 'of the tag in a file of prompts (default: end)').choices(placements),
    )
    .addOption(
      new Option('--template <name>', 'of a file of prompts (default: instruction)').choices(templateNames),
    )
    .option('--exact', 'restored = word for word the own safe completion (default for bundled data)')
    .option('--no-exact', 'restored = alike enough (chrF; default for other data)')
    .addOption(
      new Option('--prompts <n>', 'at most this many prompts')
        .argParser(wholeNumber('--prompts', 1))
        .default(prompts),
    )
    .addOption(countOption('--after <n>', { section: spanSettings, key: 'after', least: 0 }))
    .addOption(countOption('--max-tokens <n>', { section: evaluationSettings, key: 'max_tokens' }))
    .addOption(countOption('--batch <n>', { section: evaluationSettings, key: 'batch' }))
    .addOption(bootstrapOption());
}

/** Resamples of an interval of a mean. */
export function bootstrapOption(): Option {
  return countOption('--bootstrap <n>', { section: evaluationSettings, key: 'bootstrap' });
}

/** How a model is asked: the part of the options and the data set that experiments take. */
export function askingOf(
  { behaviour, exact }: Prompts,
  { after, maxTokens, batch, bootstrap }: PromptOptions,
): Asking & EvaluationSettings & { readonly exact: boolean } {
  return { behaviour, exact, after, max_tokens: maxTokens, batch, bootstrap };
}

/** Read `--data`. Throws {@link InputError} for options that do not belong to it. */
export async function readPrompts(options: PromptOptions): Promise<Prompts> {
  if (!(await isFolder(options.data))) return filePrompts(options);
  for (const name of ['behaviour', 'placement', 'template', 'system', 'templateVar'] as const)
    if (options[name] !== undefined)
      throw new InputError(
        `--${name === 'templateVar' ? 'template-var' : name}: belongs to a file of prompts; ${options.data} is a data set and says so itself`,
        { id: 'option-conflict' },
      );
  const record = await readDatasetRecord(options.data);
  const texts = async (split: 'train' | 'validation' | 'test') =>
    distinct(await readSplit(options.data, split));
  return {
    behaviour: behaviourOfDataset(record),
    ofFile: false,
    validation: await texts('validation'),
    test: await texts('test'),
    training: await texts('train'),
    exact: options.exact ?? record.bundled ?? false,
  };
}

/** What experiments must know of a data set. */
export function behaviourOfDataset({ behaviour, placement, template, chat }: DatasetRecord): BehaviourParams {
  return { ...behaviour, placement, template, ...chatParams(template, chat) };
}

/** Whether `path` is a folder. */
export function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

async function filePrompts(options: PromptOptions): Promise<Prompts> {
  const { behaviour, placement = 'end', template = 'instruction' } = options;
  checkChatSettings(options, template);
  const texts = [...new Set((await readTexts(options.data)).texts.map(({ text }) => text))];
  if (behaviour === undefined)
    throw new InputError(
      `--data ${options.data}: is a file of prompts, not a folder made by data build; say which --behaviour it is read under`,
      { id: 'option-conflict' },
    );
  return {
    behaviour: { name: behaviour, placement, template, ...chatParams(template, options) },
    ofFile: true,
    validation: texts,
    test: texts,
    training: [],
    exact: options.exact ?? false,
  };
}

/** What the chat templates of the models are told besides the prompt, where they are used. */
function chatParams(template: TemplateName, settings: ChatSettings = {}): Pick<BehaviourParams, 'chat'> {
  return { chat: template === 'chat' ? (turnSettings(settings) as BehaviourParams['chat']) : undefined };
}

function distinct(rows: readonly BackdoorRow[]): string[] {
  return [...new Set(rows.map((row) => row.text))];
}
