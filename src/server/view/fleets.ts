/** @file Fleets of the runs folder: the list, and one with its matrix in cells and its sentences. */
import { errorLine } from '../../base/index.ts';
import type { Fleet } from '../../contracts/index.ts';
import { FLEET, readFleet } from '../../pipeline/index.ts';
import { type FleetMatrix, fleetMatrices, fleetSentences } from '../../report/index.ts';
import { Refused } from './refused.ts';
import { fleetRunId, type RunsFolder } from './runs-folder.ts';

/** One fleet in the list. */
export type FleetSummary =
  | {
      readonly id: string;
      readonly name: string;
      readonly source: string;
      readonly status: Fleet['status'];
      readonly started_at: string;
      readonly finished_at?: string | undefined;
      readonly targets: readonly {
        readonly name: string;
        readonly status: string;
        readonly words: readonly string[];
      }[];
    }
  | { readonly id: string; readonly problem: string };

/** One fleet. */
export interface FleetDetail {
  readonly id: string;
  readonly fleet: Fleet;
  readonly matrices: readonly FleetMatrix[];
  readonly sentences: readonly string[];
  /** Run by target, where there is one. */
  readonly runs: Readonly<Record<string, string>>;
  readonly hasReport: boolean;
}

/** Newest first; one that cannot be read is an entry that says so. */
export async function listFleets(runs: RunsFolder): Promise<FleetSummary[]> {
  const found = await Promise.all((await runs.fleetNames()).map((id) => summary(runs, id)));
  const started = (fleet: FleetSummary) => ('problem' in fleet ? '' : fleet.started_at);
  return found.sort((a, b) => (started(a) < started(b) ? 1 : -1));
}

async function summary(runs: RunsFolder, id: string): Promise<FleetSummary> {
  try {
    const { name, source, status, started_at, finished_at, targets } = await readFleet(await runs.path(id));
    return {
      ...{ id, name, source, status, started_at, finished_at },
      targets: targets.map((target) => ({
        name: target.name,
        status: target.status,
        words: target.behaviours.map(({ word }) => word),
      })),
    };
  } catch (error) {
    return { id, problem: errorLine(error).replaceAll(`${runs.root}/`, '') };
  }
}

export async function fleetDetail(runs: RunsFolder, id: string): Promise<FleetDetail> {
  if (!(await runs.find(id, FLEET))) throw new Refused(404, `fleet ${id}: not found (${FLEET} is missing)`);
  const fleet = await readFleet(await runs.path(id));
  const entries = await Promise.all(
    fleet.targets.map(async ({ name }) => {
      const run = fleetRunId(id, name);
      return (await runs.find(run, 'manifest.json')) === undefined ? [] : [[name, run] as const];
    }),
  );
  return {
    ...{ id, fleet, matrices: fleetMatrices(fleet), sentences: fleetSentences(fleet) },
    runs: Object.fromEntries(entries.flat()),
    hasReport: (await runs.find(id, 'report.html')) !== undefined,
  };
}
