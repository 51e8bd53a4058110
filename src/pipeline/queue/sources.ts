/**
 * @file Models and data from outside, on another machine. Small ones are copied into the store by whoever submits; large ones must lie at
 * the same path, in the worker's own hub cache, or be bundled. Whichever is found counts only with the same content.
 */
import { cp, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, isAbsolute, join, relative, resolve } from 'node:path';
import { InputError, listFiles, withAtomicFolder } from '../../base/index.ts';
import { resolveModel } from '../../models/index.ts';
import type { AskedStage } from '../elsewhere.ts';
import { packageRoot } from '../machine.ts';
import { hashPath, type SourceNode } from '../plan.ts';
import type { Store } from '../store.ts';
import { type JobSource, jobOf, type SourcePlace, type StageJob, sourcesOf } from './job.ts';

/** Most bytes that are copied into the store: data sets, adapters and small models. */
const COPIED_BYTES = 64 * 2 ** 20;

/** A stage as a job of crosspatch's `version`, once all that it reads from outside can be found. */
export async function describeStage(
  store: Store,
  version: string,
  { plan, node, threads }: AskedStage,
): Promise<StageJob> {
  const places = new Map<string, SourcePlace>();
  for (const source of sourcesOf(plan, node)) places.set(source.id, await shareSource(store, source));
  return jobOf(plan, node, { version, threads, place: ({ id }) => places.get(id) as SourcePlace });
}

/** Where a source is, for a job; copies it into the store where that is due. */
export async function shareSource(store: Store, { path, output }: SourceNode): Promise<SourcePlace> {
  const within = relative(packageRoot(), resolve(path));
  const bundled = !within.startsWith('..') && !isAbsolute(within);
  if (bundled) return { path: within.replaceAll('\\', '/'), bundled };
  if ((await bytesOf(path)) > COPIED_BYTES) return { path: resolve(path), bundled };
  const name = nameOf(output.sha256);
  if ((await hashOf(join(store.root, name, basename(path)))) !== output.sha256)
    await withAtomicFolder(
      join(store.root, name),
      (folder) => cp(path, join(folder, basename(path)), { recursive: true, dereference: true }),
      { cache: true },
    );
  await store.share(name);
  return { path: resolve(path), bundled };
}

/** Looks for sources; what was found once is not hashed again. */
export class SourceFinder {
  readonly #store: Store;
  readonly #found = new Map<string, string>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Path of a source on this machine. Throws {@link InputError} when it is not here, or differs. */
  async find(source: JobSource): Promise<string> {
    const known = this.#found.get(source.sha256);
    if (known !== undefined) return known;
    for await (const path of this.#places(source))
      if ((await hashOf(path)) === source.sha256) {
        this.#found.set(source.sha256, path);
        return path;
      }
    throw new InputError(
      `${source.id}: ${hostname()} does not have ${source.name} with the content of the run; put it at ${source.path} there, or pull it from the hub there`,
      { id: 'file-unreadable' },
    );
  }

  async *#places({ path, bundled, model, sha256 }: JobSource): AsyncGenerator<string> {
    if (bundled) {
      yield join(packageRoot(), path);
      return;
    }
    const copy = join(this.#store.root, nameOf(sha256), basename(path));
    yield copy;
    yield path;
    const own = model === undefined ? undefined : await resolveModel(model).catch(() => undefined);
    if (own !== undefined) yield own.path;
    if ((await this.#store.bring(nameOf(sha256))).state === 'whole') yield copy;
  }
}

/** The folder of a copy within the store. */
function nameOf(sha256: string): string {
  return `source-${sha256.slice(0, 20)}`;
}

async function hashOf(path: string): Promise<string | undefined> {
  return hashPath(path).catch(() => undefined);
}

async function bytesOf(path: string): Promise<number> {
  const info = await stat(path);
  if (info.isFile()) return info.size;
  const sizes = await Promise.all(
    (await listFiles(path)).map(async (file) => (await stat(join(path, file))).size),
  );
  return sizes.reduce((a, b) => a + b, 0);
}
