/** @file One target of a fleet while the merged plan runs: it hears of its own nodes under their own ids, in an ordinary run folder. */
import { errorLine, type Owned } from '../../base/index.ts';
import type { FleetBehaviour, FleetTarget } from '../../contracts/index.ts';
import type { PlanNode } from '../plan.ts';
import type { RunEvent } from '../run-event.ts';
import { RunFolder, type RunFolderOptions } from '../run-folder.ts';
import type { FinishedNode } from '../runner.ts';

export interface TargetRunOptions extends RunFolderOptions {
  readonly name: string;
  readonly model: string;
  /** What the fleet says of the complete run folder. */
  readonly describe: (folder: string) => Promise<readonly FleetBehaviour[]>;
  /** Its entry is another now. */
  readonly onChange: () => Promise<void>;
}

export class TargetRun implements Owned {
  readonly #options: TargetRunOptions;
  readonly #folder: RunFolder;
  readonly #left: Set<string>;
  entry: FleetTarget;

  private constructor(options: TargetRunOptions, folder: RunFolder) {
    const { name, model, plan } = options;
    this.#options = options;
    this.#folder = folder;
    this.#left = new Set(plan.nodes.map(({ id }) => id));
    this.entry = { name, model, status: 'running', behaviours: [] };
  }

  static async open(options: TargetRunOptions): Promise<TargetRun> {
    return new TargetRun(options, await RunFolder.open(options));
  }

  /** Whether it is still waited for. */
  get isOpen(): boolean {
    return this.entry.status === 'running';
  }

  onEvent(event: RunEvent): void {
    if (this.isOpen) this.#folder.onEvent(event);
  }

  /** A node is finished; after the last one, so is the target. What goes wrong with its folder is its own failure. */
  async onFinish(node: PlanNode, done: FinishedNode, memory: number): Promise<void> {
    if (!this.isOpen) return;
    try {
      await this.#folder.onFinish(node, { ...done, id: node.id });
      this.#left.delete(node.id);
      if (this.#left.size === 0) await this.#complete(memory);
    } catch (error) {
      await this.end('failed', error);
    }
  }

  /** It ended before its last node. */
  async end(status: 'failed' | 'cancelled', error: unknown): Promise<void> {
    if (!this.isOpen) return;
    const cause = status === 'failed' ? { error: errorLine(error) } : {};
    this.entry = { ...this.entry, status, ...cause };
    await this.#folder.failed(error);
    await this.#options.onChange();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }

  async #complete(memory: number): Promise<void> {
    await this.#folder.done(memory);
    const behaviours = [...(await this.#options.describe(this.#options.out))];
    this.entry = { ...this.entry, status: 'done', behaviours };
    await this.#options.onChange();
  }
}
