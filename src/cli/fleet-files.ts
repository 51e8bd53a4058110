/** @file Writes the report of a fleet, and says what a fleet says of a target whose run is complete. */
import { join } from 'node:path';
import { refuseForeignFile, shellWord, writeFileAtomic } from '../base/index.ts';
import type { Fleet, FleetBehaviour } from '../contracts/index.ts';
import { readResults, readUseGuides } from '../pipeline/index.ts';
import { fleetBehaviours, fleetMatrices, fleetSentences, renderFleet } from '../report/index.ts';
import { writeReport } from './report-files.ts';
import { textTable } from './table.ts';

/** Write the report of a target's run, and describe it. */
export async function describeTarget(folder: string): Promise<readonly FleetBehaviour[]> {
  await writeReport(folder);
  return fleetBehaviours(await readResults(folder), await readUseGuides(folder));
}

/** Write `report.html` of a fleet. Returns its path. */
export async function writeFleetReport(folder: string, fleet: Fleet): Promise<string> {
  const path = join(folder, 'report.html');
  await refuseForeignFile(path, (text) => text.includes('crosspatch'));
  await writeFileAtomic(path, renderFleet(fleet));
  return path;
}

/** The matrix of every behaviour, what it says in words, and how each target is served. */
export function fleetText(folder: string, fleet: Fleet): string {
  const matrices = fleetMatrices(fleet).map(({ behaviour, columns, rows }) => {
    const ns = new Set(rows.flatMap(({ cells }) => cells.flatMap((cell) => cell?.n ?? [])));
    const head = ['target', 'verdict', ...columns.map(({ title }) => title)];
    const body = rows.map(({ target, word, status, cells }) => [
      target,
      word ?? status,
      ...cells.map((cell) =>
        cell ? `${cell.value} ${cell.interval}${ns.size > 1 ? ` n ${cell.n}` : ''}` : '–',
      ),
    ]);
    return `${behaviour}${ns.size === 1 ? `, n = ${[...ns]}` : ''} (95 % intervals; margin and differences in points)\n\n${textTable([head, ...body])}\n`;
  });
  const served = fleet.targets.flatMap(({ name, behaviours }) =>
    behaviours.flatMap(({ use }) => (use ? [`  cd ${shellWord(join(folder, name))} && ${use.serve}\n`] : [])),
  );
  const said = fleetSentences(fleet).map((sentence) => `  - ${sentence}\n`);
  return `${matrices.join('')}${said.join('')}${served.length > 0 ? `\nServe a target with the fix on:\n${served.join('')}` : ''}`;
}

/** Figures by `TARGET.BEHAVIOUR.margin`, for thresholds. */
export function fleetByName({ targets }: Fleet): object {
  return Object.fromEntries(
    targets.map(({ name, behaviours }) => [
      name,
      Object.fromEntries(behaviours.map((one) => [one.behaviour, one])),
    ]),
  );
}
