/** @file The run folder while its stages run (docs/reference/files.md#run-folder): it hears what happens, and keeps what is worth reading. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { acquireLock, makeFolder, type Owned, writeJsonAtomic } from '../base/index.ts';
import type { Manifest } from '../contracts/index.ts';
import { Ledger } from './ledger.ts';
import { logSink } from './log.ts';
import { ManifestFile, type ManifestStart } from './manifest-file.ts';
import type { NodeRef, PlanNode } from './plan.ts';
import { PREVIEW, previewOutput } from './preview.ts';
import { Publisher } from './publish.ts';
import type { RunEvent } from './run-event.ts';
import type { FinishedNode } from './runner.ts';
import { RUN_LOCK } from './runs.ts';

const RESULTS = 'results.json';

export interface RunFolderOptions extends ManifestStart {
  readonly out: string;
  /** The node whose output is `results.json`, timings aside. */
  readonly results: NodeRef<object> | undefined;
}

/** Locked from {@link open} until it is disposed of. */
export class RunFolder implements Owned {
  readonly #options: RunFolderOptions;
  readonly #lock: Owned;
  readonly #ledger: Ledger;
  readonly #publisher: Publisher;
  readonly #manifest: ManifestFile;
  readonly #log: ReturnType<typeof logSink>;
  readonly #finished = new Map<string, FinishedNode>();

  private constructor(
    options: RunFolderOptions,
    {
      lock,
      ledger,
      manifest,
    }: { readonly lock: Owned; readonly ledger: Ledger; readonly manifest: ManifestFile },
  ) {
    this.#options = options;
    this.#lock = lock;
    this.#ledger = ledger;
    this.#manifest = manifest;
    this.#publisher = new Publisher(options.out, ledger);
    this.#log = logSink(join(options.out, 'log.jsonl'));
  }

  /** Make the folder, or go on in it; its manifest then says that it runs. Throws {@link InputError} when another process runs there. */
  static async open(options: RunFolderOptions): Promise<RunFolder> {
    const { out } = options;
    await makeFolder(out);
    const lock = await acquireLock(join(out, RUN_LOCK), { what: out });
    try {
      const ledger = await Ledger.open(out);
      const manifest = await ManifestFile.create(out, options);
      await ledger.announce(RESULTS);
      await manifest.write();
      return new RunFolder(options, { lock, ledger, manifest });
    } catch (error) {
      await lock[Symbol.asyncDispose]();
      throw error;
    }
  }

  get manifest(): Manifest {
    return this.#manifest.value;
  }

  onEvent(event: RunEvent): void {
    this.#log(event);
    this.#manifest.note(event);
  }

  async onFinish(node: PlanNode, done: FinishedNode): Promise<void> {
    await this.#publisher.publish(node, done);
    await this.#preview(done);
    await this.#manifest.finish(node, done);
  }

  /** Every stage is finished: write `results.json` and say so. Returns what was written; undefined where the run left that out. */
  async done(memory: number): Promise<object | undefined> {
    const { out, results: node } = this.#options;
    const output = node && this.#finished.get(node.id)?.output;
    const results = output && { ...output, timings: this.#timings(), peak_memory_bytes: memory };
    if (results && node) {
      await writeJsonAtomic(join(out, RESULTS), results);
      await this.#ledger.record(RESULTS, node.key);
    }
    await rm(join(out, PREVIEW), { force: true });
    await this.#manifest.end('done');
    return results;
  }

  /** Say how the run ended. A manifest that cannot be written is not said. */
  async failed(error: unknown): Promise<void> {
    await this.#manifest.fail(error).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#log.flush();
    await this.#lock[Symbol.asyncDispose]();
  }

  async #preview(done: FinishedNode): Promise<void> {
    const { out, plan, results: node } = this.#options;
    this.#finished.set(done.id, done);
    const output = node && !this.#finished.has(node.id) && previewOutput(plan, node.id, this.#finished);
    if (output)
      await writeJsonAtomic(join(out, PREVIEW), {
        ...output,
        timings: this.#timings(),
        peak_memory_bytes: 0,
      });
  }

  /** In the order of the plan, whichever stage ended first. */
  #timings(): Record<string, number> {
    return Object.fromEntries(
      this.#options.plan.nodes.flatMap(({ id }) => {
        const seconds = this.#finished.get(id)?.seconds ?? 0;
        return seconds > 0 ? [[id, seconds]] : [];
      }),
    );
  }
}
