/** @file A sweep as stages: in one piece where the blocks are few, else the blocks in parts side by side, and the figures. */
import type { InputRefs, NodeRef, Plan } from '../plan.ts';
import { planInfo } from '../plan-info.ts';
import type { OutputsOf } from '../stage.ts';
import type { Naming } from './naming.ts';
import { type SweepOutput, sweepStage } from './sweep.ts';
import { sweepPartStage, sweepParts, type sweptInputs } from './sweep-part.ts';

/** What a sweep is made of. */
export interface PlannedSweep {
  readonly side: 'source' | 'target';
  readonly blocks: 'all' | readonly number[];
  readonly params: Readonly<Record<string, unknown>>;
  readonly inputs: InputRefs<OutputsOf<typeof sweptInputs>>;
}

/** Add the stages of a sweep. Returns the one with the figures. */
export function sweepNode(
  plan: Plan,
  at: Naming,
  { side, blocks, params, inputs }: PlannedSweep,
): NodeRef<SweepOutput> {
  const id = at.id(`sweep.${side}`);
  const wanted =
    blocks === 'all' ? allBlocks(plan, inputs.model) : [...new Set(blocks)].sort((a, b) => a - b);
  const cut = sweepParts(wanted);
  const parts =
    cut.length < 2
      ? []
      : cut.map((part, k) =>
          plan.add(sweepPartStage, { id: `${id}.part${k + 1}`, params: { ...params, part }, inputs }),
        );
  return plan.add(sweepStage, {
    id,
    params,
    inputs: { ...inputs, parts },
    publish: at.samples(`sweep.${side}`),
  });
}

/** None where the model does not say how many it has before it is read. */
function allBlocks(plan: Plan, model: NodeRef<object>): number[] {
  const node = plan.get(model.id);
  const about = node.kind === 'source' ? node.about.model : planInfo(plan, node).models[0];
  return Array.from({ length: about?.blocks ?? 0 }, (_, i) => i);
}
