/** @file Reading the folder of a fleet: `fleet.json`, and a run folder per target. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hashJson, InputError, isLocked, parseJson, readTextLimited } from '../../base/index.ts';
import { dotted, type Fleet, fleetSchema } from '../../contracts/index.ts';
import { listRuns, MANIFEST, RUN_LOCK, type RunListing } from '../runs.ts';

export const FLEET = 'fleet.json';
/** A fleet of a hundred targets with two behaviours each has 1 MB. */
const LARGEST = 32 << 20;
/** What a fleet that was killed before its first `fleet.json` may have left. */
const OWN_NAMES = /^(\.lock.*|\.fleet\.json\..*)$/;

/** Whether a folder is a fleet's. */
export async function isFleetFolder(folder: string): Promise<boolean> {
  const info = await stat(join(folder, FLEET)).catch(() => undefined);
  return info?.isFile() === true;
}

/**
 * The fleet in a folder; one whose process is gone has status `interrupted`. Throws {@link InputError} when there is none, or its
 * `fleet.json` was changed.
 */
export async function readFleet(folder: string): Promise<Fleet> {
  const path = join(folder, FLEET);
  const text = await readTextLimited(path, LARGEST).catch((cause: unknown) => {
    throw cause instanceof InputError
      ? cause
      : new InputError(`${folder}: no fleet (${FLEET} is missing)`, { id: 'run-not-found', cause });
  });
  const parsed = fleetSchema.safeParse(parseJson(text, path));
  if (!parsed.success) {
    const { path: at = [], message = '' } = parsed.error.issues[0] ?? {};
    throw new InputError(`${path}: does not fit: ${dotted(at.map(String))}: ${message}`, {
      id: 'run-damaged',
    });
  }
  const { sha256, ...fleet } = parsed.data;
  if (sha256 !== undefined && hashJson(fleet) !== sha256)
    throw new InputError(
      `${path}: was changed after it was written; run the fleet again into ${folder} to mend it`,
      {
        id: 'run-damaged',
      },
    );
  if (fleet.status !== 'running' || (await isLocked(join(folder, RUN_LOCK)))) return fleet;
  const targets = fleet.targets.map((target) =>
    target.status === 'running' ? { ...target, status: 'cancelled' as const } : target,
  );
  return { ...fleet, status: 'interrupted', targets };
}

/** The run folders inside `root` and inside the fleets there, newest first, broken ones last. */
export async function listRunsAndTargets(root: string): Promise<RunListing[]> {
  const names = await readdir(root).catch(() => [] as string[]);
  const found = [await listRuns(root)];
  for (const name of names)
    if (await isFleetFolder(join(root, name))) found.push(await listRuns(join(root, name)));
  return found.flat().sort((a, b) => (a.started_at < b.started_at ? 1 : -1));
}

/** Throw an {@link InputError} unless a fleet may write into `folder`: it is absent, empty, or a fleet's. */
export async function refuseForeignFleet(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const foreign = names.filter((name) => !OWN_NAMES.test(name));
  if (foreign.length === 0 || (await isFleetFolder(folder))) return;
  const what = foreign.includes(MANIFEST)
    ? 'is the folder of one run'
    : `holds files (${foreign.slice(0, 3).join(', ')})`;
  throw new InputError(`${folder}: ${what} and no fleet; choose another folder with --out`, {
    id: 'out-not-ours',
  });
}
