/** @file Reading run folders: manifest, results and where a run stands. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorLine, hashJson, InputError, isLocked, readTextLimited } from '../base/index.ts';
import { dotted, type Manifest, manifestSchema, type Results, resultsSchema } from '../contracts/index.ts';
import { checkPublished, hasLedger } from './ledger.ts';
import { type LogLine, readLog } from './log.ts';
import { PREVIEW } from './preview.ts';

export const MANIFEST = 'manifest.json';
/** The lock of a run folder: it names the process that runs there. */
export const RUN_LOCK = '.lock';
/** What a run that was killed before its first manifest may have left. */
const OWN_NAMES = /^(\.lock.*|\.published\.json.*|\.manifest\.json\..*)$/;

/** Most bytes read of a manifest and of results: a full experiment's are 40 kB and 1 MB; parsing takes 25 times the size. */
const LARGEST_MANIFEST = 8 << 20;
const LARGEST_RESULTS = 32 << 20;

/**
 * The manifest of a run folder; a run whose process is gone has status `interrupted`. Throws {@link InputError} when the folder is
 * no run folder, or its manifest was changed.
 */
export async function readManifest(folder: string): Promise<Manifest> {
  const { manifest, isWhole } = await openManifest(folder);
  if (!isWhole)
    throw new InputError(
      `${folder}: manifest.json was changed after it was written; run the experiment again into this folder to mend it`,
      { id: 'run-damaged' },
    );
  return manifest;
}

async function openManifest(folder: string): Promise<{ manifest: Manifest; isWhole: boolean }> {
  const json = await readJson(
    join(folder, MANIFEST),
    `${folder}: no run folder (manifest.json is missing)`,
    LARGEST_MANIFEST,
  );
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success)
    throw new InputError(`${folder}: manifest.json does not fit: ${firstIssue(parsed.error)}`, {
      id: 'run-damaged',
    });
  const { sha256, ...manifest } = parsed.data;
  const isWhole = sha256 === undefined || hashJson(manifest) === sha256;
  return { manifest: (await isInterrupted(folder, manifest)) ? interrupted(manifest) : manifest, isWhole };
}

/** `running` without a living owner. A folder put together by hand has neither lock nor ledger, and is taken at its word. */
async function isInterrupted(folder: string, { status }: Manifest): Promise<boolean> {
  if (status !== 'running') return false;
  const lock = join(folder, RUN_LOCK);
  if (await isLocked(lock)) return false;
  return (await stat(lock).catch(() => undefined)) !== undefined || hasLedger(folder);
}

function interrupted(manifest: Manifest): Manifest {
  const stages = manifest.stages.map((stage) =>
    stage.status === 'running' ? { ...stage, status: 'cancelled' as const } : stage,
  );
  return { ...manifest, status: 'interrupted', stages };
}

/** Throw an {@link InputError} unless a run may write into `folder`: it is absent, empty, or a run folder. */
export async function refuseForeignRun(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const foreign = names.filter((name) => !OWN_NAMES.test(name));
  if (foreign.length === 0 || (await hasLedger(folder))) return;
  if (await openManifest(folder).catch(() => undefined)) return;
  throw new InputError(
    `${folder}: holds files and is no run folder (${foreign.slice(0, 3).join(', ')}); choose another folder with --out`,
    { id: 'out-not-ours' },
  );
}

/** The results of a run folder. Throws {@link InputError} when there are none yet, or they are not what the run wrote. */
export async function readResults(folder: string, file = 'results.json'): Promise<Results> {
  const json = await readJson(
    join(folder, file),
    `${folder}: no results.json yet; see \`status ${folder}\``,
    LARGEST_RESULTS,
  );
  await checkPublished(folder, file);
  const parsed = resultsSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new InputError(`${folder}: ${file} does not fit: ${firstIssue(parsed.error)}`, { id: 'run-damaged' });
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

/** Why a run failed: its own word, else that of the first stage that failed. */
export function failureOf({ status, error, stages }: Manifest): string | undefined {
  if (status !== 'failed') return undefined;
  const stage = stages.find((s) => s.status === 'failed');
  return error ?? (stage ? `${stage.id}: ${stage.error ?? 'failed'}` : undefined);
}

/** A run folder in a listing. */
export interface RunListing {
  readonly folder: string;
  readonly name: string;
  /** `broken`: its manifest cannot be read. */
  readonly status: Manifest['status'] | 'broken';
  /** Empty for a broken one. */
  readonly started_at: string;
  /** Why it failed, or what is broken. */
  readonly error?: string;
}

/** The run folders directly inside `root`, newest first, broken ones last; other folders are passed over. */
export async function listRuns(root: string): Promise<RunListing[]> {
  const names = await readdir(root).catch(() => [] as string[]);
  const runs: RunListing[] = [];
  for (const name of names) {
    const folder = join(root, name);
    if ((await stat(join(folder, MANIFEST)).catch(() => undefined)) === undefined) continue;
    try {
      const { manifest } = await openManifest(folder);
      const { status, started_at } = manifest;
      runs.push({ folder, name: manifest.name, status, started_at, error: failureOf(manifest) });
    } catch (error) {
      runs.push({ folder, name, status: 'broken', started_at: '', error: errorLine(error) });
    }
  }
  return runs.sort((a, b) => (a.started_at < b.started_at ? 1 : -1));
}

async function readJson(path: string, missing: string, limit: number): Promise<unknown> {
  const text = await readTextLimited(path, limit).catch((cause: unknown) => {
    throw cause instanceof InputError ? cause : new InputError(missing, { id: 'run-not-found', cause });
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${path}: no JSON`, { id: 'json-invalid', cause });
  }
}

function firstIssue(error: { issues: readonly { path: readonly PropertyKey[]; message: string }[] }): string {
  const issue = error.issues[0];
  const path = (issue?.path ?? []).map((p) => (typeof p === 'number' ? p : String(p)));
  return `${dotted(path)}: ${issue?.message ?? ''}`;
}
