/** @file Copies of what stages made, in the run folder, under the names of docs/reference/files.md#run-folder. The store's own files stay untouched. */
import { constants, cp, mkdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CrosspatchError, hashFile, InputError, listFiles, unwritable } from '../base/index.ts';
import type { Ledger } from './ledger.ts';
import type { PlanNode } from './plan.ts';
import type { FinishedNode } from './runner.ts';
import { STORE_FILES } from './store.ts';

/** Publishes into one run folder; its ledger remembers which content is there, so that a second run copies nothing. */
export class Publisher {
  readonly #out: string;
  readonly #ledger: Ledger;
  #turn: Promise<void> = Promise.resolve();

  constructor(out: string, ledger: Ledger) {
    this.#out = out;
    this.#ledger = ledger;
  }

  /** Copy what `node` publishes, one node at a time. */
  publish(node: PlanNode, done: FinishedNode): Promise<void> {
    if (node.kind === 'source' || Object.keys(node.publish).length === 0) return Promise.resolve();
    this.#turn = this.#turn.catch(() => {}).then(() => this.#copyAll(node.publish, done));
    return this.#turn;
  }

  async #copyAll(wanted: Readonly<Record<string, string>>, done: FinishedNode): Promise<void> {
    for (const [to, from] of Object.entries(wanted)) {
      if (await this.#ledger.holds(to, done.key)) continue;
      const [source, target] = [join(done.folder, from), join(this.#out, to)];
      if (!this.#ledger.has(to) && (await differs(source, target)))
        throw new InputError(
          `${target}: is there, and no run wrote it; move it away, or choose another folder with --out`,
          { id: 'out-not-ours' },
        );
      await this.#ledger.announce(to);
      await copy(source, target, done.id);
      await this.#ledger.record(to, done.key);
    }
  }
}

/** Whether something else than a copy of `source` lies at `target`. */
async function differs(source: string, target: string): Promise<boolean> {
  const there = await stat(target).catch(() => undefined);
  if (there === undefined) return false;
  if (!there.isDirectory()) return (await hashFile(source).catch(() => '')) !== (await hashFile(target));
  const own = (await listFiles(source).catch(() => [])).filter((name) => !STORE_FILES.includes(name));
  for (const name of (await listFiles(target)).filter((n) => !STORE_FILES.includes(n)))
    if (!own.includes(name) || (await hashFile(join(source, name))) !== (await hashFile(join(target, name))))
      return true;
  return false;
}

async function copy(from: string, to: string, id: string): Promise<void> {
  const aside = join(dirname(to), `.${basename(to)}.copying`);
  const root = join(from, '.');
  const filter = (path: string) => !(dirname(path) === root && STORE_FILES.includes(basename(path)));
  try {
    await mkdir(dirname(to), { recursive: true });
    await rm(aside, { recursive: true, force: true });
    // Where the file system can, the copy shares its blocks with the store: a fleet publishes its source's model once per target.
    await cp(from, aside, { recursive: true, filter, mode: constants.COPYFILE_FICLONE });
    await rm(to, { recursive: true, force: true });
    await rename(aside, to);
  } catch (cause) {
    await rm(aside, { recursive: true, force: true }).catch(() => {});
    const code = unwritable(cause);
    const error = `${id}: cannot copy its results to ${to}`;
    throw code === undefined
      ? new CrosspatchError(error, { id: 'out-unwritable', cause })
      : new InputError(`${error} (${code})`, { id: 'out-unwritable' });
  }
}
