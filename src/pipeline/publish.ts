/** @file Copies of what stages made, in the run folder, under the names of docs/reference/files.md#run-folder. The store's own files stay untouched. */
import { cp, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CrosspatchError, writeJsonAtomic } from '../base/index.ts';
import type { PlanNode } from './plan.ts';
import type { FinishedNode } from './runner.ts';
import { STORE_FILES } from './store.ts';

/** Publishes into one run folder; `.published.json` remembers which content is there, so that a second run copies nothing. */
export class Publisher {
  readonly #out: string;
  readonly #ledger: string;
  #published: Record<string, string> | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(out: string) {
    this.#out = out;
    this.#ledger = join(out, '.published.json');
  }

  /** Copy what `node` publishes, one node at a time. */
  publish(node: PlanNode, done: FinishedNode): Promise<void> {
    if (node.kind === 'source' || Object.keys(node.publish).length === 0) return Promise.resolve();
    this.#turn = this.#turn.catch(() => {}).then(() => this.#copyAll(node.publish, done));
    return this.#turn;
  }

  async #copyAll(wanted: Readonly<Record<string, string>>, done: FinishedNode): Promise<void> {
    this.#published ??= JSON.parse(await readFile(this.#ledger, 'utf8').catch(() => '{}')) as Record<
      string,
      string
    >;
    for (const [to, from] of Object.entries(wanted)) {
      const target = join(this.#out, to);
      const there = await stat(target).catch(() => undefined);
      if (there && this.#published[to] === done.key) continue;
      await copy(join(done.folder, from), target, done.id);
      this.#published[to] = done.key;
    }
    await writeJsonAtomic(this.#ledger, this.#published);
  }
}

async function copy(from: string, to: string, id: string): Promise<void> {
  const aside = join(dirname(to), `.${basename(to)}.copying`);
  const root = join(from, '.');
  const filter = (path: string) => !(dirname(path) === root && STORE_FILES.includes(basename(path)));
  try {
    await mkdir(dirname(to), { recursive: true });
    await rm(aside, { recursive: true, force: true });
    await cp(from, aside, { recursive: true, filter });
    await rm(to, { recursive: true, force: true });
    await rename(aside, to);
  } catch (cause) {
    throw new CrosspatchError(`${id}: cannot copy its results to ${to}`, { cause });
  }
}
