/** @file `fleet FILE`: one source model, many targets; resumes by itself. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { CrosspatchError } from '../../base/index.ts';
import {
  bytesToFetch,
  defaultStore,
  dryRun,
  loadFleet,
  mergePlans,
  openStore,
  planFleet,
  runFleet,
  selectTargets,
} from '../../pipeline/index.ts';
import { fleetFailures } from '../../report/index.ts';
import { collect, declare, printJson, type RunCli } from '../cli.ts';
import { addRequire, checkRequired, sayRequired } from '../figures.ts';
import { describeTarget, fleetByName, fleetText, writeFleetReport } from '../fleet-files.ts';
import { printPlan } from '../planned.ts';
import { duration, progressRenderer } from '../progress.ts';
import { queueOf } from '../queue.ts';
import { addComputeOptions, storeOption } from '../run-options.ts';
import type { RunOptions } from './run.ts';

interface FleetOptions extends Omit<RunOptions, 'only'> {
  /** Names of targets. */
  readonly only?: readonly string[];
}

export function addFleet(program: Command, cli: RunCli): void {
  const command = declare(
    program,
    'fleet <file>',
    'Carry a fix from one source model to many targets: what they share is computed once. Go on where a former run stopped.',
    'fleet fleet --only medium',
  );
  addComputeOptions(addRequire(command))
    .option('--out <dir>', "the fleet's folder, with a run folder per target (default: runs/NAME)")
    .addOption(storeOption('fleet'))
    .option('--only <target>', 'run only this target; may be repeated', collect)
    .action((file: string, options: FleetOptions) => fleetFile(file, options, cli));
}

async function fleetFile(file: string, options: FleetOptions, cli: RunCli): Promise<void> {
  const fleet = await loadFleet(file, options);
  const out = options.out ?? join('runs', fleet.name);
  if (options.dryRun) {
    const expandOptions = { weights: false, signal: cli.signal };
    const { planned, unplanned } = await planFleet(
      selectTargets(fleet, options.only),
      cli.expand,
      expandOptions,
    );
    const { plan } = mergePlans(planned);
    const stages = await dryRun(plan, await openStore(options.store ?? defaultStore(out)));
    printPlan(cli, options, { stages, pull_bytes: bytesToFetch(plan) });
    refuseFailures(
      unplanned.map(({ name, error }) => ({ target: name, why: (error as Error).message })),
      fleet.targets.length,
    );
    return;
  }
  const progress = progressRenderer(cli, options.quiet === true);
  const started = performance.now();
  const { store, only, jobs = 2, threads } = options;
  const found = await runFleet({
    ...{ fleet, expand: cli.expand, out, store, only, jobs, threads },
    queue: queueOf(options),
    signal: cli.signal,
    onEvent: progress.onEvent,
    command: commandOf(file, options),
    describe: describeTarget,
  }).finally(() => progress.close());
  const report = await writeFleetReport(out, found);
  const seconds = (performance.now() - started) / 1000;
  const requirements = checkRequired(cli, options, fleetByName(found));
  if (options.json) printJson(cli, { out, seconds, report, requirements, fleet: found });
  else {
    cli.out(`\n${fleetText(out, found)}\nreport: ${report} (${duration(seconds)})\n`);
    sayRequired(cli, requirements);
  }
  const asked = found.targets.filter(({ name }) => only === undefined || only.includes(name));
  refuseFailures(fleetFailures({ targets: asked }), asked.length);
}

/** Exit code 1, with every target that has no fix. */
function refuseFailures(
  failures: readonly { readonly target: string; readonly why: string }[],
  all: number,
): void {
  if (failures.length === 0) return;
  const targets = new Set(failures.map(({ target }) => target)).size;
  const said = failures.map(({ target, why }) => `${target}: ${why}`).join('; ');
  throw new CrosspatchError(
    `fleet: ${targets} of ${all} target${all === 1 ? '' : 's'} without a fix: ${said}`,
    {
      id: 'target-failed',
    },
  );
}

/** What is typed to get the same fleet again, `--only` aside. */
function commandOf(file: string, { set = [], seed, limit }: FleetOptions): string[] {
  const given = Object.entries({ '--seed': seed, '--limit': limit });
  const options = given.flatMap(([flag, value]) => (value === undefined ? [] : [flag, String(value)]));
  return ['crosspatch', 'fleet', file, ...set.flatMap((s) => ['--set', s]), ...options];
}
