/** @file `show DIR [FILTER]`: the figures of a run, and thresholds on them. */
import type { Command } from 'commander';
import { type FlatFigure, flattenResults, readResults } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { addRequire, checkRequired, type RequireOption, sayRequired } from '../figures.ts';
import { figure, textTable } from '../table.ts';

export function addShow(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'show <dir> [filter]',
    'Print the figures of a run whose path contains the filter.',
    "show runs/demo transfer.affine --require 'locked.transfer.affine.with_tags.margin>=0.5'",
  );
  addRequire(command).action(
    async (folder: string, filter: string | undefined, options: CommonOptions & RequireOption) => {
      const results = await readResults(folder);
      const figures = flattenResults(results)
        .map((f) => ({ ...f, path: f.path.replace(/^behaviours\./, '') }))
        .filter((f) => filter === undefined || f.path.includes(filter));
      const requirements = checkRequired(cli, options, results);
      if (options.json) printJson(cli, { figures, requirements });
      else cli.out(textTable([['figure', 'value', 'n', '95 % interval'], ...figures.map(row)]));
      sayRequired(cli, requirements);
    },
  );
}

function row({ path, value, n, ci95 }: FlatFigure): string[] {
  return [
    path,
    figure(value),
    n === undefined ? '' : String(n),
    ci95 ? `[${figure(ci95[0])}, ${figure(ci95[1])}]` : '',
  ];
}
