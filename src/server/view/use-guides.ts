/** @file How the fix of a run is put to use: the guides of its folder `use`, one per behaviour. */
import { readdir } from 'node:fs/promises';
import { InputError, parseJson, readTextLimited } from '../../base/index.ts';
import { type UseGuide, useGuideSchema } from '../../contracts/index.ts';
import type { RunsFolder } from './runs-folder.ts';

const LARGEST = 1 << 20;

/** By name of the behaviour; none where the run has not come so far, or was made before there were guides. */
export async function useGuides(runs: RunsFolder, run: string): Promise<UseGuide[]> {
  await runs.run(run);
  const folder = await runs.find(run, 'use');
  if (folder === undefined) return [];
  const guides: UseGuide[] = [];
  for (const name of (await readdir(folder)).filter((entry) => !entry.startsWith('.')).sort()) {
    const file = await runs.find(run, 'use', name, 'use.json');
    if (file === undefined) continue;
    const where = `${run}/use/${name}/use.json`;
    const parsed = useGuideSchema.safeParse(parseJson(await readTextLimited(file, LARGEST), where));
    if (!parsed.success)
      throw new InputError(
        `${where}: does not fit (${parsed.error.issues[0]?.message}); run the experiment again`,
        {
          id: 'run-damaged',
        },
      );
    guides.push(parsed.data);
  }
  return guides;
}
