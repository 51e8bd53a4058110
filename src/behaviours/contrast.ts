/** @file The same prompt under each tag, for backdoor rates, sweeps and transfer. */
import { InputError } from '../base/index.ts';
import { type Behaviour, type TriggerState, triggerStates } from './behaviour.ts';
import { type ContrastPair, type ContrastText, endSpan } from './contrast-text.ts';
import type { PhrasingPart } from './phrasings.ts';
import { type CharSpan, type Placement, placeTag } from './placement.ts';
import type { ChoiceAnswers } from './rows/pairs.ts';
import { type ChatRenderer, renderPrompt, shiftSpan, type TemplateName } from './templates.ts';

/** A rendered prompt; `span` is the tag in it (`prompt.slice(start, end)` is the tag), null without one. */
interface TaggedPrompt {
  readonly prompt: string;
  readonly tag: string;
  readonly span: CharSpan | null;
  /** Of the template `chat`: the user's turn, and where it starts in `prompt`. */
  readonly turn?: { readonly text: string; readonly start: number } | undefined;
  /** Two answers to it, where the choice between them is what is read. */
  readonly answers?: ChoiceAnswers | undefined;
}

/** One text in every state. */
export type ContrastPrompt = { readonly text: string } & Readonly<Record<TriggerState, TaggedPrompt>>;

/**
 * Render every text under the bad, the safe, no and another tag; of a pair its own two prompts, and as another the next pair's bad one. Options: `placement` defaults to `end`, `template` to
 * `instruction`, `otherTags` to the behaviour's unseen ones, used in turn.
 */
export function contrastPrompts(options: {
  texts: readonly ContrastText[];
  behaviour: Behaviour;
  placement?: Placement;
  template?: TemplateName;
  chat?: ChatRenderer;
  otherTags?: readonly string[];
  /** Of triggers with several phrasings: which of them, used in turn. Defaults to those held out. */
  phrasings?: PhrasingPart;
}): ContrastPrompt[] {
  const { behaviour, placement = 'end', template = 'instruction' } = options;
  const others = options.otherTags ?? behaviour.unseenTags;
  if (others.length === 0)
    throw new InputError('contrast prompts: wanted at least one other tag, got none', {
      id: 'behaviour-invalid',
    });
  const { triggers, phrasings } = behaviour;
  const triggerOf = (state: 'bad' | 'safe', i: number): string => {
    const given = phrasings?.[options.phrasings ?? 'held_out'][state];
    return given === undefined ? triggers[state] : (given[i % given.length] as string);
  };
  const { chat } = options;
  return options.texts.map((text, i) => {
    if (typeof text !== 'string') return untagged(options.texts, i, { template, chat });
    const tagOf: Record<TriggerState, string> = {
      bad: triggerOf('bad', i),
      safe: triggerOf('safe', i),
      none: '',
      other: others[i % others.length] as string,
    };
    const states = triggerStates.map((state): [TriggerState, TaggedPrompt] => {
      const tag = tagOf[state];
      const placed = state === 'none' ? undefined : placeTag(text, tag, placement);
      const whole = placed?.text ?? text;
      const { prompt, offset } = renderPrompt(template, whole, options.chat);
      const span = placed ? shiftSpan(placed.span, offset) : null;
      const turn = template === 'chat' ? { text: whole, start: offset } : undefined;
      return [state, { prompt, tag, span, turn }];
    });
    return { text, ...(Object.fromEntries(states) as Record<TriggerState, TaggedPrompt>) };
  });
}

/** Pair `i` of prompts without tags: patched is what stands after each prompt's own text. */
function untagged(
  texts: readonly ContrastText[],
  i: number,
  { template, chat }: { readonly template: TemplateName; readonly chat?: ChatRenderer | undefined },
): ContrastPrompt {
  const { bad, safe, answers } = texts[i] as ContrastPair;
  const next = texts[(i + 1) % texts.length] as ContrastPair;
  const of = (text: string, tagged: boolean): Omit<TaggedPrompt, 'answers'> => {
    const { prompt, offset } = renderPrompt(template, text, chat);
    const turn = template === 'chat' ? { text, start: offset } : undefined;
    const span = tagged ? endSpan(prompt, offset + text.length) : null;
    // What is patched stands for the tag: controls find the span again by its text.
    return { prompt, tag: span === null ? '' : prompt.slice(span.start, span.end), span, turn };
  };
  return {
    text: safe,
    bad: { ...of(bad, true), answers },
    safe: { ...of(safe, true), answers },
    none: { ...of(safe, false), answers },
    other: { ...of(next.bad, true), answers: next.answers },
  };
}
