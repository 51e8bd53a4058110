/** @file `manifest.json` of a run folder while its stages run; written at start, after each stage and at the end. */
import { join } from 'node:path';
import { AbortedError, errorLine } from '../base/index.ts';
import type { Manifest, ManifestStage, ParsedRecipe } from '../contracts/index.ts';
import { describeMachine, gitState, packageVersions } from './machine.ts';
import { needs, type Plan, type PlanNode } from './plan.ts';
import type { RunEvent } from './run-event.ts';
import type { FinishedNode } from './runner.ts';
import { MANIFEST } from './runs.ts';
import { SealedJson } from './sealed-json.ts';

/** What a manifest says from the start. */
export interface ManifestStart {
  readonly parsed: ParsedRecipe;
  readonly plan: Plan;
  readonly only?: string | undefined;
  /** The command line. */
  readonly command?: readonly string[] | undefined;
}

export class ManifestFile {
  readonly #file: SealedJson<Manifest>;

  private constructor(file: SealedJson<Manifest>) {
    this.#file = file;
  }

  /** Of the run folder `out`; not written yet. */
  static async create(out: string, start: ManifestStart): Promise<ManifestFile> {
    return new ManifestFile(new SealedJson(join(out, MANIFEST), await firstManifest(start)));
  }

  get value(): Manifest {
    return this.#file.value;
  }

  write(): Promise<void> {
    return this.#file.write();
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
    this.#change({ data: data.toSorted((a, b) => (a.name < b.name ? -1 : 1)) });
    const engine = node.stage.engine?.(output);
    this.#stage(node.id, { status: cached ? 'cached' : 'done', seconds, engine });
    await this.write();
  }

  async end(status: 'done' | 'failed' | 'cancelled', error?: unknown): Promise<void> {
    const stages = this.value.stages.map((stage) =>
      status === 'cancelled' && (stage.status === 'failed' || stage.status === 'running')
        ? { ...stage, status: 'cancelled' as const }
        : stage,
    );
    const said = error === undefined ? {} : { error: errorLine(error) };
    this.#change({ stages, status, finished_at: new Date().toISOString(), ...said });
    await this.write();
  }

  /** How a run ended that threw `error`. */
  fail(error: unknown): Promise<void> {
    return this.end(error instanceof AbortedError ? 'cancelled' : 'failed', error);
  }

  #change(change: Partial<Manifest>): void {
    this.#file.value = { ...this.value, ...change };
  }

  #stage(id: string, change: Partial<ManifestStage>): void {
    this.#change({
      stages: this.value.stages.map((stage) => (stage.id === id ? { ...stage, ...change } : stage)),
    });
  }
}

async function firstManifest({ parsed, plan, only, command }: ManifestStart): Promise<Manifest> {
  const { given, recipe } = parsed;
  const nodes = plan.select(only);
  const seeds: Record<string, number> = { experiment: recipe.seed };
  for (const node of nodes)
    if (node.kind === 'stage' && node.seed !== recipe.seed) seeds[node.id] = node.seed;
  const sources = nodes.filter((node) => node.kind === 'source');
  return {
    schema_version: 1,
    name: recipe.name,
    command: command ? [...command] : undefined,
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
