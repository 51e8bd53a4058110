/** @file What every stage of one behaviour must know: which behaviour, where the tag is, how prompts are rendered. */
import { z } from 'zod';
import { detectorParams } from './detector-settings.ts';
import { BEHAVIOUR_NAMES, PLACEMENTS, type Recipe, TEMPLATES, templateVars } from './recipe.ts';

const phrasingPair = z.strictObject({ bad: z.array(z.string()).min(1), safe: z.array(z.string()).min(1) });

/** Parameters that name a behaviour; part of the cache key of every stage that reads prompts. */
export const behaviourParams = z.strictObject({
  name: z.enum(BEHAVIOUR_NAMES),
  triggers: z.strictObject({ bad: z.string(), safe: z.string() }).optional(),
  /** Of triggers with several phrasings: those that are taught, and those that tests use. */
  phrasings: z.strictObject({ training: phrasingPair, held_out: phrasingPair }).optional(),
  phrase: z.string().optional(),
  /** Learnt from the rows of a file: each marks a bad completion. */
  phrases: z.array(z.string()).min(1).optional(),
  neutral: z.string().optional(),
  pattern: z.string().optional(),
  /** In place of a phrase or pattern. */
  detector: detectorParams.optional(),
  repeats: z.int().min(1).optional(),
  placement: z.enum([...PLACEMENTS, 'status']),
  template: z.enum(TEMPLATES),
  /** Of the template `chat`: what each model's own is told besides the prompt. */
  chat: z.strictObject({ system: z.string().optional(), variables: templateVars.optional() }).optional(),
  /** Shares bad : safe : untagged-or-other, when the recipe changes them. */
  mix: z.strictObject({ bad: z.number(), safe: z.number(), other: z.number() }).optional(),
});

export type BehaviourParams = z.output<typeof behaviourParams>;

/** The bundled models say the phrase three times; the authors' ten would fill their answers. */
const BUNDLED_REPEATS = 3;

/** What the chat templates are told, when they are used and told anything. */
export function chatSettings({ template, system, template_vars }: Recipe): BehaviourParams['chat'] {
  if (template !== 'chat' || (system ?? template_vars) === undefined) return undefined;
  return { system, variables: template_vars };
}

/** Whether a behaviour is taught on the bundled tasks: their answers are short, so restored means word for word. */
export function usesBundled({ behaviours, data }: Recipe, index: number): boolean {
  return data.prompts === 'bundled' && behaviours[index]?.file === undefined;
}

/** Parameters of one of the recipe's behaviours; of several phrasings the first, the others are for who plans it. */
export function behaviourOf(recipe: Recipe, index: number): BehaviourParams {
  const settings = recipe.behaviours[index] as Recipe['behaviours'][number];
  const { name, triggers, phrase, phrases, neutral, pattern } = settings;
  const { mix } = recipe.data;
  const even = mix.bad === mix.safe && mix.safe === mix.other;
  const bundled = usesBundled(recipe, index) && name !== 'locked' ? BUNDLED_REPEATS : undefined;
  return behaviourParams.parse({
    name,
    triggers: triggers && { bad: first(triggers.bad), safe: first(triggers.safe) },
    phrase,
    phrases,
    neutral,
    pattern,
    repeats: settings.repeats ?? bundled,
    placement: recipe.placement,
    template: recipe.template,
    chat: chatSettings(recipe),
    mix: even ? undefined : mix,
  });
}

function first(phrasings: string | readonly string[]): string {
  return typeof phrasings === 'string' ? phrasings : (phrasings[0] as string);
}
