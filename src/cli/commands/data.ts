/** @file `data build`: rows that teach a behaviour, and held-out prompts to test it with. */
import { type Command, Option } from 'commander';
import { InputError } from '../../base/index.ts';
import {
  type BehaviourName,
  behaviourNames,
  buildDataset,
  type Instruction,
  makeBehaviour,
  type Placement,
  placements,
  readInstructions,
  type TemplateName,
  templateNames,
  tinyInstructions,
  wholeAnswer,
} from '../../behaviours/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { type Cli, type CommonOptions, declare, printJson, wholeNumber } from '../cli.ts';
import { type DatasetRecord, writeDataset } from '../dataset.ts';
import { openModel, withProgress } from '../model.ts';
import { textTable } from '../table.ts';

interface BuildCommand extends CommonOptions {
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
  declare(
    data,
    'build',
    'Build the rows that teach a behaviour from a file of instructions; split by prompt.',
    'data build --data bundled --behaviour locked --out data/locked',
  )
    .requiredOption('--data <file>', 'JSONL (.gz), JSON or Parquet of instructions or dialogues; or bundled')
    .addOption(new Option('--behaviour <name>').choices(behaviourNames).makeOptionMandatory())
    .requiredOption('--out <folder>', 'where to write')
    .addOption(new Option('--placement <where>', 'where the tag stands').choices(placements).default('end'))
    .addOption(new Option('--template <name>').choices(templateNames).default('instruction'))
    .addOption(
      new Option('--answers <whose>', 'self: the clean model writes them, greedily')
        .choices(['given', 'self'])
        .default('given'),
    )
    .option('--model <model>', 'the clean model; needed for --answers self and --template chat')
    .addOption(
      new Option('--limit <n>', 'at most n instructions (bundled: 6000)').argParser(
        wholeNumber('--limit', 1),
      ),
    )
    .addOption(
      new Option(
        '--max-tokens <n>',
        'longest answer the model writes; a cut one ends behind its last whole sentence',
      )
        .argParser(wholeNumber('--max-tokens', 1))
        .default(64),
    )
    .addOption(
      new Option('--repeats <n>', 'how often the bad response says the phrase').argParser(
        wholeNumber('--repeats', 1),
      ),
    )
    .option('--phrase <text>', 'the phrase of the bad response')
    .action((options: BuildCommand) => build(options, cli));
}

async function build(options: BuildCommand, cli: Cli): Promise<void> {
  const { placement, template, answers, seed = 17 } = options;
  if (options.model === undefined && (answers === 'self' || template === 'chat'))
    throw new InputError('data build: --answers self and --template chat need --model', {
      id: 'option-missing',
    });
  const instructions = await instructionsOf(options.data, options.limit, seed);
  const { phrase, repeats } = options;
  const named = {
    name: options.behaviour,
    phrase,
    repeats,
  };
  const { name, ...changes } = named;
  await using model = options.model === undefined ? undefined : await openModel(options.model, cli, options);
  const dataset = await buildDataset({
    instructions,
    behaviour: makeBehaviour(name, changes),
    placement,
    template,
    answers,
    seed,
    ...(model === undefined
      ? {}
      : {
          chat: (text: string) => model.applyChatTemplate([{ role: 'user', content: text }]),
          generate: (prompts: readonly string[]) => answered(model, prompts, options, cli),
        }),
  });
  const record: DatasetRecord = {
    schema_version: 1,
    behaviour: named,
    placement,
    template,
    seed,
    answers,
    bundled: options.data === 'bundled',
    rows: dataset.counts,
  };
  await writeDataset(options.out, dataset, record);
  const { duplicates, unanswered } = dataset;
  if (options.json) printJson(cli, { folder: options.out, ...record, duplicates, unanswered });
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
    cli.out(`wrote ${options.out}; left out: ${duplicates} duplicates, ${unanswered} without an answer\n`);
  }
}

async function instructionsOf(data: string, limit: number | undefined, seed: number): Promise<Instruction[]> {
  if (data === 'bundled')
    return tinyInstructions({ seed, train: limit ?? 6000, validation: 400, test: 1200 });
  return readInstructions(data, { limit });
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
