/**
 * @file A state put where no trigger stands: what the bad and the safe run have at the span, set at the end of the same prompt without a
 * tag. If the bad state makes the model misbehave there and the safe one does not, the state alone carries the behaviour, without the
 * words in the prompt (docs/concepts/method.md#untagged-prompts).
 */
import type { StateEffect, UntaggedEntry } from '../../contracts/index.ts';
import { bootstrapMean, rate } from '../../stats/index.ts';
import { type ArmOptions, endRules } from '../arms/run.ts';
import type { Spans } from '../arms/spans.ts';
import { type PatchedRun, runDrafted } from '../drafts/run.ts';
import type { ExperimentEnv } from '../env.ts';
import { alignRows, type ContrastCase, type Direction, type StatePrompt } from '../subject/cases.ts';
import { type Case, completionText } from '../subject/completions.ts';
import { type ReadAnswer, readAnswers, testedCases } from '../subject/subject.ts';
import type { TransferData } from './data.ts';

/** Both states of `spans` in the untagged prompts of T. Undefined for contrast prompts, which have no tag to leave out. */
export async function untaggedEntry(
  { target, subject }: Pick<TransferData, 'target' | 'subject'>,
  spans: Spans,
  options: ArmOptions & { readonly bootstrap: number; readonly rng: ExperimentEnv['rng'] },
): Promise<UntaggedEntry | undefined> {
  const { judging } = subject;
  const cases = testedCases(subject, 'bad');
  if (judging.whole === true || cases.length === 0) return undefined;
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
  const ended = { bad: await judge('bad'), safe: await judge('safe') };
  const effect = (state: Direction): StateEffect => ({
    shows: rate(ended[state].map((e) => e.shows)),
    ordinary: rate(ended[state].map((e) => e.ordinary)),
  });
  const apart = ended.bad.map((e, i) => Number(e.shows) - Number(ended.safe[i].shows));
  return {
    bad: effect('bad'),
    safe: effect('safe'),
    difference: bootstrapMean(apart, options.rng.fork('untagged'), { resamples: options.bootstrap }),
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
