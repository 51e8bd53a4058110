/** @file `run FILE`: an experiment; resumes by itself. */
import { join } from 'node:path';
import type { Command } from 'commander';
import {
  bytesToFetch,
  defaultStore,
  dryRun,
  loadRecipe,
  openStore,
  planExperiment,
  runExperiment,
} from '../../pipeline/index.ts';
import { verdictText } from '../../report/index.ts';
import { type CommonOptions, declare, printJson, type RunCli } from '../cli.ts';
import { addRequire, checkRequired, type RequireOption, sayRequired } from '../figures.ts';
import { printPlan } from '../planned.ts';
import { duration, progressRenderer } from '../progress.ts';
import { type QueueOptions, queueOf } from '../queue.ts';
import { writeReport } from '../report-files.ts';
import { addComputeOptions, storeOption } from '../run-options.ts';

export interface RunOptions extends CommonOptions, RequireOption, QueueOptions {
  readonly out?: string;
  readonly store?: string;
  readonly only?: string;
  readonly set?: readonly string[];
  readonly limit?: number;
  readonly jobs?: number;
  readonly threads?: number;
  readonly dryRun?: boolean;
}

export function addRun(program: Command, cli: RunCli): void {
  addRunOptions(
    declare(
      program,
      'run <file>',
      'Run an experiment file (or a bundled one by name); go on where a former run stopped.',
      'init my.yaml',
      'run my.yaml --set behaviours=locked --limit 60 -j 2',
    ),
  ).action((file: string, options: RunOptions) => runFile(file, options, cli));
}

/** The options `run` and `demo` share. */
export function addRunOptions(command: Command): Command {
  return addComputeOptions(
    addRequire(command)
      .option('--out <dir>', 'run folder (default: runs/NAME)')
      .addOption(storeOption('run'))
      .option('--only <stage>', 'run only this stage and what it needs'),
  );
}

/** Run an experiment file as the command line says. */
export async function runFile(file: string, options: RunOptions, cli: RunCli): Promise<void> {
  const parsed = await loadRecipe(file, options);
  const out = options.out ?? join('runs', parsed.recipe.name);
  if (options.dryRun) {
    const { plan } = await planExperiment(parsed.recipe, cli.expand, { weights: false, signal: cli.signal });
    const stages = await dryRun(plan, await openStore(options.store ?? defaultStore(out)), options.only);
    printPlan(cli, options, { stages, pull_bytes: bytesToFetch(plan, options.only) });
    return;
  }
  const progress = progressRenderer(cli, options.quiet === true);
  const started = performance.now();
  const summary = await runExperiment({
    parsed,
    expand: cli.expand,
    out,
    jobs: options.jobs ?? 2,
    threads: options.threads,
    queue: queueOf(options),
    signal: cli.signal,
    onEvent: progress.onEvent,
    command: commandOf(file, options),
    store: options.store,
    only: options.only,
  }).finally(() => progress.close());
  const seconds = (performance.now() - started) / 1000;
  const report = summary.results ? await writeReport(out) : undefined;
  const requirements = checkRequired(cli, options, summary.results);
  if (options.json) {
    printJson(cli, {
      out,
      status: summary.manifest.status,
      seconds,
      report: report?.path,
      requirements,
      results: summary.results,
    });
    return;
  }
  if (report) cli.out(`\n${verdictText(report.verdict)}\n`);
  cli.out(`\n${report ? `report: ${report.path}` : `run folder: ${out}`} (${duration(seconds)})\n`);
  sayRequired(cli, requirements);
}

/** What is typed to get the same experiment again. */
function commandOf(file: string, { set = [], seed, limit, only }: RunOptions): string[] {
  const given = Object.entries({ '--seed': seed, '--limit': limit, '--only': only });
  const options = given.flatMap(([flag, value]) => (value === undefined ? [] : [flag, String(value)]));
  return ['crosspatch', 'run', file, ...set.flatMap((s) => ['--set', s]), ...options];
}
