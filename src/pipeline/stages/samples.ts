/** @file Sample rows of a stage: one JSON object a line, checked by the report's contract when it is read. */
import { join } from 'node:path';
import { writeFileAtomic } from '../../base/index.ts';
import type { Sample } from '../../contracts/index.ts';

/** Name of the file in a stage's folder. */
export const SAMPLES = 'samples.jsonl';

/** Write the rows into a stage's folder. */
export async function writeSamples(folder: string, samples: readonly Sample[]): Promise<void> {
  await writeFileAtomic(join(folder, SAMPLES), samples.map((s) => `${JSON.stringify(s)}\n`).join(''));
}
