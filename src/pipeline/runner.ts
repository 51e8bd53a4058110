/**
 * @file Runs a plan: what is in the store is taken from there, the rest is computed in order, independent stages side by side.
 * Killing it at any moment loses the stages in progress and nothing else.
 */
import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import {
  AbortedError,
  CrosspatchError,
  errorId,
  errorLine,
  InputError,
  type ProgressEvent,
  Rng,
  steadyProgress,
  throwIfAborted,
} from '../base/index.ts';
import type { StagePayload } from './child.ts';
import { runStage } from './context.ts';
import type { Elsewhere } from './elsewhere.ts';
import { needs, type Plan, type PlanNode, type StageNode } from './plan.ts';
import { estimateOf } from './plan-info.ts';
import { ProcessPool } from './process-pool.ts';
import type { RunEvent, RunSink } from './run-event.ts';
import type { AnyStage, StageInput, StageInputs } from './stage.ts';
import type { Store, StoreEntry } from './store.ts';

/** A finished node. `seconds` is what computing it took, now or back then; 0 for sources. */
export interface FinishedNode extends StageInput<object> {
  readonly id: string;
  readonly cached: boolean;
  readonly seconds: number;
}

/** What becomes of a plan in which one failure does not end the others. */
export interface FailureRules {
  /** A node failed, and what needs it will not run. */
  readonly failed: (node: PlanNode, error: unknown) => void;
  /** Asked before a node starts: one that nobody wants any more is left out. */
  readonly wanted: (node: PlanNode) => boolean;
}

export interface RunOptions {
  readonly store: Store;
  /** Stages side by side. Defaults to 1. */
  readonly jobs?: number;
  /** Threads of a stage; the last digits of float32 sums hang on them. Defaults to its share of this machine's cores, wherever it runs. */
  readonly threads?: number | undefined;
  /** Node id, id prefix or stage name: run that and what it needs. */
  readonly only?: string;
  readonly signal?: AbortSignal;
  readonly onEvent?: RunSink;
  /** Called when a node is finished, before anything that reads it starts. */
  readonly onFinish?: (node: PlanNode, finished: FinishedNode) => Promise<void>;
  /** Memory is the sum over this process and its children of the most each held; told after each node, and at the end. */
  readonly onMemory?: (bytes: number) => void;
  /** Goes on when a node fails, with what does not need it. Without it the first failure stops the rest and is thrown. */
  readonly failures?: FailureRules;
  /** Computes what the store does not hold, in place of this process and its children; `jobs` is its business then. */
  readonly elsewhere?: Elsewhere | undefined;
}

/** Run what `only` selects; the first failure stops the rest and is thrown, unless `failures` says otherwise. Returns every finished node by id. */
export async function runPlan(plan: Plan, options: RunOptions): Promise<Map<string, FinishedNode>> {
  const jobs = options.jobs ?? 1;
  if (!Number.isInteger(jobs) || jobs < 1)
    throw new InputError(`-j ${jobs}: wanted a whole number from 1`, { id: 'option-invalid' });
  await options.store.sweep();
  await using pool = new ProcessPool(jobs);
  const run = new Run(plan, options, options.elsewhere ? Number.POSITIVE_INFINITY : jobs, pool);
  try {
    return await run.all();
  } finally {
    run.tellMemory();
  }
}

class Run {
  readonly #plan: Plan;
  readonly #options: RunOptions;
  readonly #jobs: number;
  readonly #pool: ProcessPool;
  /** Those that were not begun, in the order they are to be. */
  readonly #waiting: Set<PlanNode>;
  readonly #finished = new Map<string, FinishedNode>();
  #running = 0;
  #onEnd = (): void => {};
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #inProcess = 0;
  #failure: { error: unknown } | undefined;

  constructor(plan: Plan, options: RunOptions, jobs: number, pool: ProcessPool) {
    this.#plan = plan;
    this.#options = options;
    this.#jobs = jobs;
    this.#pool = pool;
    this.#waiting = new Set(longestFirst(plan.select(options.only)));
    this.#signal = options.signal ? AbortSignal.any([options.signal, this.#stop.signal]) : this.#stop.signal;
    // Every stage under way listens, however many these are.
    setMaxListeners(0, this.#signal);
  }

  async all(): Promise<Map<string, FinishedNode>> {
    for (;;) {
      if (!this.#signal.aborted) for (const node of this.#ready()) this.#launch(node);
      if (this.#running === 0) break;
      // Not a race of all that run: of thousands, each would remember every race.
      await new Promise<void>((resolve) => {
        this.#onEnd = resolve;
      });
    }
    if (this.#failure) throw this.#failure.error;
    throwIfAborted(this.#options.signal, 'run');
    return this.#finished;
  }

  /** Nodes that can start now. A stage of this process blocks its event loop, so there is never more than one of those. */
  #ready(): PlanNode[] {
    let free = this.#jobs - this.#running;
    let ownFree = this.#inProcess === 0;
    return [...this.#waiting].filter((node) => {
      if (free === 0) return false;
      if (!needs(node).every((id) => this.#finished.has(id))) return false;
      if (this.#options.failures?.wanted(node) === false) return false;
      const own = this.#isOwn(node);
      if (own && !ownFree) return false;
      if (own) ownFree = false;
      free--;
      return true;
    });
  }

  #isOwn(node: PlanNode): boolean {
    return node.kind === 'stage' && !node.stage.child && this.#options.elsewhere === undefined;
  }

  #launch(node: PlanNode): void {
    const own = this.#isOwn(node);
    if (own) this.#inProcess++;
    this.#running++;
    this.#waiting.delete(node);
    void this.#obtain(node)
      .then(async (finished) => {
        this.tellMemory();
        await this.#options.onFinish?.(node, finished);
        this.#finished.set(node.id, finished);
        const { cached, seconds } = finished;
        if (node.kind === 'stage')
          this.#emit({ state: cached ? 'cached' : 'done', stage: node.id, done: 1, total: 1, seconds });
      })
      .catch((error: unknown) => {
        this.#emit({ state: 'failed', stage: node.id, done: 0, message: errorLine(error) });
        this.#fail(node, error);
      })
      .finally(() => {
        if (own) this.#inProcess--;
        this.#running--;
        this.#onEnd();
      });
  }

  #fail(node: PlanNode, error: unknown): void {
    const { failures } = this.#options;
    const named = this.#named(node, error);
    if (failures && !(error instanceof AbortedError)) {
      failures.failed(node, named);
      return;
    }
    this.#failure ??= { error: named };
    this.#stop.abort();
  }

  tellMemory(): void {
    const others = this.#options.elsewhere?.peakMemoryBytes ?? this.#pool.peakMemoryBytes;
    this.#options.onMemory?.(process.resourceUsage().maxRSS * 1024 + others);
  }

  async #obtain(node: PlanNode): Promise<FinishedNode> {
    const { id, key } = node;
    if (node.kind === 'source') {
      const { path, output, about } = node;
      const held = { model: path, weights: about.model?.weights };
      return { id, key, folder: path, output, ...held, cached: true, seconds: 0 };
    }
    const onDamage = (reason: string) =>
      this.#emit({
        state: 'running',
        stage: id,
        done: 0,
        message: `stored result is damaged (${reason}); computing it again`,
      });
    const fill = (folder: string) => {
      this.#emit({ state: 'started', stage: id, done: 0 });
      return this.#compute(node, folder);
    };
    const { store, elsewhere } = this.#options;
    const { work } = estimateOf(this.#plan, node);
    const entry = elsewhere
      ? await this.#fromElsewhere(elsewhere, node)
      : await store.obtain(node, fill, { signal: this.#signal, onDamage, work });
    const { folder, output, cached, meta } = entry;
    const model = node.stage.model && join(folder, node.stage.model);
    return { id, key, folder, output, model, cached, seconds: meta.seconds };
  }

  async #fromElsewhere(elsewhere: Elsewhere, node: StageNode): Promise<StoreEntry & { cached: boolean }> {
    const { store } = this.#options;
    // A stage that says which data it holds reads them for it.
    const wanted = node.stage.data ? undefined : Object.values(node.publish);
    const before = await store.look(node, { wanted, signal: this.#signal });
    if (before.state === 'whole') return { ...before.entry, cached: true };
    const onEvent = (event: Omit<RunEvent, 'stage'>) => this.#emit({ ...event, stage: node.id });
    const threads = this.#threads(node.stage);
    await elsewhere.compute({ plan: this.#plan, node, threads, signal: this.#signal, onEvent });
    return { ...(await store.awaited(node, { wanted, signal: this.#signal })), cached: false };
  }

  async #compute(node: StageNode, folder: string): Promise<object> {
    const { stage, params, seed } = node;
    const inputs = this.#inputs(node);
    // A stage is many loops: they are counted as one.
    const progress = steadyProgress((event) => this.#emit({ ...event, state: 'running', stage: node.id }));
    const threads = this.#threads(stage);
    if (!stage.child) {
      const rng = new Rng(seed).fork(stage.name);
      const signal = this.#signal;
      return runStage(stage, { params, inputs, folder, seed, rng, progress, signal, threads });
    }
    const payload: StagePayload = { params, inputs, folder, seed, threads };
    return runStageInChild(this.#pool, stage, payload, { signal: this.#signal, onProgress: progress });
  }

  /** Of a stage in this process: all cores, since nothing computes beside it. */
  #threads({ child }: AnyStage): number {
    const { threads, jobs = 1 } = this.#options;
    const cores = availableParallelism();
    return threads ?? (child ? Math.max(1, Math.floor(cores / jobs)) : cores);
  }

  #inputs(node: StageNode): StageInputs<unknown> {
    const input = (id: string): StageInput<object> => {
      const { key, folder, output, model, weights } = this.#finished.get(id) as FinishedNode;
      return { key, folder, output, model, weights };
    };
    const entries = Object.entries(node.inputs).map(([name, ids]) => [
      name,
      typeof ids === 'string' ? input(ids) : ids.map(input),
    ]);
    return Object.fromEntries(entries) as StageInputs<unknown>;
  }

  #emit(event: RunEvent): void {
    this.#options.onEvent?.(event);
  }

  #named(node: PlanNode, error: unknown): unknown {
    if (error instanceof AbortedError) return error;
    const message = errorLine(error);
    const text = message.startsWith(`${node.id}:`) ? message : `${node.id}: ${message}`;
    const exitCode = error instanceof CrosspatchError ? error.exitCode : 1;
    return exitCode === 2
      ? new InputError(text, { id: errorId(error), cause: causeOf(error) })
      : new CrosspatchError(text, { id: errorId(error), cause: causeOf(error) });
  }
}

/**
 * Nodes with the most stages behind them first, else in the plan's order: of two behaviours neither is left for the end, where it
 * would keep one core busy and the others idle.
 */
function longestFirst(nodes: readonly PlanNode[]): PlanNode[] {
  const behind = new Map<string, number>();
  for (const node of nodes.toReversed())
    for (const id of needs(node))
      behind.set(id, Math.max(behind.get(id) ?? 0, 1 + (behind.get(node.id) ?? 0)));
  return nodes.toSorted((a, b) => (behind.get(b.id) ?? 0) - (behind.get(a.id) ?? 0));
}

/** System error codes stay reachable; the rest is in the message already. */
function causeOf(error: unknown): unknown {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code === undefined ? undefined : Object.assign(new Error(code), { code });
}

/**
 * Run a stage in a child process of `pool`, by the name and module it declares. `payload.folder` must exist; the caller keeps or
 * discards it. The child's progress comes back through `onProgress`.
 */
export async function runStageInChild(
  pool: ProcessPool,
  stage: { readonly name: string; readonly module: string },
  payload: StagePayload,
  options: { signal?: AbortSignal; onProgress?: (event: ProgressEvent) => void } = {},
): Promise<object> {
  const call = { kind: 'stage' as const, module: stage.module, name: stage.name, payload };
  return (await pool.run(call, options)) as object;
}
