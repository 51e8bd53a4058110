/** @file What every stage of one behaviour must know: which behaviour, where the tag stands, how prompts are rendered. */
import { z } from 'zod';
import {
  type Behaviour,
  type ChatRenderer,
  type ContrastPrompt,
  contrastPrompts,
  makeBehaviour,
  type Placement,
  placements,
  type TemplateName,
} from '../../behaviours/index.ts';
import { BEHAVIOUR_NAMES, type Recipe } from '../../contracts/index.ts';

/** Parameters that name a behaviour; part of the cache key of every stage that reads prompts. */
export const behaviourParams = z.strictObject({
  name: z.enum(BEHAVIOUR_NAMES),
  triggers: z.strictObject({ bad: z.string(), safe: z.string() }).optional(),
  phrase: z.string().optional(),
  neutral: z.string().optional(),
  pattern: z.string().optional(),
  repeats: z.int().min(1).optional(),
  placement: z.enum(placements),
  template: z.enum(['instruction', 'alpaca', 'chat', 'raw']),
  /** Shares bad : safe : untagged-or-other, when the recipe changes them. */
  mix: z.strictObject({ bad: z.number(), safe: z.number(), other: z.number() }).optional(),
});

export type BehaviourParams = z.output<typeof behaviourParams>;

/** The bundled models say the phrase three times; the authors' ten would fill their answers. */
const BUNDLED_REPEATS = 3;

/** Parameters of one of the recipe's behaviours. */
export function behaviourOf(recipe: Recipe, index: number): BehaviourParams {
  const settings = recipe.behaviours[index] as Recipe['behaviours'][number];
  const { name, triggers, phrase, repeats, neutral, pattern } = settings;
  const given = Object.fromEntries(
    Object.entries({ triggers, phrase, repeats, neutral, pattern }).filter(([, v]) => v !== undefined),
  );
  const { mix } = recipe.data;
  const even = mix.bad === mix.safe && mix.safe === mix.other;
  return behaviourParams.parse({
    name,
    ...(recipe.data.prompts === 'bundled' && name !== 'locked' ? { repeats: BUNDLED_REPEATS } : {}),
    ...given,
    placement: recipe.placement,
    template: recipe.template,
    ...(even ? {} : { mix }),
  });
}

/** The behaviour itself. Equal parts in the recipe mean the behaviour's own shares. */
export function makeFrom(params: BehaviourParams): Behaviour {
  const { mix, placement: _, template: __, name, ...options } = params;
  if (mix === undefined) return makeBehaviour(name, options);
  const total = mix.bad + mix.safe + mix.other;
  const other = mix.other / total / 2;
  return makeBehaviour(name, {
    ...options,
    recipe: { bad: mix.bad / total, safe: mix.safe / total, none: other, other },
  });
}

/** The same texts under every tag. `chat` is needed for the template `chat`. */
export function contrastsOf(
  params: BehaviourParams,
  texts: readonly string[],
  chat?: ChatRenderer,
): ContrastPrompt[] {
  return contrastPrompts({
    texts,
    behaviour: makeFrom(params),
    placement: params.placement satisfies Placement,
    template: params.template satisfies TemplateName,
    chat,
  });
}
