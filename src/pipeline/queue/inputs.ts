/** @file What a job reads, on the worker's machine: results from the store, checked once, and sources wherever they are found. */
import { join } from 'node:path';
import { readSeal } from '../../base/index.ts';
import type { StageInput, StageInputs } from '../stage.ts';
import type { LookOptions, Store, StoreEntry } from '../store.ts';
import type { JobInput, StageJob } from './job.ts';
import { SourceFinder } from './sources.ts';

export class JobInputs {
  readonly #store: Store;
  readonly #sources: SourceFinder;
  /** Results that were whole when this process first read them. */
  readonly #whole = new Map<string, StoreEntry>();

  constructor(store: Store) {
    this.#store = store;
    this.#sources = new SourceFinder(store);
  }

  /** The inputs of a job. Throws {@link InputError} for one that is not here. */
  async of({ inputs }: StageJob, options: LookOptions): Promise<StageInputs<unknown>> {
    const found: Record<string, StageInput<unknown> | StageInput<unknown>[]> = {};
    for (const [name, read] of Object.entries(inputs))
      found[name] = Array.isArray(read)
        ? await Promise.all(read.map((one) => this.#input(one, options)))
        : await this.#input(read, options);
    return found as StageInputs<unknown>;
  }

  async #input(read: JobInput, options: LookOptions): Promise<StageInput<unknown>> {
    const { id, key } = read;
    if (read.kind === 'source') {
      const { name, sha256, weights } = read;
      const folder = await this.#sources.find(read);
      return { key, folder, output: { name, sha256 }, model: folder, weights };
    }
    const entry =
      (await this.#known(key)) ??
      (await this.#store.awaited({ id, key, stage: { name: read.stage } }, options));
    this.#whole.set(key, entry);
    const { folder, output } = entry;
    return { key, folder, output, model: read.model && join(folder, read.model) };
  }

  /** An entry that was whole, unless its folder was deleted since then: `cache prune` may. */
  async #known(key: string): Promise<StoreEntry | undefined> {
    const entry = this.#whole.get(key);
    return entry && (await readSeal(entry.folder)) && entry;
  }
}
