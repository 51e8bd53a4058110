/**
 * @file A fleet: one source, many targets. The targets' plans are merged and run as one, each target into a run folder of its own within the
 * fleet's; a target that fails stops no other.
 */
import { dirname, join } from 'node:path';
import {
  AbortedError,
  acquireLock,
  CrosspatchError,
  disposeAll,
  errorLine,
  InputError,
  makeFolder,
  showText,
} from '../../base/index.ts';
import type { Fleet, FleetBehaviour, FleetTarget, ParsedTarget } from '../../contracts/index.ts';
import { asInputError, type Expand, type ExpandOptions, planExperiment } from '../experiment.ts';
import type { LoadedFleet } from '../load.ts';
import type { NodeRef, Plan } from '../plan.ts';
import type { QueueAddress } from '../queue/address.ts';
import { Submitter } from '../queue/submit.ts';
import type { RunEvent, RunSink } from '../run-event.ts';
import { runPlan } from '../runner.ts';
import { RUN_LOCK, refuseForeignRun } from '../runs.ts';
import { SealedJson } from '../sealed-json.ts';
import { openStore } from '../store-open.ts';
import { FLEET, readFleet, refuseForeignFleet } from './files.ts';
import { type MergedPlan, mergePlans, ownSources } from './merge.ts';
import { TargetRun } from './target-run.ts';

export interface FleetOptions {
  readonly fleet: LoadedFleet;
  readonly expand: Expand;
  /** The fleet's folder. */
  readonly out: string;
  /** Shared by all runs. Defaults to `store` beside the fleet's folder. */
  readonly store?: string | undefined;
  readonly jobs?: number;
  /** Threads of a stage. Defaults to its share of the cores. */
  readonly threads?: number | undefined;
  readonly queue?: QueueAddress | undefined;
  /** Names of targets. Defaults to all. */
  readonly only?: readonly string[] | undefined;
  readonly signal?: AbortSignal;
  readonly onEvent?: RunSink;
  /** The command line without `--only`, for `fleet.json` and the manifests. */
  readonly command?: readonly string[];
  /** What `fleet.json` says of a target whose run folder is complete. */
  readonly describe: (folder: string) => Promise<readonly FleetBehaviour[]>;
}

/** A target that can be run. */
export interface PlannedTarget {
  readonly name: string;
  readonly target: ParsedTarget;
  readonly plan: Plan;
  readonly results: NodeRef<object> | undefined;
}

/** A target for which there is no plan: a model is not there, say. */
export interface UnplannedTarget {
  readonly name: string;
  readonly error: unknown;
}

/** The targets of the names in `only`, all without it. Throws {@link InputError} for a name that is none. */
export function selectTargets({ targets }: LoadedFleet, only?: readonly string[]): readonly ParsedTarget[] {
  const names = targets.map(({ name }) => name);
  for (const name of only ?? [])
    if (!names.includes(name))
      throw new InputError(`--only ${showText(name)}: no such target; there are ${names.join(', ')}`, {
        id: 'option-invalid',
      });
  return targets.filter(({ name }) => !only || only.includes(name));
}

/** Plan every target for itself. */
export async function planFleet(
  targets: readonly ParsedTarget[],
  expand: Expand,
  options: ExpandOptions = {},
): Promise<{ readonly planned: PlannedTarget[]; readonly unplanned: UnplannedTarget[] }> {
  const planned: PlannedTarget[] = [];
  const unplanned: UnplannedTarget[] = [];
  for (const target of targets) {
    const { name, recipe } = target;
    try {
      planned.push({ name, target, ...(await planExperiment(recipe, expand, options)) });
    } catch (error) {
      if (error instanceof AbortedError || !(error instanceof CrosspatchError)) throw error;
      unplanned.push({ name, error });
    }
  }
  // What is wrong with all of them is wrong with what they share: the source, the prompts.
  const [first] = unplanned;
  if (
    planned.length === 0 &&
    first &&
    unplanned.every(({ error }) => errorLine(error) === errorLine(first.error))
  )
    throw first.error;
  return { planned, unplanned };
}

/**
 * Run a fleet, or go on with it. Returns what `fleet.json` says, failed targets included; throws after an abort, or when nothing can be
 * run at all. Targets that `only` leaves out keep what was said of them.
 */
export async function runFleet(options: FleetOptions): Promise<Fleet> {
  const { out } = options;
  try {
    selectTargets(options.fleet, options.only);
    await refuseForeignFleet(out);
    await makeFolder(out);
    await using _lock = await acquireLock(join(out, RUN_LOCK), { what: out });
    return await new FleetRun(options, await firstFleet(options)).run();
  } catch (error) {
    throw asInputError(error, out);
  }
}

async function firstFleet({ fleet, out, only, command }: FleetOptions): Promise<Fleet> {
  const former = await readFleet(out).catch(() => undefined);
  const targets = fleet.targets.map(({ name, recipe }): FleetTarget => {
    const said = former?.targets.find((target) => target.name === name);
    if (said && only && !only.includes(name)) return said;
    return { name, model: recipe.models.target, status: 'waiting', behaviours: [] };
  });
  return {
    schema_version: 1,
    name: fleet.name,
    description: fleet.description,
    command: command && [...command, ...(only ?? []).flatMap((name) => ['--only', name])],
    source: fleet.source,
    status: 'running',
    started_at: new Date().toISOString(),
    targets,
  };
}

class FleetRun {
  readonly #options: FleetOptions;
  readonly #file: SealedJson<Fleet>;
  readonly #runs = new Map<string, TargetRun>();
  readonly #ending: Promise<void>[] = [];
  #memory = 0;

  constructor(options: FleetOptions, fleet: Fleet) {
    this.#options = options;
    this.#file = new SealedJson(join(options.out, FLEET), fleet);
  }

  async run(): Promise<Fleet> {
    const { fleet, expand, only, signal, onEvent } = this.#options;
    const wanted = selectTargets(fleet, only);
    const { planned, unplanned } = await planFleet(wanted, expand, { signal, onEvent });
    for (const { name, error } of unplanned) this.#fail(name, error);
    try {
      for (const target of planned) await this.#open(target);
      const open = planned.filter(({ name }) => this.#runs.has(name));
      await this.#write();
      if (open.length > 0) await this.#runAll(open);
    } catch (error) {
      const status = error instanceof AbortedError ? 'cancelled' : 'failed';
      for (const run of this.#runs.values()) await run.end(status, error);
      await this.#end(status).catch(() => {});
      throw error;
    } finally {
      await Promise.allSettled(this.#ending);
      await disposeAll([...this.#runs.values()]);
    }
    await this.#end(this.#file.value.targets.some(({ status }) => status === 'failed') ? 'failed' : 'done');
    return this.#file.value;
  }

  async #runAll(open: readonly PlannedTarget[]): Promise<void> {
    const merged = mergePlans(open);
    const own = ownSources(open);
    for (const name of own) this.#change(name, { own_source: true });
    const stages = merged.plan.nodes.filter(({ kind }) => kind === 'stage');
    const shared = stages.filter(({ id }) => usesOf(merged, id).length > 1);
    this.#file.value = { ...this.#file.value, stages: { all: stages.length, shared: shared.length } };
    await this.#write();
    const { out, store: folder = join(dirname(out), 'store'), queue } = this.#options;
    const store = await openStore(folder);
    await using elsewhere = queue && (await Submitter.open(queue, store));
    await runPlan(merged.plan, {
      store,
      elsewhere,
      jobs: this.#options.jobs,
      threads: this.#options.threads,
      signal: this.#options.signal,
      onEvent: (event) => this.#hear(merged, event),
      onFinish: async ({ id }, done) => {
        for (const { target, node } of usesOf(merged, id))
          await this.#runs.get(target)?.onFinish(node, done, this.#memory);
      },
      onMemory: (bytes) => {
        this.#memory = bytes;
      },
      failures: {
        failed: ({ id }, error) => {
          for (const { target, node } of usesOf(merged, id))
            this.#fail(target, underOwnId(error, id, node.id));
        },
        wanted: ({ id }) => usesOf(merged, id).some(({ target }) => this.#runs.get(target)?.isOpen),
      },
    });
  }

  /** Open the run folder of a target; one that cannot be opened has failed. */
  async #open({ name, target, plan, results }: PlannedTarget): Promise<void> {
    const { out, command, describe } = this.#options;
    const folder = join(out, name);
    try {
      await refuseForeignRun(folder);
      const run = await TargetRun.open({
        ...{ name, model: target.recipe.models.target, parsed: target, plan, results, out: folder, describe },
        command: command && [...command, '--only', name],
        onChange: async () => {
          this.#change(name, run.entry);
          await this.#write();
        },
      });
      this.#runs.set(name, run);
      this.#change(name, run.entry);
    } catch (error) {
      this.#fail(name, asInputError(error, folder));
    }
  }

  /** Every target that a node is for hears of it under its own id; whoever watches the fleet, under that of the merged plan. */
  #hear(merged: MergedPlan, event: RunEvent): void {
    for (const { target, node } of usesOf(merged, event.stage))
      this.#runs.get(target)?.onEvent({ ...event, stage: node.id });
    this.#options.onEvent?.(event);
  }

  /** A target failed: it is said at once, and written in the order in which things happened. */
  #fail(name: string, error: unknown): void {
    const run = this.#runs.get(name);
    if (run) this.#ending.push(run.end('failed', error));
    else this.#change(name, { status: 'failed', error: errorLine(error) });
  }

  #change(name: string, change: Partial<FleetTarget>): void {
    const fleet = this.#file.value;
    const targets = fleet.targets.map((target) => (target.name === name ? { ...target, ...change } : target));
    this.#file.value = { ...fleet, targets };
  }

  async #end(status: 'done' | 'failed' | 'cancelled'): Promise<void> {
    this.#file.value = { ...this.#file.value, status, finished_at: new Date().toISOString() };
    await this.#write();
  }

  #write(): Promise<void> {
    return this.#file.write();
  }
}

function usesOf({ uses }: MergedPlan, id: string) {
  return uses.get(id) ?? [];
}

/** `TARGET/locked.sweep.target: …` as the target's own run would say it. */
function underOwnId(error: unknown, merged: string, own: string): unknown {
  const line = errorLine(error);
  return line.startsWith(`${merged}:`) ? new CrosspatchError(`${own}${line.slice(merged.length)}`) : error;
}
