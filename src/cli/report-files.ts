/** @file Writes `report.html` and `figures/` of a run folder from its records. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { refuseForeignFile, withAtomicFolder, writeFileAtomic } from '../base/index.ts';
import { readManifest, readResults, readSamples } from '../pipeline/index.ts';
import { figureFiles, renderReport, type Verdict, verdicts } from '../report/index.ts';

export interface WrittenReport {
  readonly path: string;
  readonly figures: number;
  /** One per behaviour. */
  readonly verdict: readonly Verdict[];
}

/** Draw the report of a run folder that has results. Throws {@link InputError} when it has none. */
export async function writeReport(folder: string): Promise<WrittenReport> {
  const [manifest, results, samples] = await Promise.all([
    readManifest(folder),
    readResults(folder),
    readSamples(folder),
  ]);
  const path = join(folder, 'report.html');
  await refuseForeignFile(path, (text) => text.includes('crosspatch'));
  await writeFileAtomic(path, renderReport({ results, manifest, samples }));
  const figures = figureFiles(results, samples);
  const fill = async (aside: string) => {
    for (const [name, content] of figures) await writeFileAtomic(join(aside, name), content);
  };
  const into = join(folder, 'figures');
  await withAtomicFolder(into, fill, { cache: await isOlder(into) });
  return { path, figures: figures.size, verdict: verdicts(results) };
}

/** Written before folders were sealed: nothing but figures, in a run folder. */
async function isOlder(figures: string): Promise<boolean> {
  const names = await readdir(figures).catch(() => [] as string[]);
  return names.length > 0 && names.every((name) => /\.(svg|csv)$/.test(name));
}
