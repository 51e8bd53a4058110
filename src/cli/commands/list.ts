/** @file `list [ROOT]`: the runs in a folder, those of fleets among them, each with its verdict and headline figure, or why it failed. */
import type { Command } from 'commander';
import { errorLine } from '../../base/index.ts';
import { listRunsAndTargets, type RunListing, readResults } from '../../pipeline/index.ts';
import { pointsWithInterval, type Verdict, verdicts } from '../../report/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { textTable } from '../table.ts';

export function addList(program: Command, cli: Cli): void {
  declare(
    program,
    'list [root]',
    'List the runs in a folder (default: runs) and in the fleets there, newest first, with their verdicts.',
    'list runs',
  ).action(async (root = 'runs', options: CommonOptions) => {
    const runs: Listed[] = [];
    for (const run of await listRunsAndTargets(root)) runs.push(await withVerdict(run));
    if (options.json) printJson(cli, runs);
    else if (runs.length === 0) cli.out(`${root}: no runs; try crosspatch demo\n`);
    else cli.out(textTable([HEAD, ...runs.flatMap(rows)]));
  });
}

interface Listed extends RunListing {
  readonly verdict: readonly Verdict[];
}

async function withVerdict(run: RunListing): Promise<Listed> {
  if (run.status !== 'done') return { ...run, verdict: [] };
  try {
    return { ...run, verdict: verdicts(await readResults(run.folder)) };
  } catch (error) {
    return { ...run, error: errorLine(error), verdict: [] };
  }
}

const HEAD = ['folder', 'name', 'status', 'started', 'behaviour', 'verdict', 'margin over noise'] as const;
/** Characters of a reason that a row holds. */
const REASON = 80;

/** One row per behaviour; the run is named in the first. */
function rows({ folder, name, status, started_at, error, verdict }: Listed): string[][] {
  const head = [folder, name, status, started_at.slice(0, 16)];
  if (error !== undefined)
    return [[...head, '', error.length > REASON ? `${error.slice(0, REASON)}…` : error]];
  if (verdict.length === 0) return [head];
  return verdict.map(({ behaviour, word, margin }, i) => [
    ...(i === 0 ? head : head.map(() => '')),
    behaviour,
    word,
    margin ? pointsWithInterval(margin) : '',
  ]);
}
