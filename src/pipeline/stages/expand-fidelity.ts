/** @file Fidelity as stages: in one piece, or, where models judge many completions, what is said, the parts that judge it side by side, and the figures. */
import type { InputRefs, NodeRef, Plan } from '../plan.ts';
import type { OutputsOf, SourceOutput } from '../stage.ts';
import { type FidelityOutput, fidelityStage } from './fidelity.ts';
import { fidelityJudgeStage } from './fidelity-judge.ts';
import { fidelityRunsStage } from './fidelity-runs.ts';
import { fidelityParams, judgeParts, type saidInputs } from './fidelity-setup.ts';
import type { Naming } from './naming.ts';

/** What fidelity is made of. */
export interface PlannedFidelity {
  readonly params: Readonly<Record<string, unknown>>;
  readonly inputs: InputRefs<OutputsOf<typeof saidInputs>>;
  /** Folders of local judges. */
  readonly onnxJudges: readonly NodeRef<SourceOutput>[];
}

/** Add the stages of fidelity. Returns the one with the figures. */
export function fidelityNode(
  plan: Plan,
  at: Naming,
  { params, inputs, onnxJudges: given }: PlannedFidelity,
): NodeRef<FidelityOutput> {
  const onnxJudges = [...given];
  const of = judgeParts(fidelityParams.parse(params));
  const last = { id: at.id('fidelity'), params, publish: at.samples('fidelity') };
  if (of === 1)
    return plan.add(fidelityStage, {
      ...last,
      inputs: { ...inputs, onnxJudges, said: undefined, judged: [] },
    });
  const said = plan.add(fidelityRunsStage, { id: at.id('fidelity.runs'), params, inputs });
  const judged = Array.from({ length: of }, (_, index) =>
    plan.add(fidelityJudgeStage, {
      id: at.id(`fidelity.judge${index + 1}`),
      params: { ...params, part: { index, of } },
      inputs: { runs: said, onnxJudges },
    }),
  );
  return plan.add(fidelityStage, { ...last, inputs: { ...inputs, onnxJudges, said, judged } });
}
