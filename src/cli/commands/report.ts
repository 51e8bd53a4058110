/** @file `report DIR`: the static HTML report and its figures. */
import type { Command } from 'commander';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { openInBrowser } from '../open.ts';
import { writeReport } from '../report-files.ts';

export function addReport(program: Command, cli: Cli): void {
  declare(
    program,
    'report <dir>',
    'Write report.html and figures/ of a run again.',
    'report runs/demo --open',
  )
    .option('--open', 'open it in the browser')
    .action(async (folder: string, options: CommonOptions & { open?: boolean }) => {
      const { path, figures, verdict } = await writeReport(folder);
      if (options.json) printJson(cli, { report: path, figures, verdict });
      else cli.out(`report: ${path} (${figures} files in figures/)\n`);
      if (options.open) openInBrowser(path);
    });
}
