/** @file `report DIR`: the static HTML report and its figures. */
import type { Command } from 'commander';
import { isFleetFolder, readFleet } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { writeFleetReport } from '../fleet-files.ts';
import { openInBrowser } from '../open.ts';
import { writeReport } from '../report-files.ts';

export function addReport(program: Command, cli: Cli): void {
  declare(
    program,
    'report <dir>',
    'Write report.html and figures/ of a run again, or the report of a fleet.',
    'report runs/demo --open',
  )
    .option('--open', 'open it in the browser')
    .action(async (folder: string, options: CommonOptions & { open?: boolean }) => {
      const path = (await isFleetFolder(folder))
        ? await ofFleet(folder, options, cli)
        : await ofRun(folder, options, cli);
      if (options.open) openInBrowser(path);
    });
}

async function ofRun(folder: string, options: CommonOptions, cli: Cli): Promise<string> {
  const { path, figures, verdict } = await writeReport(folder);
  if (options.json) printJson(cli, { report: path, figures, verdict });
  else cli.out(`report: ${path} (${figures} files in figures/)\n`);
  return path;
}

async function ofFleet(folder: string, options: CommonOptions, cli: Cli): Promise<string> {
  const path = await writeFleetReport(folder, await readFleet(folder));
  if (options.json) printJson(cli, { report: path });
  else cli.out(`report: ${path}\n`);
  return path;
}
