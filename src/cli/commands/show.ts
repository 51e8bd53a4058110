/** @file `show DIR [FILTER]`: the figures of a run, and thresholds on them. */
import type { Command } from 'commander';
import { checkRequirement, type FlatFigure, flattenResults, readResults } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, collect, declare, printJson } from '../cli.ts';
import { figure, textTable } from '../table.ts';

export function addShow(program: Command, cli: Cli): void {
  declare(
    program,
    'show <dir> [filter]',
    'Print the figures of a run whose path contains the filter.',
    "show runs/demo transfer.affine --require 'locked.transfer.affine.with_tags.margin>=0.5'",
  )
    .option('--require <key>=x>', 'exit with 100 when a figure is below; may be repeated', collect)
    .action(
      async (folder: string, filter: string | undefined, options: CommonOptions & { require?: string[] }) => {
        const results = await readResults(folder);
        const figures = flattenResults(results)
          .map((f) => ({ ...f, path: f.path.replace(/^behaviours\./, '') }))
          .filter((f) => filter === undefined || f.path.includes(filter));
        const requirements = (options.require ?? []).map((text) => checkRequirement(results, text));
        if (requirements.some((r) => !r.met)) cli.exitCode = 100;
        if (options.json) printJson(cli, { figures, requirements });
        else cli.out(textTable([['figure', 'value', 'n', '95 % interval'], ...figures.map(row)]));
        for (const { text, value, met } of requirements)
          cli.err(`${met ? 'met' : 'NOT MET'}: ${text} (it is ${value})\n`);
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
