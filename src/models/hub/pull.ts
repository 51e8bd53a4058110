/** @file `pullModel`: a model of the hub as a local folder, in the layout of the hub's own cache. */
import { copyFile, mkdir, readdir, readFile, realpath, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import {
  CrosspatchError,
  InputError,
  type ProgressSink,
  writeFileAtomic,
  writeJsonAtomic,
} from '../../base/index.ts';
import { hubCaches, hubToken, linkAsText, unusableIn } from './caches.ts';
import { bytesThere, fetchBlob, headFile, type RemoteFile } from './download.ts';
import { checkedAddress, type HubConnection } from './http.ts';
import { chosenFiles, listRevision, storedListing } from './listing.ts';
import { type HubReference, isPath, parseHubReference } from './reference.ts';

/** Options of {@link pullModel}. */
export interface PullOptions {
  /** The hub. Defaults to `$HF_ENDPOINT`, else the public Hugging Face hub. */
  readonly endpoint?: string;
  /** Access token. Defaults to `$HF_TOKEN`, else that of `hf auth login`; none is fine for public models. */
  readonly token?: string;
  /**
   * Folder of the hub cache. Defaults to `$HF_HUB_CACHE`, else `hub` in crosspatch's cache; then what is whole in `$HF_HOME/hub` or
   * `~/.cache/huggingface/hub` is used from there.
   */
  readonly cacheDir?: string;
  /** Use only what is in the cache. Defaults to `$HF_HUB_OFFLINE` being 1 or true. */
  readonly offline?: boolean;
  /** Which files, by path in the repository. Defaults to `wantedFiles`. */
  readonly files?: (name: string) => boolean;
  /** Hears `models.pull` in bytes. Defaults to nobody. */
  readonly onProgress?: ProgressSink;
  readonly signal?: AbortSignal;
  /** First pause before a retry, milliseconds. Defaults to 500. */
  readonly retryDelayMs?: number;
  /** Tries without progress before giving up. Defaults to 6. */
  readonly attempts?: number;
  /** Silence that counts as a cut connection, milliseconds. Defaults to 60,000. */
  readonly stallMs?: number;
  /** Environment to read defaults from. Defaults to the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const PUBLIC_HUB = 'https://huggingface.co';

/**
 * A local path stays as it is, without touching the network; `org/name[@rev]` is pulled. Returns a path for
 * `openCheckpoint`.
 */
export async function locateModel(reference: string, options: PullOptions = {}): Promise<string> {
  return isPath(reference) ? reference : pullModel(reference, options);
}

/** A model of the hub, as far as it was fetched. */
export interface SurveyedModel {
  /** Its snapshot folder. */
  readonly path: string;
  /** Bytes of its weights that are not there yet. */
  readonly missingBytes: number;
}

/**
 * Fetch `org/name[@rev]` into the cache and return its snapshot folder. What is there is not fetched again; a
 * download that was cut goes on where it stopped, in this call or the next; every file is checked against its
 * checksum. Layout: `models--org--name/{blobs,refs,snapshots/<commit>}` with links from snapshots into blobs.
 *
 * @throws InputError for a bad name, missing access, or, offline, files that were never fetched
 * @throws CrosspatchError when the hub stays out of reach or sends wrong bytes
 * @example const folder = await pullModel('HuggingFaceTB/SmolLM2-135M-Instruct');
 */
export async function pullModel(reference: string, options: PullOptions = {}): Promise<string> {
  const found = await find(reference, options);
  return 'path' in found ? found.path : fetchAll(found, options);
}

/**
 * {@link pullModel} but for the weights, whose size and access are asked for alone: enough to say what the model is. A repository whose
 * weights are a GGUF, which says so itself, is fetched whole.
 *
 * @throws as {@link pullModel}, also where the weights could not be fetched
 */
export async function surveyModel(reference: string, options: PullOptions = {}): Promise<SurveyedModel> {
  const found = await find(reference, options);
  if ('path' in found) return { path: found.path, missingBytes: 0 };
  const isWeights = ({ name }: NamedFile): boolean => name.endsWith('.safetensors');
  let missingBytes = 0;
  for (const file of found.remote.filter(isWeights))
    missingBytes += file.size - (await bytesThere(file, join(found.home, 'blobs')));
  if (missingBytes === 0) return { path: await fetchAll(found, options), missingBytes };
  const small = found.remote.filter((file) => !isWeights(file));
  return { path: await fetchInto(found, small, options), missingBytes };
}

type NamedFile = RemoteFile & { readonly name: string };

/** A commit of the hub with what is wanted of it. */
interface FoundModel {
  readonly model: HubReference;
  readonly connection: HubConnection;
  /** Its folder in our cache. */
  readonly home: string;
  readonly sha: string;
  readonly remote: readonly NamedFile[];
}

/** Where the model is, for who works offline or finds it in another program's cache; else what the hub says of it. */
async function find(
  reference: string,
  options: PullOptions,
): Promise<FoundModel | { readonly path: string }> {
  const model = parseHubReference(reference);
  const env = options.env ?? process.env;
  const { own, others } = hubCaches(options.cacheDir, env);
  const [home, ...elsewhere] = [own, ...others].map((cache) =>
    join(cache, `models--${model.id.replace('/', '--')}`),
  ) as [string, ...string[]];
  const stored = (): Promise<string> => offlineSnapshot([home, ...elsewhere], model, options.files);
  const offline = options.offline ?? /^(1|true|yes|on)$/i.test(env.HF_HUB_OFFLINE ?? '');
  if (offline) return { path: await stored() };

  const { endpoint, token } = checkedAddress(
    options.endpoint ?? (env.HF_ENDPOINT || PUBLIC_HUB),
    options.token ?? (await hubToken(env)),
  );
  const connection: HubConnection = {
    endpoint,
    token,
    signal: options.signal,
    retryDelayMs: options.retryDelayMs ?? 500,
    attempts: options.attempts ?? 6,
    stallMs: options.stallMs ?? 60_000,
  };
  let damage: unknown;
  const there = await stored().catch((error: unknown) => {
    if (error instanceof InputError && error.id === 'hub-damaged') damage = error;
    return undefined;
  });
  const listing = await listRevision(
    there === undefined ? connection : { ...connection, attempts: 1 },
    model,
  ).catch((error: unknown) => {
    // Out of reach, but fetched before: as with the network off.
    const unreachable = error instanceof CrosspatchError && error.id === 'hub-unreachable';
    if (there !== undefined && unreachable) return undefined;
    throw unreachable && damage !== undefined ? damage : error;
  });
  if (listing === undefined) return { path: there as string };
  const { sha } = listing;
  const names = chosenFiles(listing, options.files, model);
  for (const folder of elsewhere) {
    const snapshot = join(folder, 'snapshots', sha);
    if ((await unusableIn(snapshot, names, { own: false })) === undefined)
      return { path: await realpath(snapshot) };
  }
  await writeJsonAtomic(join(home, 'listings', `${sha}.json`), listing);
  const base = `${connection.endpoint}/${model.id}/resolve/${sha}`;
  const remote: NamedFile[] = [];
  for (const name of names)
    remote.push({
      name,
      ...(await headFile(connection, `${base}/${name.split('/').map(encodeURIComponent).join('/')}`)),
    });
  return { model, connection, home, sha, remote };
}

/** Fetch all that is wanted, and note that the revision is there. Returns the snapshot folder. */
async function fetchAll(found: FoundModel, options: PullOptions): Promise<string> {
  const path = await fetchInto(found, found.remote, options);
  await writeFileAtomic(join(found.home, 'refs', ...found.model.revision.split('/')), found.sha);
  return path;
}

/** Put `files` into the snapshot folder, which is returned. */
async function fetchInto(
  { connection, home, sha }: FoundModel,
  files: readonly NamedFile[],
  { onProgress }: PullOptions,
): Promise<string> {
  const snapshot = join(home, 'snapshots', sha);
  const total = files.reduce((n, f) => n + f.size, 0);
  let finished = 0;
  for (const file of files) {
    const report = (bytes: number): void =>
      onProgress?.({
        stage: 'models.pull',
        done: finished + bytes,
        total,
        unit: 'bytes',
        message: file.name,
      });
    const blob = await fetchBlob(connection, file, join(home, 'blobs'), report);
    await linkInto(join(snapshot, ...file.name.split('/')), blob);
    finished += file.size;
  }
  return realpath(snapshot);
}

/** The snapshot of a revision that was pulled before, if everything that is wanted now is in it. */
async function offlineSnapshot(
  homes: readonly string[],
  model: HubReference,
  filter: PullOptions['files'],
): Promise<string> {
  const errors: unknown[] = [];
  for (const [i, home] of homes.entries())
    try {
      return await snapshotIn({ home, own: i === 0 }, model, filter);
    } catch (error) {
      errors.push(error);
    }
  throw errors.find((e) => e instanceof InputError && e.id === 'hub-damaged') ?? errors[0];
}

async function snapshotIn(
  { home, own }: { readonly home: string; readonly own: boolean },
  model: HubReference,
  filter: PullOptions['files'],
): Promise<string> {
  const at = `hub: ${model.id}@${model.revision}`;
  const next = 'pull it once with the network on';
  const ref = await readFile(join(home, 'refs', ...model.revision.split('/')), 'utf8').catch(
    () => model.revision,
  );
  const sha = ref.trim();
  const snapshot = join(home, 'snapshots', sha);
  if (!/^[0-9a-f]{40,64}$/.test(sha) || !(await exists(snapshot)))
    throw new InputError(`${at}: offline: wanted it in ${home}, got no such revision there; ${next}`, {
      id: 'hub-offline',
    });
  const listed = await storedListing(home, sha, at);
  const names = chosenFiles({ sha, files: listed ?? (await readdir(snapshot)) }, filter, model);
  const flat = await linkAsText(snapshot, names);
  if (flat !== undefined)
    throw new InputError(
      `${at}: ${join(snapshot, flat)}: wanted a link to a blob, got a text that names one; the cache was copied without its links: copy it with cp -a, or pull again`,
      { id: 'hub-damaged' },
    );
  // what we pulled is listed; $HF_HUB_CACHE holds what others fetched as well
  const missing = await unusableIn(snapshot, names, { own: own && listed !== undefined });
  if (missing !== undefined)
    throw new InputError(
      `${at}: offline: wanted ${missing} whole, got an unfinished or damaged download in ${snapshot}; ${next}`,
      { id: 'hub-damaged' },
    );
  return realpath(snapshot);
}

/** True for what is there; a link must lead somewhere. */
async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** Put a relative link to `blob` at `path`, replacing what was there; a copy where links are not allowed. */
async function linkInto(path: string, blob: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const aside = `${path}.${process.pid}.part`;
  await rm(aside, { force: true });
  await symlink(relative(dirname(path), blob), aside).catch(() => copyFile(blob, aside));
  await rename(aside, path);
}
