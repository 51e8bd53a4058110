/** @file `demo`: the experiment on the bundled models, first small and soon, then in full. */
import { type Command, Option } from 'commander';
import { declare, type RunCli } from '../cli.ts';
import { addRunOptions, type RunOptions, runFile } from './run.ts';

interface DemoOptions extends RunOptions {
  readonly full?: boolean;
}

export function addDemo(program: Command, cli: RunCli): void {
  addRunOptions(
    declare(
      program,
      'demo',
      'Run the experiment on the bundled models: one behaviour and a first verdict, or everything with --full.',
      'demo --out runs/first',
    ),
  )
    .option('--full', 'both behaviours, 200 prompts per figure, every control; about 8 minutes on 2 cores')
    .addOption(new Option('--quick', 'the default').conflicts('full').hideHelp())
    .action(async (options: DemoOptions) => {
      await runFile(options.full ? 'demo' : 'quick', options, cli);
      if (!options.full && !options.json && !options.dryRun && !options.quiet)
        cli.out(`next: ${again()} (both behaviours, 200 prompts per figure, every control)\n`);
    });
}

/** How the user called this, with `--full`. */
function again(): string {
  const script = process.env.npm_lifecycle_event;
  if (script === 'demo') return 'npm run demo -- --full';
  return `${script === 'npx' ? 'npx ' : ''}crosspatch demo --full`;
}
