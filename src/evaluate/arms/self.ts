/**
 * @file The control that must change nothing: every run's own activations put back by the public intervention path, the donor read
 * in a separate run with another batch and other padding. Completions are checked teacher-forced under the same hooks; whatever
 * parts from the unpatched completion is generated with them.
 */
import { throwIfAborted } from '../../base/index.ts';
import { parseIntervention } from '../../contracts/index.ts';
import { applyIntervention } from '../../interventions/index.ts';
import { HookTable, type LanguageModel } from '../../models/index.ts';
import { NEAR_TIE } from '../drafts/run.ts';
import { verify } from '../drafts/verify.ts';
import {
  type ContrastCase,
  completionText,
  type Direction,
  type RunEnd,
  type Subject,
} from '../subject/cases.ts';
import { type EvaluateOptions, endRules } from './run.ts';

/** Rows of a donor run: few, so that batch and padding are not those of the patched run. */
const DONORS = 5;

/** Completions of the chosen cases with their own activations put in at the span after `block`, in the order of `indices`. */
export async function selfPatched(
  model: LanguageModel,
  { cases, runs }: Pick<Subject, 'cases' | 'runs'>,
  indices: readonly number[],
  direction: Direction,
  block: number,
  after: number,
  options: EvaluateOptions = {},
): Promise<string[]> {
  const { batch = 64 } = options;
  const out = new Map<number, string>();
  for (const [occurrence, members] of byOccurrence(cases, indices, direction)) {
    for (let at = 0; at < members.length; at += batch) {
      throwIfAborted(options.signal, 'self control');
      const part = members.slice(at, at + batch);
      const texts = await patchedBatch(
        model,
        part.map((i) => cases[i]![direction]),
        part.map((i) => runs[direction]![i]!),
        { occurrence, block, after },
        options,
      );
      part.forEach((i, j) => {
        out.set(i, texts[j]!);
      });
    }
  }
  return indices.map((i) => out.get(i)!);
}

async function patchedBatch(
  model: LanguageModel,
  prompts: readonly ContrastCase['bad'][],
  own: readonly RunEnd[],
  where: { readonly occurrence: number; readonly block: number; readonly after: number },
  options: EvaluateOptions,
): Promise<string[]> {
  const rules = endRules(model, options);
  const tag = prompts[0]!.tag;
  const document = parseIntervention({
    op: 'set',
    hook: `blocks.${where.block}.hook_resid_post`,
    tokens: { match: { text: tag, after: where.after, occurrence: where.occurrence } },
    vector: { from: 'run', replace: {} },
  });
  const applied = await applyIntervention(
    model,
    document,
    prompts.map((p) => p.prompt),
    { expectNoop: true, donorBatch: DONORS },
  );
  const hooks = new HookTable(applied.fwdHooks, model.nLayers);
  const sequences = prompts.map(({ ids }, i) => [...ids, ...own[i]!.ids.slice(0, rules.maxNewTokens - 1)]);
  const { tensor } = await model.decoder.run(model.decoder.embed(sequences, { hooks }), { hooks });
  applied.proof();
  const checks = prompts.map(({ ids }, i) => ({
    column: ids.length - 1,
    expected: own[i]!.ids,
    steps: Math.min(own[i]!.ids.length + 1, rules.maxNewTokens),
  }));
  const verdicts = await verify(model.decoder, tensor, checks);
  const texts = own.map((run) => run.text);
  const open = verdicts.flatMap(({ accepted, next, gap }, i) => {
    const ended = next === undefined || (accepted === own[i]!.ids.length && rules.stopTokens.includes(next));
    return ended && accepted === own[i]!.ids.length && gap >= NEAR_TIE ? [] : [i];
  });
  if (open.length > 0) {
    const again = await applyIntervention(
      model,
      document,
      open.map((i) => prompts[i]!.prompt),
      { expectNoop: true, donorBatch: DONORS },
    );
    const ends = await model.generate(again.ids, { ...rules, fwdHooks: again.fwdHooks });
    again.proof();
    open.forEach((i, j) => {
      texts[i] = completionText(model.tokenizer, ends[j]!.ids);
    });
  }
  return texts;
}

/** Cases by tag and by which occurrence of the tag's text the span is: nearly always one group. */
function byOccurrence(
  cases: readonly ContrastCase[],
  indices: readonly number[],
  direction: Direction,
): [number, number[]][] {
  const groups = new Map<string, { occurrence: number; members: number[] }>();
  for (const i of indices) {
    const { prompt, tag, span, offsets } = cases[i]![direction];
    const start = offsets[span!.start]![0];
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
    group.members.push(i);
  }
  return [...groups.values()].map(({ occurrence, members }) => [occurrence, members]);
}
