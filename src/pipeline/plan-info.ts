/** @file What is known of a stage before it runs: the models it hangs on, and how much work it is. */
import { needs, type Plan, type PlanNode, type StageNode } from './plan.ts';
import type { PlanInfo, StageEstimate } from './stage.ts';

/** Work of a stage that runs models: what its time grows with. */
export interface Work {
  /** Tokens that go through a model. */
  readonly tokens: number;
  /** Parameters of the models the stage hangs on. */
  readonly parameters: number;
}

/** What a node hangs on, nearest first. */
export function planInfo(plan: Plan, node: PlanNode): PlanInfo {
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

/** The stage's own estimate, and its work; no work for a stage that runs no model. */
export function estimateOf(
  plan: Plan,
  node: StageNode,
): { readonly estimate: StageEstimate; readonly work?: Work } {
  const info = planInfo(plan, node);
  const estimate = node.stage.estimate?.(node.params, info) ?? {};
  const parameters = info.models.reduce((sum, model) => sum + (model.parameters ?? 0), 0);
  const { tokens } = estimate;
  return tokens === undefined || parameters === 0 ? { estimate } : { estimate, work: { tokens, parameters } };
}
