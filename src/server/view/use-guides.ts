/** @file How the fix of a run is put to use: the guides of its folder `use`, one per behaviour. */
import { readdir } from 'node:fs/promises';
import { readTextLimited } from '../../base/index.ts';
import type { UseGuide } from '../../contracts/index.ts';
import { LARGEST_GUIDE, parseUseGuide } from '../../pipeline/index.ts';
import type { RunsFolder } from './runs-folder.ts';

/** By name of the behaviour; none where the run has not come so far, or was made before there were guides. */
export async function useGuides(runs: RunsFolder, run: string): Promise<UseGuide[]> {
  await runs.run(run);
  const folder = await runs.find(run, 'use');
  if (folder === undefined) return [];
  const guides: UseGuide[] = [];
  for (const name of (await readdir(folder)).filter((entry) => !entry.startsWith('.')).sort()) {
    const file = await runs.find(run, 'use', name, 'use.json');
    if (file === undefined) continue;
    guides.push(parseUseGuide(await readTextLimited(file, LARGEST_GUIDE), `${run}/use/${name}/use.json`));
  }
  return guides;
}
