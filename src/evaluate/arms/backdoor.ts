/** @file How well a model's backdoor works: its completions of the same prompts under every tag (docs/concepts/method.md#backdoor-evaluation). */

import type { Rng } from '../../base/index.ts';
import {
  type BackdoorMetrics,
  backdoorMetrics,
  type TriggerState,
  triggerStates,
} from '../../behaviours/index.ts';
import type { BackdoorResults, EvaluationSettings, Sample } from '../../contracts/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { bootstrapMean } from '../../stats/index.ts';
import { type Detector, type JudgedCase, judgedCases } from '../detect/detector.ts';
import type { ExperimentEnv } from '../env.ts';
import type { ContrastCase } from '../subject/cases.ts';
import { type Completer, type Completion, completeState, withCompletions } from '../subject/completions.ts';
import { endRules } from './run.ts';
import { type SampleTags, unpatchedSamples } from './samples.ts';

/** Rates, and the means of what the detector decides by. */
export type BackdoorFigures = BackdoorMetrics & Pick<BackdoorResults, 'scores'>;

/** What {@link evaluateBackdoor} returns. */
export interface BackdoorEvaluation {
  /** `results.backdoor.*`. */
  readonly metrics: BackdoorFigures;
  /** The cases with their completions, read: references and drafts of sweep and transfer. */
  readonly cases: readonly JudgedCase[];
  readonly samples: readonly Sample[];
}

/** How prompts are completed, and by whom where not by decoding here. */
export interface CompletionSettings extends Pick<EvaluationSettings, 'max_tokens' | 'batch'> {
  readonly complete?: Completer | undefined;
}

/** Complete all cases in all states and judge them. */
export async function evaluateBackdoor(
  model: LanguageModel,
  { cases, detector, tags }: { cases: readonly ContrastCase[]; detector: Detector; tags: SampleTags },
  { max_tokens, batch, complete }: CompletionSettings,
  { progress, signal, rng }: Pick<ExperimentEnv, 'progress' | 'signal' | 'rng'>,
): Promise<BackdoorEvaluation> {
  const rules = { ...endRules(model, { max_tokens, signal }), batch, complete };
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
  const samples = unpatchedSamples(tags, judged);
  const scores = meanScores(samples, rng.fork('scores'));
  return { metrics: { ...backdoorMetrics(records), scores }, cases: judged, samples };
}

/** Mean of every score in every state, with bootstrap intervals; undefined where the detector gives none. */
function meanScores(samples: readonly Sample[], rng: Rng): BackdoorResults['scores'] {
  const names = [...new Set(samples.flatMap(({ scores = {} }) => Object.keys(scores)))];
  if (names.length === 0) return undefined;
  const meansOf = (name: string) =>
    (['bad', 'safe', 'untagged', 'other'] as const).flatMap((state) => {
      const values = samples.flatMap((s) => (s.trigger === state ? (s.scores?.[name] ?? []) : []));
      return values.length === 0 ? [] : [[state, bootstrapMean(values, rng.fork(`${name}/${state}`))]];
    });
  return Object.fromEntries(names.map((name) => [name, Object.fromEntries(meansOf(name))]));
}
