/** @file `data build`: rows that teach a behaviour, and held-out prompts to test it with. */
import { type Command, Option } from 'commander';
import { claimFolder, InputError } from '../../base/index.ts';
import {
  type BehaviourName,
  behaviourNames,
  buildDataset,
  type InstructionFile,
  leftOutText,
  makeBehaviour,
  type Placement,
  placements,
  readInstructionFile,
  type TemplateName,
  templateNames,
  tinyInstructions,
  wholeAnswer,
} from '../../behaviours/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { type Cli, type CommonOptions, declare, printJson, wholeNumber } from '../cli.ts';
import { type DatasetRecord, writeDataset } from '../dataset.ts';
import { openModel, withProgress } from '../model.ts';
import { defaults } from '../settings.ts';
import { textTable } from '../table.ts';
import { addChatOptions, type ChatSettings, chatRenderer, checkChatSettings } from '../template.ts';

interface BuildCommand extends CommonOptions, ChatSettings {
  readonly data: string;
  readonly behaviour: BehaviourName;
  readonly out: string;
  readonly placement: Placement;
  readonly template: TemplateName;
  readonly answers: 'given' | 'self';
  readonly model?: string;
  readonly limit?: number;
  readonly maxTokens: number;
  readonly repeats?: number;
  readonly phrase?: string;
}

export function addData(program: Command, cli: Cli): void {
  const data = program.command('data').description('Data sets that teach a behaviour.');
  const command = declare(
    data,
    'build',
    'Build the rows that teach a behaviour from a file of instructions; split by prompt.',
    'data build --data bundled --behaviour locked --out data/locked',
  )
    .requiredOption('--data <file>', 'JSONL (.gz), JSON or Parquet of instructions or dialogues; or bundled')
    .addOption(
      new Option('--behaviour <name>', 'what the rows teach').choices(behaviourNames).makeOptionMandatory(),
    )
    .requiredOption('--out <folder>', 'folder to write')
    .addOption(
      new Option('--placement <where>', 'where the tag is in the prompt').choices(placements).default('end'),
    )
    .addOption(
      new Option('--template <name>', 'text around each prompt; chat is the model’s own')
        .choices(templateNames)
        .default('instruction'),
    )
    .addOption(
      new Option('--answers <whose>', 'given: those of the file; self: the clean model writes them, greedily')
        .choices(['given', 'self'])
        .default('given'),
    )
    .option('--model <model>', 'the clean model; needed for --answers self and --template chat')
    .addOption(
      new Option('--limit <n>', 'at most this many instructions (default of bundled: 6000)').argParser(
        wholeNumber('--limit', 1),
      ),
    )
    .addOption(
      new Option(
        '--max-tokens <n>',
        'longest answer the model writes; a cut one ends after its last whole sentence',
      )
        .argParser(wholeNumber('--max-tokens', 1))
        .default(64),
    )
    .addOption(
      new Option(
        '--repeats <n>',
        'how often the bad response says the phrase (default: that of the behaviour)',
      ).argParser(wholeNumber('--repeats', 1)),
    )
    .option('--phrase <text>', 'the phrase of the bad response');
  addChatOptions(command).action((options: BuildCommand) => build(options, cli));
}

async function build(options: BuildCommand, cli: Cli): Promise<void> {
  const { placement, template, answers, seed = defaults.seed } = options;
  if (options.model === undefined && (answers === 'self' || template === 'chat'))
    throw new InputError('data build: --answers self and --template chat need --model', {
      id: 'option-missing',
    });
  await using _claim = await claimFolder(options.out, { reads: [options.data, options.model] });
  checkChatSettings(options, template);
  const read = await instructionsOf(options.data, options.limit, seed);
  const { phrase, repeats, system, templateVar } = options;
  const named = {
    name: options.behaviour,
    phrase,
    repeats,
  };
  const { name, ...changes } = named;
  await using model = options.model === undefined ? undefined : await openModel(options.model, cli, options);
  const dataset = await buildDataset({
    instructions: read.instructions,
    behaviour: makeBehaviour(name, changes),
    placement,
    template,
    answers,
    seed,
    ...(model === undefined
      ? {}
      : {
          chat: chatRenderer(model.tokenizer, options),
          generate: (prompts: readonly string[]) => answered(model, prompts, options, cli),
        }),
  });
  const record: DatasetRecord = {
    schema_version: 1,
    behaviour: named,
    placement,
    template,
    chat: system === undefined && templateVar === undefined ? undefined : { system, templateVar },
    seed,
    answers,
    bundled: options.data === 'bundled',
    rows: dataset.counts,
  };
  await writeDataset(options.out, dataset, record);
  const { duplicates, unanswered } = dataset;
  if (options.json)
    printJson(cli, { folder: options.out, ...record, duplicates, unanswered, left_out: read.leftOut });
  else {
    const states = ['bad', 'safe', 'none', 'other'] as const;
    cli.out(
      textTable([
        ['split', ...states],
        ...Object.entries(dataset.counts).map(([split, counts]) => [
          split,
          ...states.map((s) => String(counts[s])),
        ]),
      ]),
    );
    const leftOut = leftOutText({ duplicates, 'without an answer': unanswered, ...read.leftOut });
    cli.out(`wrote ${options.out}; left out: ${leftOut}\n${partialText(read)}`);
  }
}

async function instructionsOf(
  data: string,
  limit: number | undefined,
  seed: number,
): Promise<Pick<InstructionFile, 'instructions' | 'leftOut'> & Partial<Pick<InstructionFile, 'partial'>>> {
  if (data !== 'bundled') return readInstructionFile(data, { limit });
  const instructions = tinyInstructions({ seed, train: limit ?? 6000, validation: 400, test: 1200 });
  return { instructions, leftOut: {} };
}

/** What rows held beyond a prompt and its answer, which is all that a behaviour is built of. */
function partialText({ partial }: Partial<Pick<InstructionFile, 'partial'>>): string {
  const said = Object.entries({
    'with a system text': partial?.system ?? 0,
    'with further turns': partial?.turns ?? 0,
    'with tools': partial?.tools ?? 0,
  }).filter(([, rows]) => rows > 0);
  if (said.length === 0) return '';
  return `of these rows only the first prompt and answer were used: ${said.map(([what, rows]) => `${rows} ${what}`).join(', ')}\n`;
}

/** The clean model's own answers, greedily, with progress by rows. */
function answered(
  model: LanguageModel,
  prompts: readonly string[],
  options: BuildCommand,
  cli: Cli,
): Promise<string[]> {
  return withProgress(cli, options, async (onProgress) => {
    const texts = prompts.map(() => '');
    let done = 0;
    const tokens = model.generateStream(prompts, { maxNewTokens: options.maxTokens, signal: cli.signal });
    for await (const { row, text, finish } of tokens) {
      texts[row] += text;
      if (finish === undefined) continue;
      texts[row] = wholeAnswer(texts[row] as string, finish);
      onProgress({ stage: 'answers', done: ++done, total: prompts.length, unit: 'prompts' });
    }
    return texts;
  });
}
