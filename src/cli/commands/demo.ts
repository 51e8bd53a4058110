/** @file `demo`: the whole experiment on the bundled models. */
import type { Command } from 'commander';
import { declare, type RunCli } from '../cli.ts';
import { addRunOptions, type RunOptions, runFile } from './run.ts';

export function addDemo(program: Command, cli: RunCli): void {
  addRunOptions(
    declare(
      program,
      'demo',
      'Run the whole experiment on the bundled models: two behaviours, or one and fewer prompts with --quick.',
      'demo --quick --out runs/first',
    ),
  )
    .option('--quick', 'one behaviour, fewer prompts, one to two minutes')
    .action((options: RunOptions & { quick?: boolean }) =>
      runFile(options.quick ? 'quick' : 'demo', options, cli),
    );
}
