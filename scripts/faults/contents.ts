/** @file What the fault scripts compare: every file that a piece of work left, times aside. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashBytes, hashJson, listFiles } from '../../src/base/index.ts';
import { stableResults } from '../../src/contracts/index.ts';

/** Logs, times, hashes over times, and the report, which says when and how long: not compared. */
const TIMES =
  /(^|\/)(log\.jsonl|meta\.json|manifest\.json|times\.json|report\.html|\.published\.json|\.crosspatch\.json|\.lock|[^/]*\.lock(\..*)?)$/;

/** Hashes of all files but {@link TIMES}, with the times in results and in what stages hand on taken out. */
export async function contents(folder: string): Promise<Map<string, string>> {
  const out = new Map<string, string>();
  for (const name of await listFiles(folder)) {
    if (TIMES.test(name)) continue;
    const bytes = await readFile(join(folder, name));
    const holdsTimes = /(results|output)\.json$/.test(name);
    out.set(name, holdsTimes ? hashJson(stableResults(JSON.parse(bytes.toString()))) : hashBytes(bytes));
  }
  return out;
}
