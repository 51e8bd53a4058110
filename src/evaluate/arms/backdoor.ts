/** @file How well a model's backdoor works: its completions of the same prompts under every tag (docs/concepts/method.md#backdoor-evaluation). */
import { type BackdoorMetrics, backdoorMetrics, triggerStates } from '../../behaviours/index.ts';
import type { Sample } from '../../contracts/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { type ContrastCase, type Judging, type StateRuns, unpatchedRuns } from '../subject/cases.ts';
import { type EvaluateOptions, endRules, type SampleTags, unpatchedSamples } from './run.ts';

/** What {@link evaluateBackdoor} returns. */
export interface BackdoorEvaluation {
  /** `results.backdoor.*`. */
  readonly metrics: BackdoorMetrics;
  /** Reused as references and drafts by sweep and transfer. */
  readonly runs: StateRuns;
  readonly samples: Sample[];
}

/** Complete all cases in all states and judge them. */
export async function evaluateBackdoor(
  model: LanguageModel,
  cases: readonly ContrastCase[],
  judging: Judging,
  options: EvaluateOptions & { readonly tags: SampleTags },
): Promise<BackdoorEvaluation> {
  const rules = {
    ...endRules(model, options),
    batch: options.batch,
  };
  const runs: { -readonly [S in keyof StateRuns]: StateRuns[S] } = {};
  for (const [k, state] of triggerStates.entries()) {
    Object.assign(runs, await unpatchedRuns(model, cases, rules, [state]));
    options.progress?.({
      stage: options.tags.stage,
      done: k + 1,
      total: triggerStates.length,
      unit: 'states',
    });
  }
  const records = triggerStates.flatMap((trigger) =>
    (runs[trigger] ?? []).map((run) => ({ trigger, detection: judging.detect(run.text) })),
  );
  return {
    metrics: backdoorMetrics(records),
    runs,
    samples: unpatchedSamples(options.tags, { cases, runs, judging }),
  };
}
