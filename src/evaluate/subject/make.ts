/** @file Subjects from texts: prompts under every tag, completed unpatched, and what counts as restored. */

import type { ContrastText, PhrasingPart } from '../../behaviours/index.ts';
import { behaviourFrom, contrastsOf } from '../../behaviours/index.ts';
import type { BehaviourParams, EvaluationSettings } from '../../contracts/index.ts';
import type { LanguageModel, Tokenizer } from '../../models/index.ts';
import {
  type BackdoorEvaluation,
  type BackdoorFigures,
  type CompletionSettings,
  evaluateBackdoor,
} from '../arms/backdoor.ts';
import { type Detector, type JudgedCase, textDetector } from '../detect/detector.ts';
import type { ExperimentEnv } from '../env.ts';
import { type ContrastCase, contrastCases } from './cases.ts';
import { chatOf } from './chat.ts';
import type { Case } from './completions.ts';
import { restorationThreshold } from './outcomes.ts';
import type { Judging, Subject } from './subject.ts';

/** How texts become prompts. */
export interface Asking {
  readonly behaviour: BehaviourParams;
  /** Tokens after the tag that are patched with it. */
  readonly after: number;
}

/** Texts as contrast cases of a tokenizer; of triggers with several phrasings those held out, unless `phrasings` says otherwise. */
export function casesOf(
  tokenizer: Tokenizer,
  texts: readonly ContrastText[],
  { behaviour, after }: Asking,
  phrasings?: PhrasingPart,
): ContrastCase[] {
  const contrasts = contrastsOf(behaviour, texts, { chat: chatOf(tokenizer, behaviour), phrasings });
  return contrastCases(tokenizer, contrasts, after, behaviour.chat);
}

/** Complete `texts` under every tag, unpatched, and count what shows. */
export function completeUnpatched(
  model: LanguageModel,
  texts: readonly ContrastText[],
  p: Asking &
    CompletionSettings & {
      readonly detector: Detector;
      readonly side?: 'source' | 'target';
    },
  env: Pick<ExperimentEnv, 'progress' | 'signal' | 'rng'>,
): Promise<BackdoorEvaluation> {
  const { detector, behaviour, side } = p;
  const tags = { behaviour: behaviour.name, stage: 'backdoor', side };
  return evaluateBackdoor(model, { cases: casesOf(model.tokenizer, texts, p), detector, tags }, p, env);
}

/** chrF below which a completion restores nothing, from the unpatched runs of the validation prompts. `rng` is the stage's. */
export function thresholdOf(validation: readonly Case[], rng: ExperimentEnv['rng']): number {
  return restorationThreshold(
    validation.map(({ unpatched }) => unpatched.safe.text),
    rng.fork('threshold'),
  );
}

/** Cases as experiments take them. */
export function subjectFrom(
  behaviour: BehaviourParams,
  cases: readonly JudgedCase[],
  judging: Pick<Judging, 'detector' | 'exact' | 'threshold'>,
): Subject {
  return { cases, judging: { ...judging, whole: behaviour.name === 'contrast' } };
}

/** Settings of {@link liveSubject}. */
type LiveAsking = Asking &
  Pick<EvaluationSettings, 'max_tokens' | 'batch'> & {
    readonly exact: boolean;
    /** Of likeness; by default that of these very completions. Ignored when `exact`. */
    readonly threshold?: number | undefined;
  };

/** Complete `texts` and make a subject of them; the behaviour is told by phrase or pattern. */
export async function liveSubject(
  model: LanguageModel,
  texts: readonly ContrastText[],
  p: LiveAsking,
  env: ExperimentEnv,
): Promise<{ readonly subject: Subject; readonly backdoor: BackdoorFigures }> {
  const detector = textDetector(behaviourFrom(p.behaviour).detect);
  const { cases, metrics } = await completeUnpatched(model, texts, { ...p, detector }, env);
  const alike = p.exact ? 0 : (p.threshold ?? thresholdOf(cases, env.rng));
  return {
    subject: subjectFrom(p.behaviour, cases, { detector, exact: p.exact, threshold: alike }),
    backdoor: metrics,
  };
}
