/** @file A transfer as stages: in one piece where the prompts are few, else what all parts share, the parts side by side, and the figures. */
import type { InputRefs, NodeRef, Plan } from '../plan.ts';
import type { OutputsOf, SourceOutput } from '../stage.ts';
import type { Naming } from './naming.ts';
import { type TransferOutput, transferStage } from './transfer.ts';
import { transferPartStage } from './transfer-part.ts';
import { type carriedInputs, transferParts } from './transfer-setup.ts';
import { transferSpansStage } from './transfer-spans.ts';

/** What a transfer is made of. */
export interface PlannedTransfer {
  readonly params: Readonly<Record<string, unknown>>;
  /** Test prompts. */
  readonly prompts: number;
  readonly inputs: InputRefs<OutputsOf<typeof carriedInputs>>;
  /** The target before the behaviour. */
  readonly cleanTarget: NodeRef<SourceOutput> | undefined;
}

/** Add the stages of a transfer. Returns the one with the figures. */
export function transferNode(
  plan: Plan,
  at: Naming,
  { params, prompts, inputs, cleanTarget }: PlannedTransfer,
): NodeRef<TransferOutput> {
  const publish = at.samples('transfer');
  const of = transferParts(prompts);
  const last = { id: at.id('transfer'), params, publish };
  if (of === 1)
    return plan.add(transferStage, {
      ...last,
      inputs: { ...inputs, cleanTarget, spans: undefined, parts: [] },
    });
  const spans = plan.add(transferSpansStage, { id: at.id('transfer.spans'), params, inputs });
  const { source: _source, cleanSource: _clean, ...steered } = inputs;
  const parts = Array.from({ length: of }, (_, index) =>
    plan.add(transferPartStage, {
      id: at.id(`transfer.part${index + 1}`),
      params: { ...params, part: { index, of } },
      inputs: { ...steered, spans },
    }),
  );
  return plan.add(transferStage, { ...last, inputs: { ...inputs, cleanTarget, spans, parts } });
}
