/** @file Block × position: where the trigger's information sits, by the logit shift of setting one position at one block (docs/concepts/method.md#sweep). */
import type { Heatmap } from '../../contracts/index.ts';
import { captureResiduals } from '../../interventions/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { mean } from '../../stats/index.ts';
import type { ArmOptions } from '../arms/run.ts';
import { runProbes } from '../drafts/run.ts';
import type { ContrastCase } from '../subject/cases.ts';
import { type Subject, testedCases } from '../subject/subject.ts';
import { logitContrasts, logitShift } from './logits.ts';

/** Where shifts are measured, and on how many prompts of those that show the behaviour. */
export interface HeatmapPlan {
  readonly blocks: readonly number[];
  readonly prompts: number;
}

/**
 * Every position of the span, every template token after it that all prompts share, and the last token: the bad run's activation there
 * set to the safe run's, one position at one block at a time. Mean over prompts; null where none could be measured. Undefined
 * where no prompt shows the behaviour, or safe and bad completions never differ: there is nothing to shift then.
 */
export async function heatmap(
  model: LanguageModel,
  subject: Subject,
  { blocks, prompts }: HeatmapPlan,
  { progress, signal, stage }: Pick<ArmOptions, 'progress' | 'signal' | 'stage'>,
): Promise<Heatmap | undefined> {
  const contrasts = await logitContrasts(model, testedCases(subject, 'bad'), signal);
  const chosen = [...contrasts].slice(0, prompts).map(([c, contrast]) => ({ case: c, contrast }));
  if (chosen.length === 0) return undefined;
  const cases = chosen.map(({ case: c }) => c);
  const places = sharedPlaces(cases, (ids) => model.tokenizer.tokenStrings(ids));
  const donors = await captureResiduals(
    model.decoder,
    cases.map((c) => ({ ids: c.states.safe.ids, positions: places.map((p) => p.at(c, 'safe')) })),
    blocks,
    { signal },
  );
  const d = model.config.dModel;
  const shifts = new Map(blocks.map((block) => [block, places.map((): number[] => [])]));
  const probed = runProbes(
    model.decoder,
    {
      rows: cases.map((c) => ({ ids: c.states.bad.ids, from: c.states.bad.span.start })),
      blocks,
      runsOf: (row, block) => {
        const values = donors[row][blocks.indexOf(block)];
        const { case: c, contrast } = chosen[row];
        return places.map((place, k) => ({
          arm: place.label,
          place: k,
          positions: [place.at(c, 'bad')],
          values: values.subarray(k * d, (k + 1) * d),
          probe: contrast.probe,
        }));
      },
    },
    { stage, signal, progress },
  );
  for await (const { row, block, run, value } of probed) {
    const shift = logitShift(value, chosen[row].contrast);
    if (Number.isFinite(shift)) shifts.get(block)?.[run.place].push(shift);
  }
  return {
    blocks: [...blocks],
    positions: places.map((p) => p.label),
    logit_shift: [...shifts.values()].map((row) => row.map((all) => (all.length === 0 ? null : mean(all)))),
  };
}

/** A position that means the same in every prompt. */
interface Place {
  readonly label: string;
  at(c: ContrastCase, state: 'bad' | 'safe'): number;
}

/** Span positions from the end of the span, then tokens that all prompts share at their end; labels are unique. */
function sharedPlaces(
  cases: readonly ContrastCase[],
  strings: (ids: readonly number[]) => string[],
): Place[] {
  const all = cases.flatMap(({ states }) => [states.bad, states.safe]);
  const [first] = all;
  const span = Math.min(...all.map((p) => p.positions.length));
  const after = Math.min(...all.map((p) => p.ids.length - p.span.end));
  let shared = 0;
  while (shared < after && all.every(({ ids }) => ids.at(-1 - shared) === first.ids.at(-1 - shared)))
    shared++;
  const text = (position: number): string => JSON.stringify(strings([first.ids[position]])[0]).slice(1, -1);
  const inSpan = Array.from({ length: span }, (_, k): Place => {
    const back = span - k;
    return {
      label: `tag ${k + 1} ${text(first.span.end - back)}`,
      at: (c, state) => c.states[state].span.end - back,
    };
  });
  const atEnd = Array.from({ length: shared }, (_, k): Place => {
    const back = shared - k;
    const name = back === 1 ? 'last' : `−${back}`;
    return {
      label: `${name} ${text(first.ids.length - back)}`,
      at: (c, state) => c.states[state].ids.length - back,
    };
  });
  return [...inSpan, ...atEnd];
}
