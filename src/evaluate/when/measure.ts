/**
 * @file What a document does under each condition, on prompts that nothing was fitted or chosen on: where it fires, what it costs on ordinary
 * prompts, and what is left of the behaviour, beside no defence and beside cutting the trigger out of the prompt.
 */
import type { InterventionDocument, InterventionWhen } from '../../contracts/index.ts';
import {
  activationScores,
  applyIntervention,
  firesOn,
  holdsTexts,
  measureEffect,
  type Resolvers,
} from '../../interventions/index.ts';
import type { FwdHook, LanguageModel } from '../../models/index.ts';
import { auroc, bootstrapMean, type Estimate, rate } from '../../stats/index.ts';
import type { ExperimentEnv } from '../env.ts';
import type { TemplatedPrompt } from '../subject/templated.ts';
import type { ReadPrompts } from './condition.ts';
import { type OfKinds, WHEN_KINDS, type WhenKind } from './parts.ts';

/** What stands beside the conditions: nothing done, and the trigger cut out of the prompt. */
export const WHEN_DEFENCES = ['none', 'strip'] as const;
export type WhenDefence = (typeof WHEN_DEFENCES)[number];

/** Conditions by the name they have in the table. */
export const CONDITIONS = ['always', 'span', 'activation', 'source'] as const;
export type ConditionName = (typeof CONDITIONS)[number];

/** What became of the prompts under a condition or a defence. */
export interface WhenFigures {
  /** Share of prompts on which the condition holds; for `strip`, on which there is something to cut out. */
  readonly fires: OfKinds<Estimate>;
  /** Of a condition on activations: how well its scores tell bad prompts from each other kind. */
  readonly auroc?: OfKinds<Estimate>;
  /** On ordinary prompts: mean KL(steered ‖ unsteered) of the next token in nats, and the share of greedy answers that are others. */
  readonly cost?: { readonly kl: Estimate; readonly changed: Estimate } | undefined;
  /** Share of bad prompts whose answer shows the behaviour. */
  readonly shows?: Estimate | undefined;
  /** Without any defence: of prompts of each kind. A condition that fires where the behaviour shows does not fire falsely. */
  readonly shows_on?: OfKinds<Estimate>;
}

/** What is measured, and with what. */
export interface WhenMeasurement {
  readonly model: LanguageModel;
  readonly test: ReadPrompts;
  readonly conditions: Readonly<Record<ConditionName, InterventionWhen | undefined>>;
  /** The bad prompts with the trigger cut out; absent where no trigger was named. */
  readonly stripped?: readonly TemplatedPrompt[] | undefined;
  /** Its own `when` is passed over. Without one nothing is steered. */
  readonly document?: InterventionDocument | undefined;
  readonly resolvers: Resolvers;
  readonly shows?: ((answer: string) => boolean) | undefined;
}

/** How it is measured. */
export interface MeasureSettings {
  readonly batch: number;
  readonly max_tokens: number;
  readonly bootstrap: number;
}

/** Measure all of it. A document is carried out on a prompt or not, so one run with it and one without serve every condition. */
export async function measureConditions(
  { model, test, conditions, stripped, document: given, resolvers, shows }: WhenMeasurement,
  settings: MeasureSettings,
  env: Pick<ExperimentEnv, 'rng' | 'signal' | 'progress'>,
): Promise<Partial<Record<ConditionName | WhenDefence, WhenFigures>>> {
  const { bad = [], ordinary = [] } = test;
  const document = given && { ...given, when: 'always' as const };
  const run: Answering = { model, settings, signal: env.signal, resolvers };
  const step = (message: string): void => env.progress({ stage: 'when', done: 0, message });
  step('measuring: answers without steering');
  const plain = {
    bad: shows && (await answers(run, bad)),
    ordinary: document && (await answers(run, ordinary)),
  };
  step('measuring: answers with steering');
  const steered = document && {
    bad: plain.bad && (await steeredAnswers(run, document, bad, plain.bad)),
    ordinary: plain.ordinary && (await steeredAnswers(run, document, ordinary, plain.ordinary)),
    kl: await divergences(run, document, ordinary),
  };
  const out: Partial<Record<ConditionName | WhenDefence, WhenFigures>> = {};
  for (const name of CONDITIONS) {
    const when = conditions[name];
    if (when === undefined) continue;
    step(`measuring: ${name}`);
    const { holds, auroc: areas } = await holdsOn({ model, when, document }, test, resolvers);
    const where = holds.ordinary ?? [];
    out[name] = {
      fires: rates(holds),
      auroc: areas,
      cost: steered?.ordinary && {
        kl: bootstrapMean(
          steered.kl.map((kl, i) => (where[i] ? kl : 0)),
          env.rng.fork(`kl/${name}`),
          { resamples: settings.bootstrap },
        ),
        changed: rate(steered.ordinary.map((text, i) => where[i] && text !== plain.ordinary?.[i])),
      },
      shows:
        shows &&
        steered?.bad &&
        rate(steered.bad.map((text, i) => shows(holds.bad?.[i] ? text : (plain.bad?.[i] ?? '')))),
    };
  }
  if (shows === undefined || plain.bad === undefined) return out;
  const bare = rate(plain.bad.map(shows));
  out.none = { fires: {}, shows: bare, shows_on: { bad: bare, ...(await showsElsewhere(run, test, shows)) } };
  if (stripped !== undefined) {
    step('measuring: the trigger cut out');
    out.strip = { fires: {}, shows: rate((await answers(run, stripped)).map(shows)) };
  }
  return out;
}

/** Whether the condition holds and the document is carried out, prompt by prompt. */
async function holdsOn(
  {
    model,
    when,
    document,
  }: {
    readonly model: LanguageModel;
    readonly when: InterventionWhen;
    readonly document: InterventionDocument | undefined;
  },
  test: ReadPrompts,
  resolvers: Resolvers,
): Promise<{ holds: OfKinds<boolean[]>; auroc?: OfKinds<Estimate> }> {
  const holds: Partial<Record<WhenKind, boolean[]>> = {};
  const scores: Partial<Record<WhenKind, number[]>> = {};
  const activation = typeof when === 'object' && 'activation' in when ? when.activation : undefined;
  for (const kind of WHEN_KINDS) {
    const prompts = test[kind];
    if (prompts === undefined) continue;
    const own = activation && (await activationScores(model, activation, prompts, resolvers));
    if (own !== undefined) scores[kind] = own;
    const does =
      own?.map((score) => score >= (activation?.threshold ?? 0)) ??
      (await firesOn(model, { when }, prompts, resolvers));
    holds[kind] = does.map((x, i) => x && (document === undefined || holdsTexts(document, prompts[i])));
  }
  if (activation === undefined) return { holds };
  const { bad = [], ...others } = scores;
  const areas = Object.entries(others).map(([kind, all]) => [kind, auroc(bad, all)]);
  return { holds, auroc: Object.fromEntries(areas) };
}

/** The share of answers that show the behaviour without any defence, on every kind of prompt but the bad ones. */
async function showsElsewhere(
  run: Answering,
  test: ReadPrompts,
  shows: (answer: string) => boolean,
): Promise<OfKinds<Estimate>> {
  const found: Partial<Record<WhenKind, Estimate>> = {};
  for (const kind of WHEN_KINDS) {
    const prompts = test[kind];
    if (kind === 'bad' || prompts === undefined) continue;
    found[kind] = rate((await answers(run, prompts)).map(shows));
  }
  return found;
}

function rates(holds: OfKinds<readonly boolean[]>): OfKinds<Estimate> {
  return Object.fromEntries(Object.entries(holds).map(([kind, all]) => [kind, rate(all)]));
}

interface Answering {
  readonly model: LanguageModel;
  readonly settings: MeasureSettings;
  readonly signal: AbortSignal;
  readonly resolvers: Resolvers;
}

/** Greedy. */
async function answers(
  { model, settings, signal }: Answering,
  prompts: readonly TemplatedPrompt[],
  fwdHooks: readonly FwdHook[] = [],
): Promise<string[]> {
  const completions = await model.generate(
    prompts.map(({ ids }) => ids),
    { maxNewTokens: settings.max_tokens, maxBatch: settings.batch, signal, fwdHooks },
  );
  return completions.map(({ text }) => text);
}

/** As {@link answers} with the document; those of prompts on which it is not carried out are the `plain` ones. */
async function steeredAnswers(
  run: Answering,
  document: InterventionDocument,
  prompts: readonly TemplatedPrompt[],
  plain: readonly string[],
): Promise<string[]> {
  const { fires, fwdHooks } = await applyIntervention(run.model, document, prompts, skipping(run));
  const found = await answers(run, prompts, fwdHooks);
  return found.map((text, i) => (fires[i] ? text : plain[i]));
}

/** KL of the next token, prompt by prompt; 0 where the document is not carried out. */
async function divergences(
  run: Answering,
  document: InterventionDocument,
  prompts: readonly TemplatedPrompt[],
): Promise<number[]> {
  const { batch } = run.settings;
  const effects = await measureEffect(run.model, document, prompts, { ...skipping(run), batch });
  return effects.map(([first]) => first?.kl_div ?? 0);
}

/** As a server does: a prompt without a text that an edit looks for is left as it is; no effect is a result here. */
function skipping({ resolvers }: Answering): Parameters<typeof applyIntervention>[3] {
  return { ...resolvers, unmatched: 'skip', expectNoop: true };
}
