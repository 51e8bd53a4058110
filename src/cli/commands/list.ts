/** @file `list [ROOT]`: the runs in a folder. */
import type { Command } from 'commander';
import { listRuns } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { textTable } from '../table.ts';

export function addList(program: Command, cli: Cli): void {
  declare(
    program,
    'list [root]',
    'List the runs in a folder (default: runs), newest first.',
    'list runs',
  ).action(async (root = 'runs', options: CommonOptions) => {
    const runs = await listRuns(root);
    if (options.json) printJson(cli, runs);
    else if (runs.length === 0) cli.out(`${root}: no runs; try crosspatch demo\n`);
    else {
      const rows = runs.map((run) => [run.folder, run.name, run.status, run.started_at.slice(0, 16)]);
      cli.out(textTable([['folder', 'name', 'status', 'started'], ...rows]));
    }
  });
}
