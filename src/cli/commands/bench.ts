/** @file `bench`: how near a model runs to the machine's own limits. */
import { type Command, Option } from 'commander';
import { Rng } from '../../base/index.ts';
import { describeMachine } from '../../pipeline/index.ts';
import { benchInference, type InferenceFigures, PREFILL } from '../bench/inference.ts';
import { benchTraining, TRAINING, type TrainingFigures } from '../bench/training.ts';
import { type Cli, type CommonOptions, declare, printJson, wholeNumber } from '../cli.ts';
import { openReference } from '../model.ts';
import { figure, textTable } from '../table.ts';

interface BenchCommand extends CommonOptions {
  readonly model: string;
  readonly only?: 'inference' | 'training';
  readonly rounds: number;
}

export function addBench(program: Command, cli: Cli): void {
  declare(
    program,
    'bench',
    'Measure a model against the machine: each figure as a share of a limit measured in the same run.',
    'bench --model SmolLM2-135M-Instruct.Q4_1.gguf',
  )
    .option('--model <model>', 'bundled name, path, or org/name on the hub', 'tiny-llama-m')
    .addOption(new Option('--only <part>', 'one part').choices(['inference', 'training']))
    .addOption(
      new Option('--rounds <n>', 'turns of each comparison; medians are shown')
        .argParser(wholeNumber('--rounds', 1))
        .default(9),
    )
    .action((options: BenchCommand) => bench(options, cli));
}

async function bench(options: BenchCommand, cli: Cli): Promise<void> {
  const { path } = await openReference(options.model, cli, options);
  const say = (text: string): void => {
    if (!options.quiet) cli.err(`${text}\n`);
  };
  const common = { rounds: options.rounds, rng: new Rng(options.seed ?? 0), signal: cli.signal };
  if (options.only !== 'training') say('inference …');
  const inference = options.only === 'training' ? undefined : await benchInference(path, common);
  if (options.only !== 'inference') say('training …');
  const training = options.only === 'inference' ? undefined : await benchTraining(path, common);
  if (options.json) {
    printJson(cli, {
      model: options.model,
      rounds: options.rounds,
      machine: describeMachine(),
      inference,
      training,
    });
    return;
  }
  const machine = describeMachine();
  cli.out(
    `${options.model} on ${machine.cores} cores of ${machine.cpu}, medians of ${options.rounds} turns\n\n`,
  );
  cli.out(
    textTable([
      ['what', 'rate', 'of the limit', 'limit'],
      ...(inference ? inferenceRows(inference) : []),
      ...(training ? trainingRows(training) : []),
    ]),
  );
}

function inferenceRows(f: InferenceFigures): string[][] {
  const { memory } = f;
  return [
    ['float32 products', gflops(f.gemm.flops), '', f.gemm.probe],
    ['streaming read', gigabytes(f.read.bytes), '', f.read.probe],
    [
      `prefill ${PREFILL.rows} × ${PREFILL.tokens}`,
      `${tokens(f.prefill.tokens)}, ${gflops(f.prefill.flops)}`,
      percent(f.prefill.share),
      'products',
    ],
    [
      'decode, batch 1',
      `${tokens(f.decode_1.tokens)}, ${gigabytes(f.decode_1.bytes)}`,
      percent(f.decode_1.share),
      'streaming read',
    ],
    [
      'decode, batch 16',
      tokens(f.decode_16.tokens),
      `× ${figure(f.decode_16.times_decode_1)}`,
      'decode, batch 1',
    ],
    ['capture resid_post of all blocks', `+${percent(f.capture_overhead)} time`, '', 'prefill'],
    ['load, warm', `${figure(f.load_seconds)} s`, '', ''],
    [
      'memory high-water',
      `${figure(memory.high_water / 1e9)} GB`,
      `× ${figure(memory.ratio)}`,
      'float32 weights + keys and values',
    ],
  ];
}

function trainingRows(f: TrainingFigures): string[][] {
  return [
    [
      `full training step ${TRAINING.rows} × ${TRAINING.tokens}`,
      `${tokens(f.full.tokens)}, ${gflops(f.full.flops)}`,
      percent(f.full.share),
      'products',
    ],
    ['LoRA training step', tokens(f.lora.tokens), `× ${figure(f.lora.times_full)}`, 'full step'],
    [
      'training memory high-water',
      `${figure(f.memory.high_water / 1e9)} GB`,
      `× ${figure(f.memory.high_water / f.memory.weights_f32)}`,
      'float32 weights',
    ],
  ];
}

const gflops = (rate: number): string => `${figure(rate / 1e9)} GFLOP/s`;
const gigabytes = (rate: number): string => `${figure(rate / 1e9)} GB/s`;
const tokens = (rate: number): string => `${figure(rate)} tokens/s`;
const percent = (share: number): string => `${figure(share * 100)} %`;
