/**
 * @file A run: an experiment file, its plan, and the run folder people look at (docs/reference/files.md#run-folder): manifest, results, samples, log.
 * The store holds the work; the run folder holds copies of what is worth reading.
 */
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  AbortedError,
  acquireLock,
  errorLine,
  hashJson,
  InputError,
  makeFolder,
  unwritable,
  writeJsonAtomic,
} from '../base/index.ts';
import type { Manifest, ManifestStage, ParsedRecipe, Recipe } from '../contracts/index.ts';
import { Ledger } from './ledger.ts';
import { logSink } from './log.ts';
import { describeMachine, gitState, packageVersions } from './machine.ts';
import { type NodeRef, needs, Plan, type PlanNode } from './plan.ts';
import { PREVIEW, previewOutput } from './preview.ts';
import { Publisher } from './publish.ts';
import type { QueueAddress } from './queue/address.ts';
import { Submitter } from './queue/submit.ts';
import type { RunEvent, RunSink } from './run-event.ts';
import { type FinishedNode, runPlan } from './runner.ts';
import { MANIFEST, RUN_LOCK, refuseForeignRun } from './runs.ts';
import { openStore } from './store-open.ts';

const RESULTS = 'results.json';

/** How models that are not on this machine are come by. */
export interface ExpandOptions {
  /** False: fetch what says what a model is, and not its weights; such a plan can be looked at and not run. Defaults to true. */
  readonly weights?: boolean;
  readonly signal?: AbortSignal;
  /** Hears what is fetched, under ids `pull ORG/NAME`. */
  readonly onEvent?: RunSink;
}

/** Turns a resolved recipe into stages. `results` is the node whose output is `results.json`, timings aside. */
export type Expand = (
  recipe: Recipe,
  plan: Plan,
  options?: ExpandOptions,
) => Promise<{ readonly results?: NodeRef<object> }>;

export interface ExperimentOptions {
  readonly parsed: ParsedRecipe;
  readonly expand: Expand;
  /** The run folder. */
  readonly out: string;
  /** Shared by all runs: a folder, or `s3://bucket/prefix`. Defaults to `store` beside the run folder. */
  readonly store?: string;
  readonly jobs?: number;
  /** Threads of a stage. Defaults to its share of the cores. */
  readonly threads?: number | undefined;
  /** Stages go to the workers of this queue instead. */
  readonly queue?: QueueAddress | undefined;
  readonly only?: string;
  readonly signal?: AbortSignal;
  readonly onEvent?: RunSink;
  /** The command line, for the manifest. */
  readonly command?: readonly string[];
}

export interface ExperimentSummary {
  readonly out: string;
  readonly manifest: Manifest;
  /** What was written to `results.json`; absent when `only` left it out. */
  readonly results?: object;
}

/** The plan of a resolved recipe. */
export async function planExperiment(
  recipe: Recipe,
  expand: Expand,
  options: ExpandOptions = {},
): Promise<{ plan: Plan; results: NodeRef<object> | undefined }> {
  const plan = new Plan(recipe.seed);
  const { results } = await expand(recipe, plan, options);
  return { plan, results };
}

/** Where a run's store is when nothing else is said. */
export function defaultStore(out: string): string {
  return join(dirname(out), 'store');
}

/**
 * Run an experiment, or go on with it. The run folder is locked meanwhile. On failure or abort the manifest says so, what is
 * finished stays, and the error is thrown; an output folder that cannot be written is an {@link InputError}.
 */
export async function runExperiment(options: ExperimentOptions): Promise<ExperimentSummary> {
  const { out } = options;
  try {
    await refuseForeignRun(out);
    const { signal, onEvent } = options;
    const { plan, results } = await planExperiment(options.parsed.recipe, options.expand, {
      signal,
      onEvent,
    });
    plan.select(options.only);
    await makeFolder(out);
    await using _lock = await acquireLock(join(out, RUN_LOCK), { what: out });
    return await inFolder(options, plan, results);
  } catch (error) {
    throw asInputError(error, out);
  }
}

async function inFolder(
  options: ExperimentOptions,
  plan: Plan,
  resultsNode: NodeRef<object> | undefined,
): Promise<ExperimentSummary> {
  const { out } = options;
  const ledger = await Ledger.open(out);
  const publisher = new Publisher(out, ledger);
  const manifest = new ManifestFile(join(out, MANIFEST), await firstManifest(options, plan));
  await ledger.announce(RESULTS);
  await manifest.write();
  const log = logSink(join(out, 'log.jsonl'));
  const onEvent = (event: RunEvent) => {
    log(event);
    manifest.note(event);
    options.onEvent?.(event);
  };
  let memory = 0;
  const soFar = new Map<string, FinishedNode>();
  const preview = async (done: FinishedNode): Promise<void> => {
    soFar.set(done.id, done);
    const output = resultsNode && !soFar.has(resultsNode.id) && previewOutput(plan, resultsNode.id, soFar);
    if (output)
      await writeJsonAtomic(join(out, PREVIEW), {
        ...output,
        timings: timings(plan, soFar),
        peak_memory_bytes: 0,
      });
  };
  try {
    const store = await openStore(options.store ?? defaultStore(out));
    await using elsewhere = options.queue && (await Submitter.open(options.queue, store));
    const finished = await runPlan(plan, {
      ...options,
      store,
      elsewhere,
      onEvent,
      onFinish: async (node, done) => {
        await publisher.publish(node, done);
        await preview(done);
        await manifest.finish(node, done);
      },
      onMemory: (bytes) => {
        memory = bytes;
      },
    });
    const output = resultsNode && finished.get(resultsNode.id)?.output;
    const results = output && { ...output, timings: timings(plan, finished), peak_memory_bytes: memory };
    if (results && resultsNode) {
      await writeJsonAtomic(join(out, RESULTS), results);
      await ledger.record(RESULTS, resultsNode.key);
    }
    await rm(join(out, PREVIEW), { force: true });
    await manifest.end('done');
    return { out, manifest: manifest.value, results: results || undefined };
  } catch (error) {
    await manifest.end(error instanceof AbortedError ? 'cancelled' : 'failed', error).catch(() => {});
    throw error;
  } finally {
    log.flush();
  }
}

/** In the order of the plan, whichever stage ended first. */
function timings(plan: Plan, finished: ReadonlyMap<string, FinishedNode>): Record<string, number> {
  return Object.fromEntries(
    plan.nodes.flatMap(({ id }) => {
      const seconds = finished.get(id)?.seconds ?? 0;
      return seconds > 0 ? [[id, seconds]] : [];
    }),
  );
}

async function firstManifest(options: ExperimentOptions, plan: Plan): Promise<Manifest> {
  const { given, recipe } = options.parsed;
  const nodes = plan.select(options.only);
  const seeds: Record<string, number> = { experiment: recipe.seed };
  for (const node of nodes)
    if (node.kind === 'stage' && node.seed !== recipe.seed) seeds[node.id] = node.seed;
  const sources = nodes.filter((node) => node.kind === 'source');
  return {
    schema_version: 1,
    name: recipe.name,
    command: options.command ? [...options.command] : undefined,
    status: 'running',
    started_at: new Date().toISOString(),
    config: { given, resolved: recipe },
    seeds,
    ...(await gitState()),
    packages: await packageVersions(),
    models: sources.flatMap(({ about, key }) => (about.model ? [{ ...about.model, sha256: key }] : [])),
    data: sources.flatMap(({ about, key }) => (about.data ? [{ ...about.data, sha256: key }] : [])),
    machine: describeMachine(),
    stages: nodes
      .filter((node) => node.kind === 'stage')
      .map((node) => ({ id: node.id, key: node.key, status: 'waiting', needs: [...needs(node)] })),
  };
}

/** The manifest in memory and on disk; written at start, after each stage and at the end. */
class ManifestFile {
  readonly #path: string;
  value: Manifest;
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, value: Manifest) {
    this.#path = path;
    this.value = value;
  }

  /** One write after the other, so that the last state is the one that stays. */
  write(): Promise<void> {
    this.#writing = this.#writing
      .catch(() => {})
      .then(() => writeJsonAtomic(this.#path, { ...this.value, sha256: hashJson(this.value) }));
    return this.#writing;
  }

  note(event: RunEvent): void {
    if (event.state === 'started')
      this.#stage(event.stage, { status: 'running', started_at: new Date().toISOString() });
    if (event.state === 'failed') this.#stage(event.stage, { status: 'failed', error: event.message ?? '' });
    if (event.state === 'started') this.write().catch(() => {});
  }

  async finish(node: PlanNode, { cached, seconds, output, folder }: FinishedNode): Promise<void> {
    if (node.kind === 'source') return;
    const made = (await node.stage.data?.(output, folder)) ?? [];
    const data = [...this.value.data, ...made.map((d) => ({ ...d, name: `${node.id}: ${d.name}` }))];
    // By name, whichever stage ended first.
    this.value = { ...this.value, data: data.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
    this.#stage(node.id, { status: cached ? 'cached' : 'done', seconds });
    await this.write();
  }

  async end(status: 'done' | 'failed' | 'cancelled', error?: unknown): Promise<void> {
    const stages = this.value.stages.map((stage) =>
      status === 'cancelled' && (stage.status === 'failed' || stage.status === 'running')
        ? { ...stage, status: 'cancelled' as const }
        : stage,
    );
    const said = error === undefined ? {} : { error: errorLine(error) };
    this.value = { ...this.value, stages, status, finished_at: new Date().toISOString(), ...said };
    await this.write();
  }

  #stage(id: string, change: Partial<ManifestStage>): void {
    const stages = this.value.stages.map((stage) => (stage.id === id ? { ...stage, ...change } : stage));
    this.value = { ...this.value, stages };
  }
}

/** A folder that cannot be written is the user's to mend: exit code 2 and one line. */
function asInputError(error: unknown, out: string): unknown {
  const code = unwritable(error);
  if (code === undefined) return error;
  return new InputError(`${out}: cannot write there (${code}); choose another folder with --out`, {
    id: 'out-unwritable',
    cause: error,
  });
}
