/** @file Reading run folders: manifest, results and where a run stands. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../base/index.ts';
import { dotted, type Manifest, manifestSchema, type Results, resultsSchema } from '../contracts/index.ts';
import { type LogLine, readLog } from './log.ts';
import { PREVIEW } from './preview.ts';

/** The manifest of a run folder. Throws {@link InputError} when the folder is none. */
export async function readManifest(folder: string): Promise<Manifest> {
  const json = await readJson(
    join(folder, 'manifest.json'),
    `${folder}: no run folder (manifest.json is missing)`,
  );
  const parsed = manifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new InputError(`${folder}: manifest.json does not fit: ${firstIssue(parsed.error)}`);
}

/** The results of a run folder. Throws {@link InputError} when there are none yet or they do not fit the contract. */
export async function readResults(folder: string, file = 'results.json'): Promise<Results> {
  const json = await readJson(join(folder, file), `${folder}: no results.json yet; see \`status ${folder}\``);
  const parsed = resultsSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new InputError(`${folder}: ${file} does not fit: ${firstIssue(parsed.error)}`);
}

/** The results of a run folder, or, before they are there, what there is of them ({@link PREVIEW}). */
export async function readResultsSoFar(folder: string): Promise<Results> {
  const whole = await stat(join(folder, 'results.json')).catch(() => undefined);
  const partial = await stat(join(folder, PREVIEW)).catch(() => undefined);
  // An older results.json beside a newer preview is of an earlier run into the same folder.
  const isPartial = partial !== undefined && (whole === undefined || whole.mtimeMs < partial.mtimeMs);
  return readResults(folder, isPartial ? PREVIEW : 'results.json');
}

/** The newest log line of each stage, by stage. */
export async function readProgress(folder: string): Promise<Map<string, LogLine>> {
  const text = await readFile(join(folder, 'log.jsonl'), 'utf8').catch(() => '');
  return new Map(readLog(text).map((line) => [line.stage, line]));
}

/** A run folder in a listing. */
export interface RunListing {
  readonly folder: string;
  readonly name: string;
  readonly status: Manifest['status'];
  readonly started_at: string;
}

/** The run folders directly inside `root`, newest first; other folders are passed over. */
export async function listRuns(root: string): Promise<RunListing[]> {
  const names = await readdir(root).catch(() => [] as string[]);
  const runs: RunListing[] = [];
  for (const name of names) {
    const folder = join(root, name);
    if (!(await stat(join(folder, 'manifest.json')).catch(() => undefined))) continue;
    const manifest = await readManifest(folder);
    runs.push({ folder, name: manifest.name, status: manifest.status, started_at: manifest.started_at });
  }
  return runs.sort((a, b) => (a.started_at < b.started_at ? 1 : -1));
}

async function readJson(path: string, missing: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new InputError(missing, { cause });
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${path}: no JSON`, { cause });
  }
}

function firstIssue(error: { issues: readonly { path: readonly PropertyKey[]; message: string }[] }): string {
  const issue = error.issues[0];
  const path = (issue?.path ?? []).map((p) => (typeof p === 'number' ? p : String(p)));
  return `${dotted(path)}: ${issue?.message ?? ''}`;
}
