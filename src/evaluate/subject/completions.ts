/** @file What a model says of contrast prompts unpatched: what everything patched is compared with (docs/concepts/method.md#outcomes). */
import type { TriggerState } from '../../behaviours/index.ts';
import type { LanguageModel, Tokenizer } from '../../models/index.ts';
import { decodePatched, type EndRules } from '../drafts/decode.ts';
import { type Draft, type Probe, probeUnpatched } from '../drafts/verify.ts';
import type { ContrastCase, StatePrompt } from './cases.ts';

/** A completion with its text. */
export interface Completion extends Draft {
  readonly text: string;
  /** Of a prompt with two answers: logit of the behaviour's answer minus that of the other, where they part. */
  readonly choice?: number | undefined;
}

/** A case with the model's own completion in every state; `other` only where someone counts what it shows. */
export interface Case extends ContrastCase {
  readonly unpatched: Readonly<Record<'bad' | 'safe' | 'none', Completion>> & { readonly other?: Completion };
}

/** Gives our own greedy completions of prompts, however it comes by them. */
export type Completer = (
  prompts: readonly (readonly number[])[],
  rules: EndRules,
) => Promise<readonly Draft[]>;

/** How cases are completed. */
type CompletionRules = EndRules & {
  readonly batch?: number | undefined;
  /** Defaults to decoding. */
  readonly complete?: Completer | undefined;
};

/** Complete all cases in one state, greedily; where a choice between two answers is read, its logits too. */
export async function completeState(
  model: LanguageModel,
  cases: readonly ContrastCase[],
  state: TriggerState,
  { complete, ...rules }: CompletionRules,
): Promise<Completion[]> {
  const prompts = cases.map((c) => c.states[state].ids);
  const ends = await (complete?.(prompts, rules) ?? decodePatched(model.decoder, prompts, [], rules));
  const choices = await choicesOf(
    model,
    cases.map((c) => c.states[state]),
    rules.signal,
  );
  return ends.map(({ ids, finish }, i) => ({
    ids,
    finish,
    text: completionText(model.tokenizer, ids),
    choice: choices[i],
  }));
}

/** The logit difference of every prompt that has two answers, by index. */
async function choicesOf(
  model: LanguageModel,
  prompts: readonly StatePrompt[],
  signal: AbortSignal | undefined,
): Promise<(number | undefined)[]> {
  const rows = prompts.flatMap(
    ({ ids, choice }, at): { at: number; ids: readonly number[]; probe: Probe }[] =>
      choice === undefined ? [] : [{ at, ids, probe: choice }],
  );
  const out: (number | undefined)[] = prompts.map(() => undefined);
  const values = await probeUnpatched(model.decoder, rows, { signal });
  for (const [i, { at }] of rows.entries()) out[at] = values[i];
  return out;
}

/** Complete all cases in some states. */
export async function completeCases(
  model: LanguageModel,
  cases: readonly ContrastCase[],
  states: readonly ['bad', 'safe', 'none', 'other'] | readonly ['bad', 'safe', 'none'],
  rules: CompletionRules,
): Promise<Case[]> {
  const made = new Map<TriggerState, Completion[]>();
  for (const state of states) made.set(state, await completeState(model, cases, state, rules));
  return cases.map((c, i) => withCompletions(c, (state) => made.get(state)?.[i]));
}

/** A case with its completions. */
export function withCompletions(
  c: ContrastCase,
  completion: (state: TriggerState) => Completion | undefined,
): Case {
  const of = (state: TriggerState): Completion => {
    const found = completion(state);
    if (found === undefined) throw new RangeError(`case ${c.id}: no completion in the state ${state}`);
    return found;
  };
  return {
    ...c,
    unpatched: { bad: of('bad'), safe: of('safe'), none: of('none'), other: completion('other') },
  };
}

/** Completion ids as text, special tokens left out, as `generate` gives it. */
export function completionText(tokenizer: Tokenizer, ids: readonly number[]): string {
  return tokenizer.decode(ids, { skipSpecialTokens: true });
}
