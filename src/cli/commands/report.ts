/** @file `report DIR`: the static HTML report and its figures. */
import { spawn } from 'node:child_process';
import { platform } from 'node:os';
import type { Command } from 'commander';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { writeReport } from '../report-files.ts';

export function addReport(program: Command, cli: Cli): void {
  declare(program, 'report <dir>', 'Write report.html and figures/ of a run anew.', 'report runs/demo --open')
    .option('--open', 'open it in the browser')
    .action(async (folder: string, options: CommonOptions & { open?: boolean }) => {
      const { path, figures, verdict } = await writeReport(folder);
      if (options.json) printJson(cli, { report: path, figures, verdict });
      else cli.out(`report: ${path} (${figures} files in figures/)\n`);
      if (options.open) open(path);
    });
}

const OPENERS: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
  darwin: ['open'],
  win32: ['cmd', '/c', 'start', ''],
};

function open(path: string): void {
  const [command, ...args] = OPENERS[platform()] ?? ['xdg-open'];
  spawn(command, [...args, path], { stdio: 'ignore', detached: true })
    .on('error', () => {})
    .unref();
}
