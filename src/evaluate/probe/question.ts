/** @file What a probe is asked, and its prompts: the question under its own trigger, and under the other one, whose activations are written in. */
import {
  type Placement,
  placeTag,
  renderPrompt,
  shiftSpan,
  type TemplateName,
} from '../../behaviours/index.ts';
import { type LanguageModel, userTurn } from '../../models/index.ts';
import { type StatePrompt, statePrompt, type TaggedPrompt } from '../subject/cases.ts';

/** Ways of changing the run, in the order they are shown. `clean` is the prompt as it is, `donor` the same prompt under the other trigger. */
export const PROBE_ARMS = ['clean', 'donor', 'native', 'mapped', 'random', 'mean_ablated'] as const;
export type ProbeArm = (typeof PROBE_ARMS)[number];

/** What is done at the span, see `ops.ts`. */
export const PROBE_OPS = ['set', 'add', 'project'] as const;
export type ProbeOp = (typeof PROBE_OPS)[number];

/** One prompt and how its run is changed. */
export interface ProbeQuestion {
  readonly text: string;
  /** Which trigger is in the prompt. */
  readonly trigger: 'bad' | 'safe' | 'none';
  readonly bad: string;
  readonly safe: string;
  readonly placement: Placement;
  readonly template: TemplateName;
  /** Tokens after the trigger that are patched too. */
  readonly after: number;
  /** Block after which the model's own arms are patched; the mapped one is patched where its map ends. */
  readonly block: number;
  readonly op: ProbeOp;
  /** α: 0 leaves the run as it is, 1 does the whole of it. */
  readonly strength: number;
  readonly arms: readonly ProbeArm[];
  readonly maxTokens: number;
}

/** The question's own prompt, and the donor's where there is a trigger to exchange. */
export interface ProbePrompts {
  readonly own: StatePrompt | TaggedPrompt;
  readonly tagged?: { readonly own: TaggedPrompt; readonly donor: TaggedPrompt };
}

export function promptsOf(model: LanguageModel, question: ProbeQuestion): ProbePrompts {
  const { text, trigger, placement, template, after } = question;
  const render = (whole: string) => {
    const { prompt, offset } = renderPrompt(template, whole, userTurn(model.tokenizer));
    return {
      prompt,
      offset,
      turn: template === 'chat' ? { text: whole, start: offset, chat: {} } : undefined,
    };
  };
  if (trigger === 'none')
    return { own: statePrompt(model.tokenizer, { ...render(text), span: null }, after) };
  const under = (tag: string): TaggedPrompt => {
    const placed = placeTag(text, tag, placement);
    const { offset, ...rendered } = render(placed.text);
    const span = shiftSpan(placed.span, offset);
    return statePrompt(model.tokenizer, { ...rendered, span, tag }, after);
  };
  const own = under(question[trigger]);
  return { own, tagged: { own, donor: under(question[trigger === 'bad' ? 'safe' : 'bad']) } };
}
