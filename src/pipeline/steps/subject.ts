/** @file Prompts under every tag with what the model says of them unpatched: what sweeps and transfer start from. */

import { behaviourFrom, type ChatRenderer, contrastsOf } from '../../behaviours/index.ts';
import type { BehaviourParams } from '../../contracts/index.ts';
import {
  type BackdoorEvaluation,
  type ContrastCase,
  contrastCases,
  type ExperimentEnv,
  evaluateBackdoor,
  restorationThreshold,
  type StateRuns,
  type Subject,
} from '../../evaluate/index.ts';
import type { LanguageModel, Tokenizer } from '../../models/index.ts';

/** Texts as contrast cases of a tokenizer. `chat` is needed for the template `chat`. */
export function casesOf(
  tokenizer: Tokenizer,
  behaviour: BehaviourParams,
  texts: readonly string[],
  after: number,
  chat?: ChatRenderer,
): ContrastCase[] {
  return contrastCases(tokenizer, contrastsOf(behaviour, texts, chat), { after });
}

/** Complete `texts` under every tag, unpatched, and count what shows. */
export async function runUnpatched(
  model: LanguageModel,
  texts: readonly string[],
  p: { behaviour: BehaviourParams; after: number; max_tokens: number; batch: number; chat?: ChatRenderer },
  { progress, signal }: Pick<ExperimentEnv, 'progress' | 'signal'>,
  side?: 'source' | 'target',
): Promise<BackdoorEvaluation & { readonly cases: readonly ContrastCase[] }> {
  const cases = casesOf(model.tokenizer, p.behaviour, texts, p.after, p.chat);
  const { detect } = behaviourFrom(p.behaviour);
  const tags = {
    behaviour: p.behaviour.name,
    stage: 'backdoor',
    side,
  };
  const shared = { maxNewTokens: p.max_tokens, batch: p.batch, tags, progress, signal };
  return { ...(await evaluateBackdoor(model, cases, { detect }, shared)), cases };
}

/** chrF below which a completion restores nothing, from the unpatched runs of the validation prompts. `rng` is the stage's. */
export function thresholdOf(validation: StateRuns, rng: ExperimentEnv['rng']): number {
  return restorationThreshold(
    (validation.safe ?? []).map((run) => run.text),
    rng.fork('threshold'),
  );
}

/** The first `n` (defaults to all) of some cases with their runs, as experiments take them. */
export function subjectFrom(
  behaviour: BehaviourParams,
  cases: readonly ContrastCase[],
  runs: StateRuns,
  { exact, threshold, n = cases.length }: { exact: boolean; threshold: number; n?: number },
): Subject {
  const cut = Object.fromEntries(Object.entries(runs).map(([state, ends]) => [state, ends.slice(0, n)]));
  return {
    cases: cases.slice(0, n),
    runs: cut,
    judging: { detect: behaviourFrom(behaviour).detect, exact, threshold },
  };
}
