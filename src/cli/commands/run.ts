/** @file `run FILE`: an experiment; resumes by itself. */
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import {
  bytesToFetch,
  defaultStore,
  dryRun,
  gigabytes,
  loadRecipe,
  openStore,
  type PlannedStage,
  planExperiment,
  runExperiment,
} from '../../pipeline/index.ts';
import { verdictText } from '../../report/index.ts';
import {
  type Cli,
  type CommonOptions,
  collect,
  declare,
  printJson,
  type RunCli,
  wholeNumber,
} from '../cli.ts';
import { addRequire, checkRequired, type RequireOption, sayRequired } from '../figures.ts';
import { duration, progressRenderer } from '../progress.ts';
import { type QueueOptions, queueOf, queueOption, queuePasswordOption } from '../queue.ts';
import { writeReport } from '../report-files.ts';
import { byteSize, textTable } from '../table.ts';

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
  return addRequire(command)
    .option('--out <dir>', 'run folder (default: runs/NAME)')
    .option(
      '--store <place>',
      'where finished stages are kept: a folder, or s3://bucket/prefix (default: "store" beside the run folder)',
    )
    .option('--only <stage>', 'run only this stage and what it needs')
    .option('--set <key=value>', 'replace a value of the file; may be repeated', collect)
    .addOption(
      new Option('--limit <n>', 'at most this many prompts per figure').argParser(wholeNumber('--limit', 1)),
    )
    .addOption(
      new Option('-j, --jobs <n>', 'stages that run side by side').argParser(wholeNumber('-j', 1)).default(2),
    )
    .addOption(
      new Option(
        '--threads <n>',
        'threads per stage (default: the cores divided by -j); another number gives other last digits',
      ).argParser(wholeNumber('--threads', 1)),
    )
    .addOption(queueOption())
    .addOption(queuePasswordOption())
    .option('--dry-run', 'say what would be done, what is stored, and about how long the rest takes');
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

function printPlan(
  cli: Cli,
  options: RunOptions,
  { stages, pull_bytes }: { readonly stages: readonly PlannedStage[]; readonly pull_bytes: number },
): void {
  const todo = stages.filter((stage) => !stage.cached);
  const sum = (key: 'seconds' | 'tokens') => todo.reduce((a, stage) => a + (stage[key] ?? 0), 0);
  const unknown = todo.filter((stage) => stage.seconds === undefined).length;
  const memory_bytes = Math.max(0, ...todo.map((stage) => stage.memory_bytes ?? 0));
  const questions = todo.reduce((a, stage) => a + (stage.questions ?? 0), 0);
  const priced = todo.flatMap(({ cost }) => cost ?? []);
  const judged = {
    questions: questions || undefined,
    cost: priced.length === 0 ? undefined : priced.reduce((a, b) => a + b, 0),
  };
  const total = {
    stages: todo.length,
    seconds: sum('seconds'),
    seconds_unknown_for: unknown,
    ...judged,
    tokens: sum('tokens'),
    memory_bytes,
    pull_bytes,
  };
  if (options.json) {
    printJson(cli, { stages, total });
    return;
  }
  const cell = (value: number | undefined, text: (n: number) => string) =>
    value === undefined ? '' : text(value);
  const rows = stages.map((s) => [
    s.id,
    s.cached ? 'stored' : 'to do',
    cell(s.seconds, duration),
    cell(s.tokens, grouped),
    cell(s.memory_bytes, gigabytes),
  ]);
  cli.out(textTable([['stage', 'state', 'expected', 'tokens', 'memory'], ...rows]));
  const known = todo.length > unknown ? [`about ${duration(total.seconds)}`] : [];
  const doubt = unknown > 0 ? [`unknown for ${unknown} (nothing of the kind has run in this store)`] : [];
  const length = todo.length === 0 ? '' : `: ${[...known, ...doubt].join(', ')}`;
  const tokens = total.tokens > 0 ? `, ${grouped(total.tokens)} tokens at most` : '';
  const peak = memory_bytes > 0 ? `, up to ${gigabytes(memory_bytes)} per stage` : '';
  const paid = judged.cost === undefined ? '' : `, which cost about ${judged.cost.toPrecision(2)}`;
  const asked = questions > 0 ? `\nThe judge is asked ${grouped(questions)} questions at most${paid}.\n` : '';
  const pulled =
    pull_bytes > 0 ? `Before them ${byteSize(pull_bytes)} of weights are pulled from the hub.\n` : '';
  cli.out(`\n${todo.length} of ${stages.length} stages to do${length}${tokens}${peak}\n${pulled}${asked}`);
}

/** 1234567 → `1,234,567`. */
function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
