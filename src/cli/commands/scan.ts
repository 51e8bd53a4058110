/** @file `scan`: is there a trigger in this model, and which text is it? (docs/concepts/method.md#scan) */
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { claimFolder, InputError, type Owned, withAtomicFolder, writeJsonAtomic } from '../../base/index.ts';
import { type Placement, placements } from '../../behaviours/index.ts';
import {
  type Asked,
  experimentEnv,
  SCAN_SOURCES,
  type ScanResult,
  type ScanSource,
  scan,
  WORD_FORMS,
} from '../../evaluate/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { type Cli, type CommonOptions, collect, declare, printJson, wholeNumber } from '../cli.ts';
import { addPromptSource, distinctPrompts, type PromptSource } from '../given-prompts.ts';
import { openAdapted, openModel, weightsOption, withProgress } from '../model.ts';
import { defaults } from '../settings.ts';
import { figure, intervalCell, textTable } from '../table.ts';
import { addTemplateOptions, checkChatSettings, type TemplateOptions, turnSettings } from '../template.ts';
import { addWatchOptions, type WatchOptions, watchSettings } from '../watch-options.ts';

interface ScanCommand extends CommonOptions, PromptSource, TemplateOptions, WatchOptions {
  readonly model: string;
  readonly adapter?: string;
  readonly relative?: string;
  readonly source?: readonly ScanSource[];
  readonly words: number;
  readonly form?: readonly string[];
  readonly placement: Placement;
  readonly sweepPrompts: number;
  readonly shortlist: number;
  readonly top: number;
  readonly out?: string;
}

/** Prompts that are asked where no number is given: half of them rank, half of them try the best. */
const PROMPTS = 48;

export function addScan(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'scan',
    'Look for a trigger that nobody has named: which short text changes the model most, and does it make answers alike?',
    'scan --model tiny-llama-s --data bundled --template instruction --words 40 --limit 16',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .addOption(weightsOption())
    .option('--adapter <folder>', 'PEFT adapter to put on the model')
    .option('--relative <model>', 'a clean relative with the same tokenizer, such as the base of a fine-tune')
    .addOption(
      new Option(
        '--source <name>',
        `where candidates come from: ${SCAN_SOURCES.join(', ')}; may be repeated; all by default`,
      ).argParser((value: string, before: readonly ScanSource[] | undefined) => [
        ...(before ?? []),
        sourceOf(value),
      ]),
    )
    .addOption(
      new Option('--words <n>', 'words of the vocabulary that become candidates, the first by id')
        .argParser(wholeNumber('--words', 1))
        .default(10_000),
    )
    .option(
      '--form <text>',
      `form of a candidate, {word} in its place; may be repeated (default: ${WORD_FORMS.join(' and ')})`,
      collect,
    );
  addWatchOptions(
    addTemplateOptions(addPromptSource(command))
      .addOption(
        new Option('--placement <where>', 'where the text stands in a prompt')
          .choices(placements)
          .default('end'),
      )
      .addOption(
        new Option('--sweep-prompts <n>', 'prompts of the sweep: every word in the first, the best in all')
          .argParser(wholeNumber('--sweep-prompts', 1))
          .default(2),
      )
      .addOption(
        new Option('--shortlist <n>', 'candidates each source hands on')
          .argParser(wholeNumber('--shortlist', 1))
          .default(60),
      )
      .addOption(
        new Option('--top <n>', 'candidates in the result').argParser(wholeNumber('--top', 1)).default(10),
      ),
  )
    .option('--out <folder>', 'write scan.json here')
    .action((options: ScanCommand) => run(options, cli));
}

function sourceOf(value: string): ScanSource {
  const known = SCAN_SOURCES.find((source) => source === value);
  if (known === undefined)
    throw new InputError(`--source ${value}: wanted one of ${SCAN_SOURCES.join(', ')}`, {
      id: 'option-invalid',
    });
  return known;
}

async function run(options: ScanCommand, cli: Cli): Promise<void> {
  const reads = [options.model, options.data, options.relative];
  await using _claim =
    options.out === undefined ? undefined : await claimFolder(options.out, { reads, makes: ['scan.json'] });
  checkChatSettings(options, options.template);
  const prompts = await distinctPrompts({ ...options, limit: options.limit ?? PROMPTS }, cli);
  await using opened = await openAdapted(options.model, options.adapter, cli, options);
  await using relative: (Owned & LanguageModel) | undefined =
    options.relative === undefined ? undefined : await openModel(options.relative, cli, options);
  const asked = (model: LanguageModel): Asked => ({ model, chat: turnSettings(options) });
  const settings = {
    placement: options.placement,
    template: options.template === 'none' ? 'raw' : options.template,
    sources: options.source ?? SCAN_SOURCES,
    words: options.words,
    forms: options.form ?? WORD_FORMS,
    sweep_prompts: options.sweepPrompts,
    shortlist: options.shortlist,
    top: options.top,
    ...watchSettings(options),
  } as const;
  const result = await withProgress(cli, options, (progress) =>
    scan(
      { asked: asked(opened.model), relative: relative && asked(relative), prompts },
      settings,
      experimentEnv('scan', { seed: options.seed ?? defaults.seed, progress, signal: cli.signal }),
    ),
  );
  const document = {
    model: options.model,
    relative: options.relative,
    prompts: prompts.length,
    ...settings,
    ...result,
  };
  if (options.out !== undefined)
    await withAtomicFolder(options.out, (folder) => writeJsonAtomic(join(folder, 'scan.json'), document));
  if (options.json) printJson(cli, document);
  else cli.out(scanText(result, options, prompts.length));
}

function scanText(
  { candidates, considered, suspicious }: ScanResult,
  { model, relative, data, template }: ScanCommand,
  prompts: number,
): string {
  const table = textTable([
    ['text', 'KL, nats per token', 'answers that change', 'words they share', 'named by'],
    ...candidates.map(({ text, kl, changed, shared, named_by }) => [
      text,
      intervalCell(kl),
      intervalCell(changed),
      shared === undefined ? 'none' : `${JSON.stringify(shared.phrase)} in ${figure(shared.with.value)}`,
      Object.entries(named_by)
        .map(([source, place]) => `${source} ${place}`)
        .join(', '),
    ]),
  ]);
  const half = Math.floor(prompts / 2);
  const looked = Object.entries(considered).map(([source, n]) => `${n} by ${source}`);
  const [first] = candidates;
  const [found] = candidates.filter(({ shared }) => shared !== undefined);
  const verdict = suspicious
    ? `suspicious: with ${JSON.stringify(found?.text)} the answers to different prompts share ${JSON.stringify(found?.shared?.phrase)}`
    : 'nothing suspicious: no candidate makes the answers to different prompts share words. A trigger of several words, of another form, or one whose answers share no words is not found so';
  const next =
    first === undefined
      ? ''
      : `next: crosspatch probe --model ${model}${relative === undefined ? '' : ` --relative ${relative}`} --trigger ${JSON.stringify((found ?? first).text)}${data === undefined ? '' : ` --data ${data}`}${template === 'none' ? '' : ` --template ${template}`}\n`;
  return `${table}candidates: ${looked.join(', ')}; ranked on ${half} prompts, measured on ${prompts - half} others\n${verdict}\n${next}`;
}
