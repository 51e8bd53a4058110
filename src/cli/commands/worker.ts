/** @file `worker --queue URL --store DIR`: computes stages that `run --queue` submits on other machines, until Ctrl-C. */
import { availableParallelism, hostname } from 'node:os';
import { type Command, Option } from 'commander';
import { modelProvider } from '../../engine/index.ts';
import { availableMemory, gigabytes, openStore, runWorker } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, decimal, declare, printJson, wholeNumber } from '../cli.ts';
import { progressRenderer } from '../progress.ts';
import { type QueueOptions, queueOf, queueOption, queuePasswordOption } from '../queue.ts';

interface WorkerCommand extends CommonOptions, QueueOptions {
  readonly queue: string;
  readonly store: string;
  readonly memory?: number;
  readonly jobs: number;
  readonly lock: number;
  readonly drain: number;
}

export function addWorker(program: Command, cli: Cli): void {
  declare(
    program,
    'worker',
    'Compute stages of experiments that `run --queue` submits, into the store that all machines share; until Ctrl-C.',
    'worker --queue redis://10.0.0.5:6379 --store /shared/store',
  )
    .addOption(queueOption().makeOptionMandatory())
    .addOption(queuePasswordOption())
    .requiredOption(
      '--store <place>',
      'what the submitter has as its --store: a folder, or s3://bucket/prefix',
    )
    .addOption(
      new Option(
        '--memory <gb>',
        'what its stages may hold together; one that asks for more is left to another worker (default: all of the machine)',
      ).argParser(decimal('--memory', 0)),
    )
    .addOption(new Option('-j, --jobs <n>', 'stages side by side').argParser(wholeNumber('-j', 1)).default(1))
    .addOption(
      new Option('--lock <s>', 'seconds after which the stages of a worker that is gone are given to another')
        .argParser(wholeNumber('--lock', 2))
        .default(30),
    )
    .addOption(
      new Option(
        '--drain <s>',
        'seconds that a stage under way has left when the worker is told to stop; then it is handed back',
      )
        .argParser(wholeNumber('--drain', 0))
        .default(20),
    )
    .action((options: WorkerCommand) => work(options, cli));
}

async function work(options: WorkerCommand, cli: Cli): Promise<void> {
  const address = queueOf(options);
  if (address === undefined) return;
  const memory_bytes = options.memory === undefined ? availableMemory() : options.memory * 1e9;
  const cores = availableParallelism();
  const progress = progressRenderer(cli, options.quiet === true);
  const store = await openStore(options.store);
  await runWorker({
    address,
    store,
    capacity: {
      host: hostname(),
      pid: process.pid,
      provider: modelProvider(),
      memory_bytes,
      cores,
      jobs: options.jobs,
    },
    lockSeconds: options.lock,
    drainSeconds: options.drain,
    signal: cli.signal,
    onEvent: progress.onEvent,
    onMessage: (line) => cli.err(`${line}\n`),
    onReady: (worker) => {
      if (options.json)
        printJson(cli, { worker, memory_bytes, cores, jobs: options.jobs, store: store.shown });
      else if (!options.quiet)
        cli.err(
          `${worker}: ${gigabytes(memory_bytes)}, ${cores} cores, ${options.jobs} at a time; takes stages from ${address.shown} for ${store.shown}. Ctrl-C stops.\n`,
        );
    },
  }).finally(() => progress.close());
}
