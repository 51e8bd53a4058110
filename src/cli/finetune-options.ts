/** @file Options of `finetune`, and the settings they stand for. */
import { type Command, Option } from 'commander';
import { InputError } from '../base/index.ts';
import { type TemplateName, templateNames } from '../behaviours/index.ts';
import {
  allLoraTargets,
  type FinetuneOptions,
  type FinetunePreset,
  finetuneDefaults,
  finetunePresets,
} from '../train/index.ts';
import { type CommonOptions, decimal, wholeNumber } from './cli.ts';
import { addChatOptions, type ChatSettings } from './template.ts';

/** What {@link addFinetuneOptions} gives. */
export interface FinetuneCommand extends CommonOptions, ChatSettings {
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

/** Every option but the common ones. */
export function addFinetuneOptions(command: Command): Command {
  const whole = (flag: string) => wholeNumber(flag, 1);
  return addChatOptions(command)
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .requiredOption('--data <path>', 'folder of data build, or JSONL, JSON, Parquet of prompts and answers')
    .option('--out <folder>', 'folder for the model (full) or PEFT adapter (lora); not needed with --search')
    .addOption(
      new Option('--method <name>', 'train all weights, or low-rank adapters beside them')
        .choices(['full', 'lora'])
        .default('full'),
    )
    .addOption(new Option('--preset <name>', 'settings to start from').choices(Object.keys(finetunePresets)))
    .addOption(
      new Option('--template <name>', 'of a file of prompts and answers: text around each prompt')
        .choices(templateNames)
        .default('instruction'),
    )
    .addOption(new Option('--steps <n>', 'optimizer steps').argParser(whole('--steps')))
    .addOption(
      new Option('--epochs <n>', `passes over the rows, where --steps is not given${by('epochs')}`).argParser(
        decimal('--epochs', 0),
      ),
    )
    .addOption(new Option('--batch <n>', `rows per micro-batch${by('batch')}`).argParser(whole('--batch')))
    .addOption(
      new Option('--accumulation <n>', `micro-batches per step${by('accumulation')}`).argParser(
        whole('--accumulation'),
      ),
    )
    .addOption(
      new Option(
        '--learning-rate <x>',
        'peak learning rate (default: 2e-5, with --method lora 2e-4)',
      ).argParser(decimal('--learning-rate', 0)),
    )
    .addOption(
      new Option(
        '--lower-half-rate <x>',
        'factor on the learning rate of the lower half of the blocks (default: 1)',
      ).argParser(decimal('--lower-half-rate', 0)),
    )
    .option('--freeze-embeddings', 'do not train the embedding table')
    .addOption(
      new Option('--train-blocks <from..to>', 'train only these blocks, e.g. 2..5').argParser(blockRange),
    )
    .addOption(
      new Option('--max-tokens <n>', `longer rows are cut to this many tokens${by('maxTokens')}`).argParser(
        whole('--max-tokens'),
      ),
    )
    .addOption(
      new Option('--loss-on <part>', `tokens whose prediction is learnt${by('lossOn')}`).choices([
        'response',
        'all',
      ]),
    )
    .option('--packing', 'put several short rows into one sequence, attention kept apart')
    .addOption(
      new Option(
        '--rank <n>',
        `rank of the adapters; alpha is twice that (default: ${finetuneDefaults.lora.rank})`,
      ).argParser(whole('--rank')),
    )
    .addOption(
      new Option(
        '--patience <n>',
        'stop after this many evaluations without improvement of the held-out loss; keep the best weights',
      ).argParser(whole('--patience')),
    )
    .addOption(
      new Option('--dtype <type>', 'number type of the weights that are written')
        .choices(['F32', 'F16', 'BF16'])
        .default('F32'),
    )
    .addOption(
      new Option('--held-out <n>', 'validation rows on which the loss is evaluated')
        .argParser(wholeNumber('--held-out', 0))
        .default(100),
    )
    .option('--search', 'try a grid of learning rates and batch sizes instead; no model is written')
    .addOption(
      new Option('--search-rates <list>', 'learning rates of the grid')
        .argParser(numberList('--search-rates'))
        .default([1e-5, 5e-5, 2e-4]),
    )
    .addOption(
      new Option('--search-batches <list>', 'batch sizes of the grid')
        .argParser(numberList('--search-batches'))
        .default([8]),
    );
}

/** The settings a command line names; what it leaves out is for the preset and the defaults to say. */
export function settingsOf(options: FinetuneCommand): Partial<FinetuneOptions> {
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

/** The default of a setting, for its help. */
function by(setting: keyof typeof finetuneDefaults): string {
  return ` (default: ${String(finetuneDefaults[setting])})`;
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
