/** @file How well a model's backdoor works: its completions of the same prompts under every tag (docs/concepts/method.md#backdoor-evaluation). */
import {
  type BackdoorMetrics,
  backdoorMetrics,
  type TriggerState,
  triggerStates,
} from '../../behaviours/index.ts';
import type { EvaluationSettings, Sample } from '../../contracts/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { type Detector, type JudgedCase, judgedCases } from '../detect/detector.ts';
import type { ExperimentEnv } from '../env.ts';
import type { ContrastCase } from '../subject/cases.ts';
import { type Completion, completeState, withCompletions } from '../subject/completions.ts';
import { endRules } from './run.ts';
import { type SampleTags, unpatchedSamples } from './samples.ts';

/** What {@link evaluateBackdoor} returns. */
export interface BackdoorEvaluation {
  /** `results.backdoor.*`. */
  readonly metrics: BackdoorMetrics;
  /** The cases with their completions, read: references and drafts of sweep and transfer. */
  readonly cases: readonly JudgedCase[];
  readonly samples: readonly Sample[];
}

/** Complete all cases in all states and judge them. */
export async function evaluateBackdoor(
  model: LanguageModel,
  { cases, detector, tags }: { cases: readonly ContrastCase[]; detector: Detector; tags: SampleTags },
  { max_tokens, batch }: Pick<EvaluationSettings, 'max_tokens' | 'batch'>,
  { progress, signal }: Pick<ExperimentEnv, 'progress' | 'signal'>,
): Promise<BackdoorEvaluation> {
  const rules = { ...endRules(model, { max_tokens, signal }), batch };
  const made = new Map<TriggerState, Completion[]>();
  for (const [k, state] of triggerStates.entries()) {
    made.set(state, await completeState(model, cases, state, rules));
    progress({ stage: tags.stage, done: k + 1, total: triggerStates.length, unit: 'states' });
  }
  const completed = cases.map((c, i) => withCompletions(c, (state) => made.get(state)?.[i]));
  const judged = await judgedCases(completed, detector);
  const records = triggerStates.flatMap((trigger) =>
    judged.flatMap(({ detected }) => {
      const detection = detected[trigger];
      return detection === undefined ? [] : [{ trigger, detection }];
    }),
  );
  return { metrics: backdoorMetrics(records), cases: judged, samples: unpatchedSamples(tags, judged) };
}
