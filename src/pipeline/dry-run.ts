/** @file What a run would do, nothing being run: which stages are stored, and about what the others take. */

import type { Plan } from './plan.ts';
import { estimateOf, type Work } from './plan-info.ts';
import type { StageEstimate } from './stage.ts';
import type { MeasuredStage, Store } from './store.ts';

/** A line of `--dry-run`. */
export interface PlannedStage extends StageEstimate {
  readonly id: string;
  readonly stage: string;
  readonly key: string;
  readonly cached: boolean;
}

/** Times of models this many times larger or smaller say nothing: calls weigh more in small models, multiplications in large ones. */
const MOST_PARAMETERS_APART = 8;

/**
 * What a run would do, nothing being run: each stage, whether it is stored, and what it is expected to take (the stage's own
 * estimate; seconds from stored runs of that stage, {@link expectedSeconds}).
 */
export async function dryRun(plan: Plan, store: Store, only?: string): Promise<PlannedStage[]> {
  const history = await store.history();
  const out: PlannedStage[] = [];
  for (const node of plan.select(only)) {
    if (node.kind === 'source') continue;
    const { id, key, stage } = node;
    const cached = await store.has(node);
    const { estimate, work } = estimateOf(plan, node);
    const seconds = expectedSeconds(history.get(stage.name) ?? [], work);
    out.push({ id, stage: stage.name, key, cached, ...(cached ? {} : { seconds, ...estimate }) });
  }
  return out;
}

/** Bytes of weights that a run would fetch first. */
export function bytesToFetch(plan: Plan, only?: string): number {
  const places = new Map<string, number>();
  for (const node of plan.select(only))
    if (node.kind === 'source') places.set(node.path, node.about.missingBytes ?? 0);
  return [...places.values()].reduce((a, b) => a + b, 0);
}

/**
 * Mean seconds of stored runs of a stage. Of one that runs models: scaled by parameters × tokens from runs with models of about the
 * size; undefined where there are none.
 */
export function expectedSeconds(
  measured: readonly MeasuredStage[],
  work: Work | undefined,
): number | undefined {
  const times = measured.flatMap(({ seconds, work: done }) => {
    if (work === undefined) return done === undefined ? [seconds] : [];
    if (done === undefined) return [];
    const size = work.parameters / done.parameters;
    if (Math.max(size, 1 / size) > MOST_PARAMETERS_APART) return [];
    return [(seconds * size * work.tokens) / done.tokens];
  });
  return times.length === 0 ? undefined : times.reduce((a, b) => a + b, 0) / times.length;
}
