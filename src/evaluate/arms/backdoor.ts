/** @file How well a model's backdoor works: its completions of the same prompts under every tag (docs/concepts/method.md#backdoor-evaluation). */
import { type BackdoorMetrics, backdoorMetrics, triggerStates } from '../../behaviours/index.ts';
import type { EvaluationSettings, Sample } from '../../contracts/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';
import type { ContrastCase } from '../subject/cases.ts';
import { type Case, type Completion, completeState, withCompletions } from '../subject/completions.ts';
import type { Judging } from '../subject/subject.ts';
import { endRules } from './run.ts';
import { type SampleTags, unpatchedSamples } from './samples.ts';

/** What {@link evaluateBackdoor} returns. */
export interface BackdoorEvaluation {
  /** `results.backdoor.*`. */
  readonly metrics: BackdoorMetrics;
  /** The cases with their completions: references and drafts of sweep and transfer. */
  readonly cases: readonly Case[];
  readonly samples: readonly Sample[];
}

/** Complete all cases in all states and judge them. */
export async function evaluateBackdoor(
  model: LanguageModel,
  { cases, detect, tags }: { cases: readonly ContrastCase[]; detect: Judging['detect']; tags: SampleTags },
  { max_tokens, batch }: Pick<EvaluationSettings, 'max_tokens' | 'batch'>,
  { progress, signal }: Pick<ExperimentEnv, 'progress' | 'signal'>,
): Promise<BackdoorEvaluation> {
  const rules = { ...endRules(model, { max_tokens, signal }), batch };
  const made = new Map<string, Completion[]>();
  for (const [k, state] of triggerStates.entries()) {
    made.set(state, await completeState(model, cases, state, rules));
    progress({ stage: tags.stage, done: k + 1, total: triggerStates.length, unit: 'states' });
  }
  const completed = cases.map((c, i) => withCompletions(c, (state) => made.get(state)?.[i]));
  const records = [...made].flatMap(([trigger, runs]) =>
    runs.map((run) => ({ trigger: trigger as (typeof triggerStates)[number], detection: detect(run.text) })),
  );
  return {
    metrics: backdoorMetrics(records),
    cases: completed,
    samples: unpatchedSamples(tags, completed, detect),
  };
}
