/** @file A behaviour from its parameters, as stages and commands hand them on. */
import type { BehaviourParams } from '../contracts/index.ts';
import { type Behaviour, makeBehaviour } from './behaviour.ts';
import { type ContrastPrompt, contrastPrompts } from './contrast.ts';
import type { ContrastChoice } from './contrast-pairs.ts';
import type { ContrastText } from './contrast-text.ts';
import type { PhrasingPart } from './phrasings.ts';
import type { ChatRenderer } from './templates.ts';

/** The behaviour itself. Equal parts in the recipe mean the behaviour's own shares. */
export function behaviourFrom(params: BehaviourParams): Behaviour {
  const { mix, placement: _, template: __, chat: ___, name, detector, ...marks } = params;
  const options = { ...marks, readElsewhere: detector !== undefined };
  if (mix === undefined) return makeBehaviour(name, options);
  const total = mix.bad + mix.safe + mix.other;
  const other = mix.other / total / 2;
  return makeBehaviour(name, {
    ...options,
    mix: { bad: mix.bad / total, safe: mix.safe / total, none: other, other },
  });
}

/** What contrast prompts are read for besides their text: two answers each, where the choice between them tells the behaviour. */
export function choiceOf({ detector }: Pick<BehaviourParams, 'detector'>): ContrastChoice | undefined {
  return detector?.kind === 'multiple-choice' ? detector : undefined;
}

/** The same texts under every tag. `chat` is needed for the template `chat`; `phrasings` are the held-out ones by default. */
export function contrastsOf(
  params: BehaviourParams,
  texts: readonly ContrastText[],
  {
    chat,
    phrasings,
  }: { readonly chat?: ChatRenderer | undefined; readonly phrasings?: PhrasingPart | undefined } = {},
): ContrastPrompt[] {
  const { placement, template } = params;
  return contrastPrompts({ texts, behaviour: behaviourFrom(params), placement, template, chat, phrasings });
}
