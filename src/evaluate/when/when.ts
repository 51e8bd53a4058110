/**
 * @file When a document should be carried out: a condition on activations made from bad and ordinary prompts, and every kind of condition
 * measured on prompts that it was not made of (docs/how-to/serve-a-model.md#make-a-condition).
 */
import type { TemplateName } from '../../behaviours/index.ts';
import type { InterventionDocument } from '../../contracts/index.ts';
import type { Resolvers } from '../../interventions/index.ts';
import type { LanguageModel, TurnSettings } from '../../models/index.ts';
import type { ExperimentEnv } from '../env.ts';
import { type TemplatedPrompt, templatedPrompt } from '../subject/templated.ts';
import {
  type ActivationCondition,
  better,
  type ConditionSettings,
  type FoundCondition,
  findCondition,
  type Reader,
} from './condition.ts';
import {
  type ConditionName,
  type MeasureSettings,
  measureConditions,
  type WhenDefence,
  type WhenFigures,
} from './measure.ts';
import {
  type OfKinds,
  WHEN_PARTS,
  type WhenPart,
  type WhenTexts,
  whenParts,
  withoutTrigger,
} from './parts.ts';

/** What is asked. */
export interface WhenInput {
  readonly model: LanguageModel;
  /** The source model of the document, where it has one: a condition on its activations is made too. */
  readonly source?: Required<Pick<Reader, 'model' | 'name'>> | undefined;
  readonly texts: WhenTexts;
  readonly document?: InterventionDocument | undefined;
  readonly resolvers: Resolvers;
  readonly shows?: ((answer: string) => boolean) | undefined;
}

/** How it is asked. */
export interface WhenSettings extends ConditionSettings, MeasureSettings {
  readonly template: TemplateName;
  readonly turn?: TurnSettings | undefined;
  /** Blocks among which that of the condition is chosen. Defaults to all. */
  readonly blocks?: readonly number[] | undefined;
  /** Share of the prompts on which block and threshold are chosen, and on which figures are measured. */
  readonly validation: number;
  readonly test: number;
}

/** Conditions on activations, by the model that reads the prompts: the edited one, or the document's source. */
const MADE = ['activation', 'source'] as const;
export type MadeName = (typeof MADE)[number];

/** What was found. */
export interface WhenResult {
  readonly prompts: Readonly<Record<WhenPart, OfKinds<number>>>;
  readonly made: Readonly<Partial<Record<MadeName, FoundCondition>>>;
  /** The better of the conditions on activations; absent where none separates. */
  readonly chosen?: { readonly name: MadeName; readonly when: ActivationCondition } | undefined;
  /** Why there is none. */
  readonly unseparated?: string | undefined;
  readonly conditions: Partial<Record<ConditionName | WhenDefence, WhenFigures>>;
}

/** Make a condition, and measure all. */
export async function whenItFires(
  { model, source, texts, document, resolvers, shows }: WhenInput,
  settings: WhenSettings,
  env: ExperimentEnv,
): Promise<WhenResult> {
  const parts = whenParts(texts, settings, env.rng.fork('parts'));
  const { template, turn } = settings;
  const read = (text: string): TemplatedPrompt => templatedPrompt(model.tokenizer, text, { template, turn });
  const prompts = mapParts(parts, (part) => mapKinds(part, (all) => all.map(read)));
  const readers = [
    { name: 'activation' as const, reader: { model, blocks: settings.blocks } },
    ...(source === undefined ? [] : [{ name: 'source' as const, reader: source }]),
  ];
  const made: Partial<Record<MadeName, FoundCondition>> = {};
  for (const { name, reader } of readers) {
    env.progress({ stage: 'when', done: 0, message: `making a condition (${name})` });
    made[name] = await findCondition(reader, prompts, settings, env);
  }
  const { trigger } = texts;
  const conditions = {
    always: 'always' as const,
    span: trigger === undefined ? undefined : { span: { text: trigger } },
    activation: made.activation?.best?.when,
    source: made.source?.best?.when,
  };
  const cut = (text: string): TemplatedPrompt => read(withoutTrigger(text, trigger));
  const stripped = trigger === undefined ? undefined : parts.test.bad?.map(cut);
  const measured = await measureConditions(
    { model, test: prompts.test, conditions, stripped, document, resolvers, shows },
    settings,
    env,
  );
  return {
    prompts: mapParts(parts, (part) => mapKinds(part, (all) => all.length)),
    made,
    ...choose(made, measured, settings),
    conditions: measured,
  };
}

/** The better condition that tells test prompts apart, or why there is none. */
function choose(
  made: WhenResult['made'],
  measured: WhenResult['conditions'],
  { false_fires: bound }: ConditionSettings,
): Pick<WhenResult, 'chosen' | 'unseparated'> {
  const found = MADE.flatMap((name) => {
    const best = made[name]?.best;
    return best !== undefined && separates(measured[name]) ? [{ name, ...best }] : [];
  });
  if (found.length > 0) {
    const { name, when } = found.reduce((a, b) => (better(b.block, a.block) ? b : a));
    return { chosen: { name, when } };
  }
  const area = measured.activation?.auroc?.ordinary;
  if (area === undefined)
    return {
      unseparated: `at no block a threshold keeps false fires within ${bound} of the validation prompts and fires on a bad one`,
    };
  return {
    unseparated: `the scores do not tell bad from ordinary prompts of the test: AUROC ${area.value.toFixed(2)} [${area.ci95.map((x) => x.toFixed(2)).join(', ')}]`,
  };
}

/** Better than chance. */
function separates(figures: WhenFigures | undefined): boolean {
  return (figures?.auroc?.ordinary?.ci95[0] ?? 0) > 0.5;
}

function mapParts<A, B>(
  parts: Readonly<Record<WhenPart, A>>,
  change: (part: A) => B,
): Readonly<Record<WhenPart, B>> {
  return Object.fromEntries(WHEN_PARTS.map((name) => [name, change(parts[name])])) as Record<WhenPart, B>;
}

function mapKinds<A, B>(kinds: OfKinds<A>, change: (one: A) => B): OfKinds<B> {
  return Object.fromEntries(
    Object.entries(kinds).flatMap(([kind, one]) => (one === undefined ? [] : [[kind, change(one)]])),
  );
}
