/** @file Reading the rows of `samples/*.jsonl` of a run folder. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, textLines } from '../base/index.ts';
import { type Sample, sampleSchema } from '../contracts/index.ts';
import { checkPublished } from './ledger.ts';

/** Every sample of a run, in the order of its files; none where it has none yet. Throws {@link InputError} for a row that is not a sample. */
export async function readSamples(folder: string): Promise<Sample[]> {
  const names = await readdir(join(folder, 'samples')).catch(() => [] as string[]);
  const samples: Sample[] = [];
  for (const name of names.filter((n) => n.endsWith('.jsonl')).sort()) {
    await checkPublished(folder, `samples/${name}`);
    const path = join(folder, 'samples', name);
    for await (const { text, number } of textLines(path))
      if (text !== '') samples.push(sampleOf(text, `${path}:${number}`));
  }
  return samples;
}

function sampleOf(line: string, where: string): Sample {
  try {
    return sampleSchema.parse(JSON.parse(line));
  } catch (cause) {
    throw new InputError(`${where}: no sample`, { id: 'run-damaged', cause });
  }
}
