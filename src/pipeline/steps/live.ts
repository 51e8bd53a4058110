/** @file Experiments outside a run: the unpatched completions they need are made on the spot, with the streams a run would use. */

import { InputError } from '../../base/index.ts';
import type { BackdoorMetrics, ChatRenderer } from '../../behaviours/index.ts';
import type { BehaviourParams, Rate, WorthRow } from '../../contracts/index.ts';
import { type BlockOf, type ExperimentEnv, type Subject, stripTrigger, worth } from '../../evaluate/index.ts';
import type { ActivationMap } from '../../maps/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { type Steered, type Steering, type SteerSettings, steerByMaps } from './steer.ts';
import { casesOf, runUnpatched, subjectFrom, thresholdOf } from './subject.ts';

/** How prompts are rendered, completed and judged. */
export interface Asking {
  readonly behaviour: BehaviourParams;
  /** Tokens behind the tag that are patched with it. */
  readonly after: number;
  readonly max_tokens: number;
  readonly batch: number;
  /** Restored = word for word the own safe completion. */
  readonly exact: boolean;
  readonly chat: ChatRenderer;
}

/** Circumstances of each stage that would do this in a run. */
export interface LiveEnvs {
  readonly runs: ExperimentEnv;
  readonly transfer: ExperimentEnv;
}

/** Complete `texts` under every tag and make a subject of them. `threshold`: of likeness; by default that of these very completions. */
export async function liveSubject(
  model: LanguageModel,
  texts: readonly string[],
  p: Asking,
  env: ExperimentEnv,
  threshold?: number,
): Promise<{ readonly subject: Subject; readonly backdoor: BackdoorMetrics }> {
  const { cases, runs, metrics } = await runUnpatched(model, texts, p, env);
  const alike = p.exact ? 0 : (threshold ?? thresholdOf(runs, env.rng));
  const subject = subjectFrom(p.behaviour, cases, runs, { exact: p.exact, threshold: alike });
  return { subject, backdoor: metrics };
}

/** Texts of {@link liveTransfer}. */
export interface TransferTexts {
  readonly test: readonly string[];
  /** For α, and for what counts as alike; without them the test prompts say what is alike, and α must be given. */
  readonly validation?: readonly string[] | undefined;
  /** For the static vector and for `ks`. */
  readonly training: readonly string[];
}

/** Settings of {@link liveTransfer}; names as in the recipe. */
export interface LiveTransferSettings extends SteerSettings {
  readonly static_prompts: number;
  /** Numbers of labelled prompts; empty leaves it out. */
  readonly ks: readonly number[];
}

/** Validation prompts on which α is chosen, at most; as in recipes. */
const ALPHA_PROMPTS = 100;

/** Steer `target` by `source` over one map. */
export async function liveTransfer(
  {
    source,
    target,
    map,
    controls,
  }: {
    readonly source: BlockOf;
    readonly target: BlockOf;
    readonly map: ActivationMap;
    readonly controls: Steering['controls'];
  },
  texts: TransferTexts,
  asking: Asking,
  p: LiveTransferSettings,
  envs: LiveEnvs,
): Promise<Steered & { readonly strip_trigger?: Rate; readonly worth?: readonly WorthRow[] }> {
  const { behaviour, after, exact, chat, max_tokens } = asking;
  const choosesAlpha = p.modes.includes('add') && p.alphas.length > 1;
  if (choosesAlpha && texts.validation === undefined)
    throw new InputError(
      'transfer: α is chosen on validation prompts, which a file of prompts does not have; give one --alpha, or a folder made by data build',
    );
  const validation =
    texts.validation !== undefined && (choosesAlpha || !exact)
      ? await liveSubject(target.model, texts.validation, asking, envs.runs)
      : undefined;
  const threshold = validation?.subject.judging.threshold;
  const { subject } = await liveSubject(target.model, texts.test, asking, envs.runs, threshold);
  const training = casesOf(
    target.model.tokenizer,
    behaviour,
    texts.training.slice(0, Math.max(p.static_prompts, ...p.ks)),
    after,
    chat,
  );
  const steered = await steerByMaps(
    {
      target,
      source: () => source,
      subject,
      ...(validation === undefined ? {} : { validation: first(validation.subject, ALPHA_PROMPTS) }),
      training: training.slice(0, p.static_prompts),
      maps: [{ label: map.kind, fit: map.fit, map }],
      controls,
    },
    p,
    behaviour.name,
    envs.transfer,
  );
  const { progress, signal } = envs.transfer;
  const mapped = steered.transfer[map.kind]?.[map.fit]?.arms.mapped?.restoration;
  const rows =
    p.ks.length === 0
      ? undefined
      : await worth(target, subject, training, {
          maxNewTokens: max_tokens,
          progress,
          signal,
          ks: p.ks,
          mapped,
        });
  const strip = stripTrigger(subject);
  return {
    ...steered,
    strip_trigger: strip,
    worth: rows,
  };
}

function first({ cases, runs, judging }: Subject, n: number): Subject {
  const cut = Object.fromEntries(Object.entries(runs).map(([state, ends]) => [state, ends.slice(0, n)]));
  return { cases: cases.slice(0, n), runs: cut, judging };
}
