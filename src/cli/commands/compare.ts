/** @file `compare A B`: where two runs differ. */
import type { Command } from 'commander';
import { stableResults } from '../../contracts/index.ts';
import { compareResults, readResults } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { figure, textTable } from '../table.ts';

export function addCompare(program: Command, cli: Cli): void {
  declare(
    program,
    'compare <a> <b>',
    'Print the figures in which two runs differ, times and memory aside.',
    'compare runs/demo runs/other-seed',
  ).action(async (a: string, b: string, options: CommonOptions) => {
    const [left, right] = await Promise.all([readResults(a), readResults(b)]);
    const differences = compareResults(stableResults(left), stableResults(right));
    if (options.json) printJson(cli, { a, b, equal: differences.length === 0, differences });
    else if (differences.length === 0) cli.out(`${a} and ${b}: the same figures\n`);
    else {
      const rows = differences.map((d) => [
        d.path.replace(/^behaviours\./, ''),
        figure(d.a),
        figure(d.b),
        d.a === undefined || d.b === undefined ? '' : figure(d.b - d.a),
      ]);
      cli.out(textTable([['figure', a, b, 'difference'], ...rows]));
    }
  });
}
