/** @file Writes `report.html` and `figures/` of a run folder from its records. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InputError, refuseForeignFile, withAtomicFolder, writeFileAtomic } from '../base/index.ts';
import { type Sample, sampleSchema } from '../contracts/index.ts';
import { checkPublished, readManifest, readResults } from '../pipeline/index.ts';
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
    readSamples(join(folder, 'samples')),
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

async function readSamples(folder: string): Promise<Sample[]> {
  const names = await readdir(folder).catch(() => [] as string[]);
  const samples: Sample[] = [];
  for (const name of names.filter((n) => n.endsWith('.jsonl')).sort()) {
    await checkPublished(dirname(folder), `samples/${name}`);
    const lines = (await readFile(join(folder, name), 'utf8')).split('\n');
    for (const [i, line] of lines.entries()) {
      if (line === '') continue;
      try {
        samples.push(sampleSchema.parse(JSON.parse(line)));
      } catch (cause) {
        throw new InputError(`${join(folder, name)}:${i + 1}: no sample`, { id: 'run-damaged', cause });
      }
    }
  }
  return samples;
}
