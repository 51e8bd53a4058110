/**
 * @file The control that must change nothing: every run's own activations put back by the public intervention path, the donor read
 * in a separate run with another batch and other padding. Completions are checked teacher-forced under the same hooks; whatever
 * parts from the unpatched completion is generated with them.
 */
import { throwIfAborted } from '../../base/index.ts';
import { parseIntervention } from '../../contracts/index.ts';
import { applyIntervention, type PromptTokens } from '../../interventions/index.ts';
import { HookTable, type LanguageModel } from '../../models/index.ts';
import type { Answer } from '../detect/detector.ts';
import { NEAR_TIE } from '../drafts/run.ts';
import { verify } from '../drafts/verify.ts';
import type { Direction, StatePrompt } from '../subject/cases.ts';
import { type Case, completionText } from '../subject/completions.ts';
import { type ArmOptions, endRules } from './run.ts';

/** Rows of a donor run: few, so that batch and padding are not those of the patched run. */
const DONORS = 5;

/** Rows patched side by side. */
const BATCH = 64;

/** What {@link selfPatched} puts back where. */
export interface SelfPlan {
  readonly direction: Direction;
  readonly block: number;
  /** Tokens after the tag that belong to the span. */
  readonly after: number;
}

/** Completions (and choices, where they are read) of some cases with their own activations put in at the span after `block`, by case. */
export async function selfPatched<C extends Case>(
  model: LanguageModel,
  cases: readonly C[],
  plan: SelfPlan,
  options: Pick<ArmOptions, 'max_tokens' | 'signal'>,
): Promise<ReadonlyMap<C, Answer>> {
  const out = new Map<C, Answer>();
  for (const { occurrence, members } of byOccurrence(cases, plan.direction)) {
    for (let at = 0; at < members.length; at += BATCH) {
      throwIfAborted(options.signal, 'self control');
      const part = members.slice(at, at + BATCH);
      const where = { ...plan, occurrence };
      const texts = await patchedBatch(model, part, where, options);
      const choices = await patchedChoices(model, part, where);
      for (const [j, c] of part.entries()) out.set(c, { text: texts[j], choice: choices[j] });
    }
  }
  return out;
}

async function patchedBatch(
  model: LanguageModel,
  cases: readonly Case[],
  where: SelfPlan & { readonly occurrence: number },
  options: Pick<ArmOptions, 'max_tokens' | 'signal'>,
): Promise<string[]> {
  const rules = endRules(model, options);
  const prompts = cases.map((c) => c.states[where.direction]);
  const own = cases.map((c) => c.unpatched[where.direction]);
  const document = ownActivations(prompts[0].tag, where);
  const applied = await applyIntervention(model, document, prompts.map(asTokens), {
    expectNoop: true,
    donorBatch: DONORS,
  });
  const hooks = new HookTable(applied.fwdHooks, model.nLayers);
  const sequences = prompts.map(({ ids }, i) => [...ids, ...own[i].ids.slice(0, rules.maxNewTokens - 1)]);
  const { tensor } = await model.decoder.run(model.decoder.embed(sequences, { hooks }), { hooks });
  applied.proof();
  const checks = prompts.map(({ ids }, i) => ({
    column: ids.length - 1,
    expected: own[i].ids,
    steps: Math.min(own[i].ids.length + 1, rules.maxNewTokens),
  }));
  const verdicts = await verify(model.decoder, tensor, checks);
  const texts = own.map((run) => run.text);
  const open = verdicts.flatMap(({ accepted, next, gap }, i) => {
    const ended = next === undefined || (accepted === own[i].ids.length && rules.stopTokens.includes(next));
    return ended && accepted === own[i].ids.length && gap >= NEAR_TIE ? [] : [i];
  });
  if (open.length > 0) {
    const again = await applyIntervention(
      model,
      document,
      open.map((i) => asTokens(prompts[i])),
      { expectNoop: true, donorBatch: DONORS },
    );
    const ends = await model.generate(again.ids, { ...rules, fwdHooks: again.fwdHooks });
    again.proof();
    open.forEach((i, j) => {
      texts[i] = completionText(model.tokenizer, ends[j].ids);
    });
  }
  return texts;
}

/** The logit differences of cases that have two answers, under the same hooks; nothing where they have none. */
async function patchedChoices(
  model: LanguageModel,
  cases: readonly Case[],
  where: SelfPlan & { readonly occurrence: number },
): Promise<(number | undefined)[]> {
  const prompts = cases.map((c) => c.states[where.direction]);
  if (prompts.every(({ choice }) => choice === undefined)) return [];
  const document = ownActivations(prompts[0].tag, where);
  const options = { expectNoop: true, donorBatch: DONORS };
  const applied = await applyIntervention(model, document, prompts.map(asTokens), options);
  const hooks = new HookTable(applied.fwdHooks, model.nLayers);
  const sequences = prompts.map(({ ids, choice }) => [...ids, ...(choice?.prefix ?? [])]);
  const { tensor } = await model.decoder.run(model.decoder.embed(sequences, { hooks }), { hooks });
  applied.proof();
  const checks = prompts.map(({ ids, choice }) => ({
    column: ids.length - 1,
    expected: [],
    steps: 0,
    probe: choice,
  }));
  return (await verify(model.decoder, tensor, checks)).map(({ probe }) => probe);
}

/** The run's own activations at the span, put back. */
function ownActivations(
  tag: string,
  { block, after, occurrence }: SelfPlan & { readonly occurrence: number },
): ReturnType<typeof parseIntervention> {
  return parseIntervention({
    op: 'set',
    hook: `blocks.${block}.hook_resid_post`,
    tokens: { match: { text: tag, after, occurrence } },
    vector: { from: 'run', replace: {} },
  });
}

/** A prompt with the tokens it has, its special ones included. */
function asTokens({ prompt, ids, offsets, turn }: StatePrompt): PromptTokens {
  return { text: prompt, ids, encoding: { offsets }, addSpecialTokens: turn === undefined ? 'auto' : false };
}

/** Cases by tag and by which occurrence of the tag's text the span is: nearly always one group. */
function byOccurrence<C extends Case>(
  cases: readonly C[],
  direction: Direction,
): Iterable<{ readonly occurrence: number; readonly members: C[] }> {
  const groups = new Map<string, { occurrence: number; members: C[] }>();
  for (const c of cases) {
    const { prompt, tag, span, offsets } = c.states[direction];
    const [start] = offsets[span.start];
    let occurrence = 0;
    for (
      let at = prompt.indexOf(tag);
      at >= 0 && at + tag.length <= start;
      at = prompt.indexOf(tag, at + tag.length)
    )
      occurrence++;
    const key = `${occurrence}/${tag}`;
    const group = groups.get(key) ?? { occurrence, members: [] };
    groups.set(key, group);
    group.members.push(c);
  }
  return groups.values();
}
