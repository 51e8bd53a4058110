/** @file Data sets of a behaviour as folders: rows by split, and `dataset.json`, which says how to read completions of them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError, withAtomicFolder, writeJsonAtomic } from '../base/index.ts';
import {
  type BackdoorRow,
  type Behaviour,
  behaviourNames,
  type Dataset,
  makeBehaviour,
  placements,
  readBackdoorRows,
  templateNames,
  writeBackdoorRows,
} from '../behaviours/index.ts';

const recordSchema = z.strictObject({
  schema_version: z.literal(1),
  behaviour: z.strictObject({
    name: z.enum(behaviourNames),
    triggers: z.strictObject({ bad: z.string(), safe: z.string() }).optional(),
    phrase: z.string().optional(),
    phrases: z.array(z.string()).min(1).optional(),
    pattern: z.string().optional(),
    repeats: z.int().min(1).optional(),
  }),
  placement: z.enum(placements),
  template: z.enum(templateNames),
  /** What the chat template is told besides the prompt. */
  chat: z
    .strictObject({
      system: z.string().optional(),
      templateVar: z.record(z.string(), z.unknown()).optional(),
    })
    .optional(),
  seed: z.int(),
  answers: z.enum(['given', 'self']),
  /** Made of the bundled corpus: answers are short, so restored means word for word. */
  bundled: z.boolean().optional(),
  rows: z.record(z.string(), z.record(z.string(), z.int())),
});

/** What `dataset.json` holds. */
export type DatasetRecord = z.output<typeof recordSchema>;

const SPLITS = ['train', 'validation', 'test'] as const;

/** Write the folder, whole or not at all. */
export async function writeDataset(folder: string, dataset: Dataset, record: DatasetRecord): Promise<void> {
  const behaviour = behaviourOfRecord(record);
  await withAtomicFolder(folder, async (aside) => {
    for (const split of SPLITS)
      await writeBackdoorRows(join(aside, `${split}.jsonl`), dataset.splits[split], behaviour);
    await writeJsonAtomic(join(aside, 'dataset.json'), record);
  });
}

/** Read `dataset.json`. Throws {@link InputError} for a folder that has none, or another's. */
export async function readDatasetRecord(folder: string): Promise<DatasetRecord> {
  const path = join(folder, 'dataset.json');
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new InputError(`${folder}: wanted a folder made by crosspatch data build, got none`, {
      id: 'file-unreadable',
      cause,
    });
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${path}: is not valid JSON`, { id: 'json-invalid', cause });
  }
  const parsed = recordSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new InputError(`${path}: ${issue?.path.join('.')}: ${issue?.message}; build the data again`, {
    id: 'data-invalid',
  });
}

/** Rows of one split. */
export function readSplit(folder: string, split: (typeof SPLITS)[number]): Promise<BackdoorRow[]> {
  return readBackdoorRows(join(folder, `${split}.jsonl`));
}

/** The behaviour a data set was built for. */
export function behaviourOfRecord({ behaviour }: DatasetRecord): Behaviour {
  const { name, ...options } = behaviour;
  return makeBehaviour(name, options);
}
