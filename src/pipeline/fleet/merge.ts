/**
 * @file The plans of many targets as one: what has one id and one key in several of them is one node, so the source's stages run once, and
 * stages of different targets run side by side.
 */
import { Plan, type PlanNode } from '../plan.ts';

/** A target with its own plan, in which ids are those of an ordinary run. */
export interface TargetPlan {
  readonly name: string;
  readonly plan: Plan;
}

/** A node of one target that a node of the merged plan stands for. */
export interface NodeUse {
  readonly target: string;
  readonly node: PlanNode;
}

export interface MergedPlan {
  /** Ids: `locked.runs.source` for what all targets share, `TARGET/locked.runs.target` for what one has alone, `TARGET+2/…` for what it shares with two others. */
  readonly plan: Plan;
  /** Id in the merged plan → the nodes it stands for. */
  readonly uses: ReadonlyMap<string, readonly NodeUse[]>;
}

/** Merge plans; at least one. */
export function mergePlans(targets: readonly TargetPlan[]): MergedPlan {
  const groups = new Map<string, NodeUse[]>();
  const mark = ({ id, key }: PlanNode): string => `${id} ${key}`;
  for (const { name, plan } of targets)
    for (const node of plan.nodes) {
      const group = groups.get(mark(node)) ?? [];
      group.push({ target: name, node });
      groups.set(mark(node), group);
    }
  const idOf = (node: PlanNode): string => {
    const group = groups.get(mark(node)) ?? [];
    if (group.length === targets.length) return node.id;
    // Targets that share a node of this id share it with nobody else, so the first of them names the group.
    return `${group[0]?.target}${group.length > 1 ? `+${group.length - 1}` : ''}/${node.id}`;
  };
  const plan = new Plan(targets[0]?.plan.seed ?? 0);
  const uses = new Map<string, readonly NodeUse[]>();
  for (const { plan: own } of targets)
    for (const node of own.nodes) {
      const id = idOf(node);
      if (uses.has(id)) continue;
      plan.include(node, id, (needed) => idOf(own.get(needed)));
      uses.set(id, groups.get(mark(node)) ?? []);
    }
  return { plan, uses };
}

/** Targets for which the source's fine-tune, runs or sweep are others than for most: their settings change what the source reads. */
export function ownSources(targets: readonly TargetPlan[]): ReadonlySet<string> {
  const groups = new Map<string, string[]>();
  for (const { name, plan } of targets) {
    const keys = plan.nodes
      .filter(({ id }) => /\.(finetune|runs|sweep)\.source$/.test(id))
      .map(({ key }) => key);
    groups.set(keys.join(), [...(groups.get(keys.join()) ?? []), name]);
  }
  const [, ...others] = [...groups.values()].sort((a, b) => b.length - a.length);
  return new Set(others.flat());
}
