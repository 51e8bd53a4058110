/** @file What a run would do, nothing being run: which stages are stored, and about what the others take. */
import { needs, type Plan, type PlanNode } from './plan.ts';
import type { Ahead, StageEstimate } from './stage.ts';
import type { Store } from './store.ts';

/** A line of `--dry-run`. */
export interface PlannedStage extends StageEstimate {
  readonly id: string;
  readonly stage: string;
  readonly key: string;
  readonly cached: boolean;
}

/**
 * What a run would do, nothing being run: each stage, whether it is stored, and what it is expected to take (the stage's own
 * estimate; for seconds else the mean of stored runs of that stage).
 */
export async function dryRun(plan: Plan, store: Store, only?: string): Promise<PlannedStage[]> {
  const history = await store.history();
  const out: PlannedStage[] = [];
  for (const node of plan.select(only)) {
    if (node.kind === 'source') continue;
    const { id, key, stage } = node;
    const cached = (await store.look(node)).state === 'whole';
    const times = history.get(stage.name) ?? [];
    const mean = times.length > 0 ? times.reduce((a, b) => a + b, 0) / times.length : undefined;
    const expected = cached
      ? {}
      : {
          seconds: mean,
          ...stage.estimate?.(node.params, aheadOf(plan, node)),
        };
    out.push({ id, stage: stage.name, key, cached, ...expected });
  }
  return out;
}

/** What a node hangs on, nearest first. */
function aheadOf(plan: Plan, node: PlanNode): Ahead {
  const upstream: PlanNode[] = [];
  for (const queue = [...needs(node)]; queue.length > 0; ) {
    const next = plan.get(queue.shift() as string);
    if (upstream.includes(next)) continue;
    upstream.push(next);
    queue.push(...needs(next));
  }
  const models = new Map(
    upstream.flatMap((n) =>
      n.kind === 'source' && n.about.model ? [[n.about.model.role, n.about.model]] : [],
    ),
  );
  return {
    models: [...models.values()],
    params: (stage) =>
      upstream.flatMap((n) => (n.kind === 'stage' && n.stage.name === stage ? [n.params] : []))[0] as
        | Readonly<Record<string, unknown>>
        | undefined,
  };
}
