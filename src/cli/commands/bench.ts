/** @file `bench`: how near a model runs to the machine's own limits. */
import { type Command, Option } from 'commander';
import { InputError, type ProgressSink, Rng } from '../../base/index.ts';
import { type Instruction, readInstructions, tinyInstructions } from '../../behaviours/index.ts';
import { describeMachine } from '../../pipeline/index.ts';
import { benchAgainst } from '../bench/against.ts';
import { benchInference, type InferenceFigures } from '../bench/inference.ts';
import { benchMaps, MAPS, type MapsFigures } from '../bench/maps.ts';
import { benchSweep, type SweepFigures } from '../bench/sweep.ts';
import {
  AGAINST_HEAD,
  againstRows,
  inferenceRows,
  mapsRows,
  sweepRows,
  trainingRows,
} from '../bench/tables.ts';
import { benchTraining, type TrainingFigures } from '../bench/training.ts';
import { type Cli, type CommonOptions, declare, printJson, wholeNumber } from '../cli.ts';
import { inspectReference, openReference, withProgress } from '../model.ts';
import { textTable } from '../table.ts';

/** What is measured: the figures of each part, in the order they are measured and shown. */
interface Figures {
  readonly inference: InferenceFigures;
  readonly training: TrainingFigures;
  readonly sweep: SweepFigures;
  readonly maps: MapsFigures;
}
type Part = keyof Figures;

interface BenchCommand extends CommonOptions {
  readonly model: string;
  readonly only?: Part;
  readonly against?: 'llama.cpp';
  readonly rounds: number;
  readonly prompts: number;
  readonly maxTokens: number;
  readonly data?: string;
  readonly template: 'instruction' | 'alpaca' | 'chat';
  readonly rows: number;
}

export function addBench(program: Command, cli: Cli): void {
  declare(
    program,
    'bench',
    'Measure a model against the machine: each figure as a share of a limit measured in the same run.',
    'bench --model SmolLM2-135M-Instruct.Q4_1.gguf',
  )
    .option('--model <model>', 'bundled name, path, or org/name on the hub', 'tiny-llama-m')
    .addOption(new Option('--only <part>', 'one part').choices(Object.keys(parts)))
    .addOption(
      new Option(
        '--against <program>',
        'instead: run the model by this program too, in turns; wants the package node-llama-cpp',
      ).choices(['llama.cpp']),
    )
    .addOption(
      new Option('--rounds <n>', 'turns of each comparison; medians are shown (inference, training)')
        .argParser(wholeNumber('--rounds', 1))
        .default(9),
    )
    .addOption(
      new Option('--prompts <n>', 'prompts of the sweep').argParser(wholeNumber('--prompts', 1)).default(50),
    )
    .addOption(
      new Option('--max-tokens <n>', 'most new tokens per completion of the sweep')
        .argParser(wholeNumber('--max-tokens', 1))
        .default(24),
    )
    .option('--data <file>', 'instructions for the sweep, as data build takes them (default: bundled tasks)')
    .addOption(
      new Option('--template <name>', 'how the prompts of the sweep are put')
        .choices(['instruction', 'alpaca', 'chat'])
        .default('instruction'),
    )
    .addOption(
      new Option('--rows <n>', 'rows of the map').argParser(wholeNumber('--rows', 4096)).default(MAPS.rows),
    )
    .action((options: BenchCommand) => bench(options, cli));
}

/** How each part is measured, and drawn. */
const parts: {
  readonly [K in Part]: {
    readonly measure: (
      path: string,
      options: BenchCommand,
      common: { readonly rounds: number; readonly rng: Rng; readonly signal: AbortSignal },
      onProgress: ProgressSink,
    ) => Promise<Figures[K]>;
    readonly rows: (figures: Figures[K]) => string[][];
  };
} = {
  inference: { measure: (path, _, common) => benchInference(path, common), rows: inferenceRows },
  training: { measure: (path, _, common) => benchTraining(path, common), rows: trainingRows },
  sweep: {
    measure: async (path, options, { signal }, onProgress) =>
      benchSweep(path, {
        instructions: await instructionsOf(options),
        template: options.template,
        newTokens: options.maxTokens,
        signal,
        onProgress,
      }),
    rows: sweepRows,
  },
  maps: {
    measure: (_, { rows }, { rng, signal }, onProgress) => benchMaps({ rows, rng, signal, onProgress }),
    rows: mapsRows,
  },
};

async function bench(options: BenchCommand, cli: Cli): Promise<void> {
  if (options.against !== undefined) return against(options, cli);
  const { path } = await openReference(options.model, cli, options);
  const chosen = options.only === undefined ? (Object.keys(parts) as Part[]) : [options.only];
  const found: Partial<Record<Part, Figures[Part]>> = {};
  const table: string[][] = [];
  for (const part of chosen) {
    if (!options.quiet) cli.err(`${part} …\n`);
    await withProgress(cli, options, (onProgress) => add(part, onProgress));
  }
  async function add<K extends Part>(part: K, onProgress: ProgressSink): Promise<void> {
    const { measure, rows } = parts[part];
    const common = { rounds: options.rounds, rng: new Rng(options.seed ?? 0), signal: cli.signal };
    const figures = await measure(path, options, common, onProgress);
    found[part] = figures;
    table.push(...rows(figures));
  }
  const machine = describeMachine();
  if (options.json) {
    printJson(cli, { model: options.model, rounds: options.rounds, machine, ...found });
    return;
  }
  cli.out(
    `${options.model} on ${machine.cores} cores of ${machine.cpu}, medians of ${options.rounds} turns\n\n`,
  );
  cli.out(textTable([['what', 'rate', 'of the limit', 'limit'], ...table]));
}

/** Us and another program in turns. */
async function against(options: BenchCommand, cli: Cli): Promise<void> {
  if (options.only !== undefined)
    throw new InputError('--against and --only: wanted one of them', { id: 'option-conflict' });
  // Not opened: a GGUF would be dequantised whole, and may be too large for that.
  const { path } = await inspectReference(options.model, cli, options);
  const common = { rounds: options.rounds, rng: new Rng(options.seed ?? 0), signal: cli.signal };
  const figures = await benchAgainst(path, common);
  const machine = describeMachine();
  if (options.json) {
    printJson(cli, {
      model: options.model,
      rounds: options.rounds,
      machine,
      against: options.against,
      ...figures,
    });
    return;
  }
  cli.out(
    `${options.model} on ${machine.cores} cores of ${machine.cpu}, medians of ${options.rounds} turns\n\n`,
  );
  cli.out(textTable([AGAINST_HEAD, ...againstRows(figures)]));
}

/** Held-out tasks of the bundled corpus, or the first ones of a file. */
async function instructionsOf({ data, prompts, seed = 0 }: BenchCommand): Promise<Instruction[]> {
  if (data !== undefined) return readInstructions(data, { limit: prompts });
  return tinyInstructions({ seed, train: 0, validation: 0, test: prompts });
}
