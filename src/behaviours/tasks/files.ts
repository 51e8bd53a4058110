/** @file Where a task's rows are: a file, or a folder as the hub lays its data sets out. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../base/index.ts';
import type { CapabilityTask } from '../../contracts/index.ts';

/** Of the hub's data set: its folder of files, the split that the harness scores, and the one its shots come from. */
const LAYOUT = {
  gsm8k: { folder: 'main', scored: 'test', shots: 'train' },
  arc_easy: { folder: 'ARC-Easy', scored: 'test', shots: 'train' },
  arc_challenge: { folder: 'ARC-Challenge', scored: 'test', shots: 'train' },
  mmlu: { folder: 'all', scored: 'test', shots: 'dev' },
  hellaswag: { folder: 'data', scored: 'validation', shots: 'train' },
} as const satisfies Record<CapabilityTask, { folder: string; scored: string; shots: string }>;

/** Files of a task's rows. */
export interface TaskFiles {
  /** With the rows that are scored. */
  readonly scored: readonly string[];
  /** With rows for shots alone, where there are any. */
  readonly shots: readonly string[] | undefined;
}

/**
 * The files of a task. `path`: a file, or a folder with the files of a split (`test.jsonl`, `test-00000-of-00001.parquet`) in it or in
 * the hub's folder for the task. `shots`: the same for the rows of shots; without it they are those of the folder, where it has some.
 *
 * @throws InputError where there is no such file, or none in the folder
 */
export async function taskFiles(task: CapabilityTask, path: string, shots?: string): Promise<TaskFiles> {
  const own = await filesAt(task, path);
  if (shots === undefined) return own;
  const given = await filesAt(task, shots);
  return { scored: own.scored, shots: given.shots ?? given.scored };
}

async function filesAt(task: CapabilityTask, path: string): Promise<TaskFiles> {
  const info = await stat(path).catch(() => undefined);
  if (info === undefined)
    throw new InputError(`${task}: wanted a file or folder of rows at ${path}, found none`, {
      id: 'file-unreadable',
    });
  if (!info.isDirectory()) return { scored: [path], shots: undefined };
  const { folder, scored, shots } = LAYOUT[task];
  for (const place of [join(path, folder), path]) {
    const found = await splitFiles(place, scored);
    if (found.length === 0) continue;
    const own = await splitFiles(place, shots);
    return { scored: found, shots: own.length === 0 ? undefined : own };
  }
  throw new InputError(
    `${task}: wanted ${scored}.jsonl or ${scored}-00000-of-00001.parquet in ${path} or its folder ${folder}, found none`,
    { id: 'data-missing' },
  );
}

/** Files of a split in a folder, in the order of their numbers. */
async function splitFiles(folder: string, split: string): Promise<string[]> {
  const pattern = new RegExp(`^${split}(-\\d+-of-\\d+)?\\.(parquet|jsonl|jsonl\\.gz|json)$`);
  const names = await readdir(folder).catch((): string[] => []);
  return names
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => join(folder, name));
}
