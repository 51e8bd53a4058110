/**
 * @file A state put where no trigger stands: what the bad and the safe run have at the span, set at the end of the same prompt without a
 * tag. If the bad state makes the model misbehave there and the safe one does not, the state alone carries the behaviour, without the
 * words in the prompt (docs/concepts/method.md#untagged-prompts).
 */
import type { StateEffect, UntaggedEntry } from '../../contracts/index.ts';
import { bootstrapMean, rate } from '../../stats/index.ts';
import { type ArmOptions, endRules } from '../arms/run.ts';
import type { Spans } from '../arms/spans.ts';
import type { JudgedCase } from '../detect/detector.ts';
import { type PatchedRun, runDrafted } from '../drafts/run.ts';
import type { ExperimentEnv } from '../env.ts';
import { alignRows, type ContrastCase, type Direction, type StatePrompt } from '../subject/cases.ts';
import { type Case, completionText } from '../subject/completions.ts';
import { type ReadAnswer, readAnswers, testedCases } from '../subject/subject.ts';
import type { TransferData } from './data.ts';

/** What one untagged prompt said with each state put into it. */
export interface UntaggedAnswers extends Readonly<Record<Direction, ReadAnswer>> {
  readonly case: JudgedCase;
}

/** Put both states of `spans` into the untagged prompts of T. None for contrast prompts, which have no tag to leave out. */
export async function runUntagged(
  { target, subject }: Pick<TransferData, 'target' | 'subject'>,
  spans: Spans,
  options: ArmOptions,
): Promise<UntaggedAnswers[]> {
  const { judging } = subject;
  const cases = testedCases(subject, 'bad');
  if (judging.whole === true || cases.length === 0) return [];
  const places = cases.map((c) => placesFor(c, c.states.bad.positions.length));
  const rows = cases.map((c, i) => {
    const { none, bad, safe } = c.unpatched;
    return { ids: c.states.none.ids, drafts: [none, bad, safe], from: places[i][0] };
  });
  const runsOf = (row: number): PatchedRun[] =>
    STATES.map((state, k) => ({
      arm: state,
      positions: places[row],
      values: alignRows(spans.of(cases[row], state), places[row].length, spans.width),
      mode: 'set',
      draft: k + 1,
    }));
  const texts: Record<Direction, string[]> = { bad: [], safe: [] };
  const rules = { ...endRules(target.model, options), stage: options.stage, progress: options.progress };
  for await (const { row, run, outcome } of runDrafted(
    target.model.decoder,
    { rows, blocks: [target.block], runsOf },
    rules,
  ))
    texts[run.arm as Direction][row] = completionText(target.model.tokenizer, outcome.ids);
  const judge = (state: Direction): Promise<ReadAnswer[]> =>
    readAnswers(
      judging,
      cases,
      texts[state].map((text) => ({ text })),
    );
  const [bad, safe] = [await judge('bad'), await judge('safe')];
  return cases.map((c, i) => ({ case: c, bad: bad[i], safe: safe[i] }));
}

/** Rates of both states in the order of the subject's prompts. Undefined where nothing was run. */
export function untaggedEntry(
  { subject }: Pick<TransferData, 'subject'>,
  answers: readonly UntaggedAnswers[],
  { rng, bootstrap }: { readonly bootstrap: number; readonly rng: ExperimentEnv['rng'] },
): UntaggedEntry | undefined {
  if (answers.length === 0) return undefined;
  const of = new Map(answers.map((one) => [one.case, one]));
  const ended = testedCases(subject, 'bad').flatMap((c) => of.get(c) ?? []);
  const effect = (state: Direction): StateEffect => ({
    shows: rate(ended.map((e) => e[state].shows)),
    ordinary: rate(ended.map((e) => e[state].ordinary)),
  });
  const apart = ended.map(({ bad, safe }) => Number(bad.shows) - Number(safe.shows));
  return {
    bad: effect('bad'),
    safe: effect('safe'),
    difference: bootstrapMean(apart, rng.fork('untagged'), { resamples: bootstrap }),
  };
}

const STATES = ['bad', 'safe'] as const satisfies readonly Direction[];

/** Share of untagged prompts of T whose unpatched completion shows the behaviour: what both states start from. */
export function untaggedRate({ subject }: Pick<TransferData, 'subject'>): UntaggedEntry['bad']['shows'] {
  const tested = testedCases(subject, 'bad');
  return rate(tested.map(({ detected }) => detected.none.shows));
}

/**
 * Positions in the untagged prompt for a span of n tokens: the n tokens before the place where the span would end, those after the tag that
 * belong to it included; the first n of the text where the tag stands in front. Fewer where the prompt's own text is shorter.
 */
export function placesFor({ states, text }: ContrastCase | Case, n: number): number[] {
  const { none, bad } = states;
  const [first, last] = [bad.positions[0] as number, bad.positions.at(-1) as number];
  const from = firstToken(none, text);
  const end = none.ids.length - (bad.ids.length - 1 - last);
  const place = first <= from ? Math.min(none.ids.length, from + n) : end;
  const start = Math.max(from, place - n);
  return Array.from({ length: place - start }, (_, k) => start + k);
}

/** First token of the prompt's own text; of the prompt where the template changed the text. */
function firstToken({ prompt, offsets }: StatePrompt, text: string): number {
  const start = Math.max(0, prompt.indexOf(text));
  return offsets.findIndex(([from, to]) => from < to && to > start);
}
