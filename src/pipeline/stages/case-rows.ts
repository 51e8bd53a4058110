/** @file What parts of a stage leave for the stage that joins them: one JSON object a line, the prompt of each by its place among the subject's. */
import { readFile } from 'node:fs/promises';
import { writeFileAtomic } from '../../base/index.ts';
import type { Subject } from '../../evaluate/index.ts';

type Cases = Subject['cases'];

/** Write rows; each `case` is one of `cases`. */
export async function writeCaseRows(
  file: string,
  rows: readonly { readonly case: object }[],
  cases: Cases,
): Promise<void> {
  const places = new Map<object, number>(cases.map((c, i) => [c, i]));
  const lines = rows.map((row) => `${JSON.stringify({ ...row, case: places.get(row.case) })}\n`);
  await writeFileAtomic(file, lines.join(''));
}

/** Those rows again, for the same prompts. The file is one that {@link writeCaseRows} wrote and the store's seal vouches for. */
export async function readCaseRows<Row extends { readonly case: object }>(
  file: string,
  cases: Cases,
): Promise<Row[]> {
  const lines = (await readFile(file, 'utf8')).split('\n');
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      const row = JSON.parse(line) as Omit<Row, 'case'> & { case: number };
      return { ...row, case: cases[row.case] } as unknown as Row;
    });
}
