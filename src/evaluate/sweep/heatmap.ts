/** @file Block × position: where the trigger's information sits, by the logit shift of setting one position at one block (docs/concepts/method.md#sweep). */
import type { Heatmap } from '../../contracts/index.ts';
import { captureResiduals } from '../../interventions/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { mean } from '../../stats/index.ts';
import { type EvaluateOptions, endRules } from '../arms/run.ts';
import { runProbes } from '../drafts/run.ts';
import { type ContrastCase, type Subject, spanOf, testedCases } from '../subject/cases.ts';
import { logitContrasts, logitShift } from './logits.ts';

/** Options of {@link heatmap}. */
export interface HeatmapOptions extends EvaluateOptions {
  /** Defaults to all. */
  readonly blocks?: readonly number[];
  /** Prompts used, of those that show the behaviour. Defaults to 50. */
  readonly prompts?: number;
  /** Name of the progress events. Defaults to `heatmap`. */
  readonly stage?: string;
}

/**
 * Every position of the span, every template token behind it that all prompts share, and the last token: the bad run's activation there
 * set to the safe run's, one position at one block at a time. Mean over prompts; null where none could be measured. Undefined
 * where no prompt shows the behaviour, or safe and bad completions never differ: there is nothing to shift then.
 */
export async function heatmap(
  model: LanguageModel,
  subject: Subject,
  options: HeatmapOptions = {},
): Promise<Heatmap | undefined> {
  const { cases, runs } = subject;
  const blocks = [...(options.blocks ?? Array.from({ length: model.nLayers }, (_, i) => i))];
  const contrasts = await logitContrasts(model, cases, runs, testedCases(subject, 'bad'), {
    ...endRules(model, options),
    batch: 32,
  });
  const chosen = [...contrasts.keys()].slice(0, options.prompts ?? 50);
  if (chosen.length === 0) return undefined;
  const places = sharedPlaces(
    chosen.map((i) => cases[i]!),
    (ids) => model.tokenizer.tokenStrings(ids),
  );
  const donors = await captureResiduals(
    model.decoder,
    chosen.map((i) => ({ ids: cases[i]!.safe.ids, positions: places.map((p) => p.at(cases[i]!, 'safe')) })),
    blocks,
    { signal: options.signal },
  );
  const d = model.config.dModel;
  const sums = blocks.map(() => places.map((): number[] => []));
  await runProbes(
    model.decoder,
    chosen.map((i) => ({ ids: cases[i]!.bad.ids, from: spanOf(cases[i]!, 'bad').start })),
    blocks,
    (row, block) => {
      const i = chosen[row]!;
      const values = donors[row]![blocks.indexOf(block)]!;
      return places.map((place, k) => ({
        arm: place.label,
        positions: [place.at(cases[i]!, 'bad')],
        values: values.subarray(k * d, (k + 1) * d),
        probe: contrasts.get(i)!.probe,
      }));
    },
    (row, block, k, value) => {
      const shift = logitShift(value, contrasts.get(chosen[row]!)!);
      if (Number.isFinite(shift)) sums[blocks.indexOf(block)]![k]!.push(shift);
    },
    {
      stage: options.stage ?? 'heatmap',
      signal: options.signal,
      progress: options.progress,
    },
  );
  return {
    blocks,
    positions: places.map((p) => p.label),
    logit_shift: sums.map((row) => row.map((shifts) => (shifts.length === 0 ? null : mean(shifts)))),
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
  const states = ['bad', 'safe'] as const;
  const all = cases.flatMap((c) => states.map((s) => ({ ids: c[s].ids, span: spanOf(c, s) })));
  const span = Math.min(...all.map(({ span }) => span.end - span.start));
  const behind = Math.min(...all.map(({ ids, span }) => ids.length - span.end));
  const first = all[0]!;
  let shared = 0;
  while (shared < behind && all.every(({ ids }) => ids.at(-1 - shared) === first.ids.at(-1 - shared)))
    shared++;
  const text = (position: number): string => JSON.stringify(strings([first.ids[position]!])[0]).slice(1, -1);
  const inSpan = Array.from({ length: span }, (_, k): Place => {
    const back = span - k;
    return {
      label: `tag ${k + 1} ${text(first.span.end - back)}`,
      at: (c, state) => spanOf(c, state).end - back,
    };
  });
  const atEnd = Array.from({ length: shared }, (_, k): Place => {
    const back = shared - k;
    const name = back === 1 ? 'last' : `−${back}`;
    return {
      label: `${name} ${text(first.ids.length - back)}`,
      at: (c, state) => c[state].ids.length - back,
    };
  });
  return [...inSpan, ...atEnd];
}
