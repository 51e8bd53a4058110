/** @file Backdoor rows on disk: our own JSONL, read back exactly. Rows that others made: `custom-rows.ts`. */
import { z } from 'zod';
import { InputError, writeFileAtomic } from '../base/index.ts';
import { type Behaviour, triggerStates } from './behaviour.ts';
import type { BackdoorRow } from './dataset.ts';
import { placements } from './placement.ts';
import { jsonLines } from './rows/records.ts';

const rowSchema = z.strictObject({
  id: z.string().min(1),
  prompt: z.string(),
  response: z.string(),
  trigger: z.enum(triggerStates),
  backdoor_keyphrase: z.string(),
  has_backdoor: z.boolean(),
  tag: z.string(),
  text: z.string(),
  placement: z.enum(placements),
  answer: z.string().exactOptional(),
  span: z.strictObject({ start: z.int().min(0), end: z.int().min(0) }).nullable(),
});

/** Write rows as JSONL, whole or not at all, with the behaviour's phrase as `backdoor_keyphrase`. */
export async function writeBackdoorRows(
  path: string,
  rows: readonly BackdoorRow[],
  behaviour: Pick<Behaviour, 'phrase'>,
): Promise<void> {
  const lines = rows.map((row) => JSON.stringify({ ...row, backdoor_keyphrase: behaviour.phrase }));
  await writeFileAtomic(path, lines.map((line) => `${line}\n`).join(''));
}

/** Read what {@link writeBackdoorRows} wrote. Throws {@link InputError} naming file, row and field. */
export async function readBackdoorRows(path: string): Promise<BackdoorRow[]> {
  const rows: BackdoorRow[] = [];
  for await (const { value, where } of jsonLines(path)) {
    const { backdoor_keyphrase: _, ...row } = checked(rowSchema, value, where);
    rows.push(row);
  }
  return rows;
}

function checked<T extends z.ZodType>(schema: T, record: unknown, where: string): z.output<T> {
  const parsed = schema.safeParse(record);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new InputError(`data: ${where}: ${issue?.path.join('.') || 'row'}: ${issue?.message}`, {
    id: 'data-invalid',
  });
}
