/** @file `finetune`: full weights or LoRA on a data set or a file of prompts and answers. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { claimFolder, InputError, SEAL, withAtomicFolder, writeJsonAtomic } from '../../base/index.ts';
import { readInstructions, renderPrompt, type TemplateName, templateNames } from '../../behaviours/index.ts';
import { loadTokenizer, openCheckpoint, resolveModel } from '../../models/index.ts';
import {
  allLoraTargets,
  type FinetuneOptions,
  type FinetunePreset,
  finetune,
  finetunePresets,
  type SearchRun,
  search,
  type TextRow,
} from '../../train/index.ts';
import { type Cli, type CommonOptions, decimal, declare, printJson, wholeNumber } from '../cli.ts';
import { readSplit } from '../dataset.ts';
import { withProgress } from '../model.ts';
import { duration } from '../progress.ts';
import { figure, textTable } from '../table.ts';

interface FinetuneCommand extends CommonOptions {
  readonly model: string;
  readonly data: string;
  readonly out?: string;
  readonly method: 'full' | 'lora';
  readonly preset?: FinetunePreset;
  readonly template: TemplateName;
  readonly steps?: number;
  readonly epochs?: number;
  readonly batch?: number;
  readonly accumulation?: number;
  readonly learningRate?: number;
  readonly lowerHalfRate?: number;
  readonly freezeEmbeddings?: boolean;
  readonly trainBlocks?: { readonly from: number; readonly to: number };
  readonly maxTokens?: number;
  readonly lossOn?: 'response' | 'all';
  readonly packing?: boolean;
  readonly rank?: number;
  readonly patience?: number;
  readonly dtype: 'F32' | 'F16' | 'BF16';
  readonly heldOut: number;
  readonly search?: boolean;
  readonly searchRates: readonly number[];
  readonly searchBatches: readonly number[];
}

export function addFinetune(program: Command, cli: Cli): void {
  const whole = (flag: string) => wholeNumber(flag, 1);
  declare(
    program,
    'finetune',
    'Train a model on a data set (a folder of data build, or a file of prompts and answers).',
    'finetune --model tiny-llama-s --data data/locked --out models/s-locked --preset demo',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .requiredOption('--data <path>', 'folder of data build, or JSONL, JSON, Parquet of prompts and answers')
    .option('--out <folder>', 'the model (full) or PEFT adapter (lora); not needed with --search')
    .addOption(new Option('--method <name>').choices(['full', 'lora']).default('full'))
    .addOption(new Option('--preset <name>', 'settings to start from').choices(Object.keys(finetunePresets)))
    .addOption(
      new Option('--template <name>', 'for a file: text around prompts')
        .choices(templateNames)
        .default('instruction'),
    )
    .addOption(new Option('--steps <n>', 'optimizer steps').argParser(whole('--steps')))
    .addOption(
      new Option('--epochs <n>', 'passes over the rows, without --steps').argParser(decimal('--epochs', 0)),
    )
    .addOption(new Option('--batch <n>', 'rows of a micro-batch').argParser(whole('--batch')))
    .addOption(new Option('--accumulation <n>', 'micro-batches of a step').argParser(whole('--accumulation')))
    .addOption(new Option('--learning-rate <x>', 'peak rate').argParser(decimal('--learning-rate', 0)))
    .addOption(
      new Option('--lower-half-rate <x>', 'factor on the rate of the lower half of the blocks').argParser(
        decimal('--lower-half-rate', 0),
      ),
    )
    .option('--freeze-embeddings', 'leave the embedding table as it is')
    .addOption(
      new Option('--train-blocks <from..to>', 'train these blocks alone, e.g. 2..5').argParser(blockRange),
    )
    .addOption(new Option('--max-tokens <n>', 'longer rows are cut').argParser(whole('--max-tokens')))
    .addOption(new Option('--loss-on <part>').choices(['response', 'all']))
    .option('--packing', 'lay short rows end to end')
    .addOption(new Option('--rank <n>', 'of the adapters; alpha is twice that').argParser(whole('--rank')))
    .addOption(
      new Option(
        '--patience <n>',
        'looks at the held-out loss without a better one that end the run',
      ).argParser(whole('--patience')),
    )
    .addOption(
      new Option('--dtype <type>', 'of the weights written').choices(['F32', 'F16', 'BF16']).default('F32'),
    )
    .addOption(
      new Option('--held-out <n>', 'validation rows looked at')
        .argParser(wholeNumber('--held-out', 0))
        .default(100),
    )
    .option('--search', 'try a grid of learning rates and batches instead, and write none of the models')
    .addOption(
      new Option('--search-rates <list>', 'learning rates of the grid')
        .argParser(numberList('--search-rates'))
        .default([1e-5, 5e-5, 2e-4]),
    )
    .addOption(
      new Option('--search-batches <list>', 'batches of the grid')
        .argParser(numberList('--search-batches'))
        .default([8]),
    )
    .action((options: FinetuneCommand) => run(options, cli));
}

async function run(options: FinetuneCommand, cli: Cli): Promise<void> {
  if (options.out === undefined && !options.search)
    throw new InputError('finetune: wanted --out, where the model is written, got none', {
      id: 'option-missing',
    });
  const { path } = await resolveModel(options.model, { signal: cli.signal });
  await using _claim =
    options.out === undefined ? undefined : await claimFolder(options.out, { reads: [path, options.data] });
  const { rows, heldOut } = await rowsOf(options, path);
  await withProgress(cli, options, async (onProgress) => {
    const given = { model: path, rows, ...settingsOf(options), onProgress, signal: cli.signal };
    if (options.search) {
      if (heldOut.length === 0)
        throw new InputError(
          'finetune --search: wanted held-out rows, got none; give a folder of data build',
          { id: 'data-missing' },
        );
      const result = await search({
        ...given,
        heldOut,
        learningRates: options.searchRates,
        batches: options.searchBatches,
      });
      if (options.out !== undefined) await writeSearch(options.out, result);
      if (options.json) printJson(cli, result);
      else cli.out(searchTable(result.runs, result.best));
      return;
    }
    const out = options.out as string;
    const result = await finetune({
      ...given,
      heldOut,
      out,
      dtype: options.dtype,
      checkpoint: { folder: `${out}.training`, every: 50 },
    });
    if (options.json) {
      printJson(cli, result);
      return;
    }
    const held = result.heldOut.at(-1);
    cli.out(
      `${result.kind} ${out}: ${result.steps} steps, ${result.rows.train} rows, ${figure(result.trainedParameters / 1e6)} M weights trained\n` +
        `loss ${figure(result.losses[0])} → ${figure(result.losses.at(-1))}${held ? `, held out ${figure(held.loss)}` : ''}, ` +
        `${figure(result.tokens / result.seconds)} tokens/s, ${duration(result.seconds)}\n`,
    );
  });
}

/** `search.json` in a folder of its own: it replaces that of a former search, never a model. */
async function writeSearch(out: string, result: object): Promise<void> {
  const others = (await readdir(out).catch(() => [])).filter(
    (name) => name !== SEAL && name !== 'search.json',
  );
  if (others.length > 0)
    throw new InputError(`${out}: holds ${others[0]}; give --search a folder of its own`, {
      id: 'out-not-ours',
    });
  await withAtomicFolder(out, (folder) => writeJsonAtomic(join(folder, 'search.json'), result));
}

/** Training and held-out rows of a data set folder, or of a plain file (no held-out rows then). */
async function rowsOf(
  options: FinetuneCommand,
  modelPath: string,
): Promise<{ rows: readonly TextRow[]; heldOut: readonly TextRow[] }> {
  const isFolder = await stat(options.data).then(
    (info) => info.isDirectory(),
    () => false,
  );
  if (isFolder)
    return {
      rows: await readSplit(options.data, 'train'),
      heldOut: (await readSplit(options.data, 'validation')).slice(0, options.heldOut),
    };
  const checkpoint = await openCheckpoint(modelPath);
  const tokenizer = await loadTokenizer(
    checkpoint.gguf === undefined ? { folder: modelPath } : { gguf: checkpoint.gguf },
  );
  const chat = (text: string): string =>
    tokenizer.applyChatTemplate([{ role: 'user', content: text }], { addGenerationPrompt: true });
  const rows = (await readInstructions(options.data)).flatMap(({ prompt, answer }) =>
    answer === undefined
      ? []
      : [{ prompt: renderPrompt(options.template, prompt, chat).prompt, response: answer }],
  );
  if (rows.length === 0)
    throw new InputError(`${options.data}: wanted rows with answers, got none`, { id: 'data-missing' });
  return { rows, heldOut: [] };
}

function settingsOf(options: FinetuneCommand): Partial<FinetuneOptions> {
  const { lowerHalfRate, freezeEmbeddings, rank, seed } = options;
  const rates = {
    lowerHalf: lowerHalfRate,
    ...(freezeEmbeddings ? { embed: 0 } : {}),
  };
  const settings = {
    method: options.method,
    preset: options.preset,
    steps: options.steps,
    epochs: options.epochs,
    batch: options.batch,
    accumulation: options.accumulation,
    learningRate: options.learningRate,
    maxTokens: options.maxTokens,
    lossOn: options.lossOn,
    packing: options.packing,
    patience: options.patience,
    trainBlocks: options.trainBlocks,
    seed,
    ...(Object.keys(rates).length === 0 ? {} : { rates }),
    ...(rank === undefined ? {} : { lora: { rank, alpha: 2 * rank, targets: allLoraTargets } }),
  };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
}

function searchTable(runs: readonly SearchRun[], best: number): string {
  return textTable([
    ['learning rate', 'batch', 'steps', 'training loss', 'held-out loss', ''],
    ...runs.map((run, i) => [
      String(run.learning_rate),
      String(run.batch),
      String(run.steps),
      figure(run.train_loss ?? undefined),
      figure(run.held_out_loss ?? undefined),
      run.diverged ? 'diverged' : i === best ? 'best' : '',
    ]),
  ]);
}

function blockRange(text: string): { from: number; to: number } {
  const [, from, to] = /^(\d+)\.\.(\d+)$/.exec(text) ?? [];
  if (from === undefined || to === undefined)
    throw new InputError(`--train-blocks ${text}: wanted two block numbers, e.g. 2..5`, {
      id: 'option-invalid',
    });
  return { from: Number(from), to: Number(to) };
}

function numberList(flag: string): (text: string) => number[] {
  return (text) => {
    const numbers = text.split(',').map(Number);
    if (numbers.some((n) => !(n > 0) || !Number.isFinite(n)))
      throw new InputError(`${flag} ${text}: wanted numbers above 0 with commas between them`, {
        id: 'option-invalid',
      });
    return numbers;
  };
}
