/** @file `show DIR [FILTER]`: the verdict and the arms of a run on one screen, its figures by path, and thresholds on them. */
import type { Command } from 'commander';
import { InputError } from '../../base/index.ts';
import { type BehaviourResults, nearest, type Results } from '../../contracts/index.ts';
import { percent } from '../../figures/index.ts';
import {
  type FlatFigure,
  flattenResults,
  isFleetFolder,
  readFleet,
  readResults,
} from '../../pipeline/index.ts';
import { type ArmRow, armRows, claim, interval, pointsWithInterval, verdictOf } from '../../report/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { addRequire, checkRequired, type RequireOption, sayRequired } from '../figures.ts';
import { fleetByName, fleetText } from '../fleet-files.ts';
import { figure, textTable } from '../table.ts';

type ShowOptions = CommonOptions & RequireOption & { readonly all?: boolean };

export function addShow(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'show <dir> [filter]',
    'Print the verdict of a run, its arms and their cost; with a filter, the figures whose path contains it.',
    "show runs/demo transfer.affine --require 'locked.transfer.affine.with_tags.margin>=0.5'",
  ).option('--all', 'every figure by its path, instead of the verdict');
  addRequire(command).action(async (folder: string, filter: string | undefined, options: ShowOptions) => {
    if (await isFleetFolder(folder)) return showFleet(folder, filter, options, cli);
    const results = await readResults(folder);
    const figures = figuresOf(folder, results, filter);
    const requirements = checkRequired(cli, options, results);
    if (options.json) printJson(cli, { verdict: results.behaviours.map(verdictOf), figures, requirements });
    else if (filter === undefined && !options.all) cli.out(summary(folder, results));
    else cli.out(textTable([['figure', 'value', 'n', '95 % interval'], ...figures.map(row)]));
    sayRequired(cli, requirements);
  });
}

/** The matrix of a fleet; its figures are those of its targets' runs. */
async function showFleet(
  folder: string,
  filter: string | undefined,
  options: ShowOptions,
  cli: Cli,
): Promise<void> {
  const fleet = await readFleet(folder);
  const target = fleet.targets[0]?.name ?? 'TARGET';
  if (filter !== undefined || options.all)
    throw new InputError(
      `${folder}: is a fleet; figures by path are in its runs: show ${folder}/${target} --all`,
      {
        id: 'option-conflict',
      },
    );
  const requirements = checkRequired(cli, options, fleetByName(fleet));
  if (options.json) printJson(cli, { fleet, requirements });
  else cli.out(fleetText(folder, fleet));
  sayRequired(cli, requirements);
}

/** Figures whose path contains the filter. A filter that matches nothing is an {@link InputError}. */
function figuresOf(folder: string, results: Results, filter = ''): FlatFigure[] {
  const figures = flattenResults(results).map((f) => ({ ...f, path: f.path.replace(/^behaviours\./, '') }));
  const found = figures.filter((f) => f.path.includes(filter));
  if (found.length > 0 || filter === '') return found;
  const words = [...new Set(figures.flatMap((f) => f.path.split('.')))];
  const near = nearest(filter, words) ?? nearest(filter.split('.').at(-1) ?? '', words);
  throw new InputError(
    `${folder}: no figure's path contains "${filter}"; ${near ? `did you mean "${near}"? ` : ''}"show ${folder} --all" lists every path`,
    { id: 'figure-unknown' },
  );
}

/** Per behaviour the claim, the arms, and what the table does not say. */
function summary(folder: string, { behaviours }: Results): string {
  const parts = behaviours.map((behaviour) => {
    const verdict = verdictOf(behaviour);
    const rows = armRows(behaviour);
    const rest = verdict.points.filter(({ about }) => about !== 'arms').map(({ text }) => `${text}\n`);
    return `${claim(verdict)}\n\n${rows.length > 0 ? `${armsTable(rows, behaviour)}\n` : ''}${rest.join('')}`;
  });
  if (parts.length === 0) parts.push('Nothing was evaluated.\n');
  return `${parts.join('\n')}\nFigures by path: crosspatch show ${folder} --all, or a filter such as transfer.affine\n`;
}

function armsTable(rows: readonly ArmRow[], { pair }: BehaviourResults): string {
  return textTable([
    [`restoration (${pair.behaviour})`, 'share', '95 %', 'map minus it'],
    ...rows.map(({ label, restoration, difference }) => [
      label,
      percent(restoration.value),
      interval(restoration),
      difference ? pointsWithInterval(difference) : '',
    ]),
  ]);
}

function row({ path, value, n, ci95 }: FlatFigure): string[] {
  return [
    path,
    figure(value),
    n === undefined ? '' : String(n),
    ci95 ? `[${figure(ci95[0])}, ${figure(ci95[1])}]` : '',
  ];
}
