/** @file Is the map worth it? Restoration by the target's own vector from k labelled prompts, and by cutting the trigger out (docs/concepts/method.md#worth). */
import type { Rate, WorthRow } from '../../contracts/index.ts';
import { rate } from '../../stats/index.ts';
import { type EvaluateOptions, runArms, Tally } from '../arms/run.ts';
import { type BlockOf, meanSpan, targetSpans } from '../arms/spans.ts';
import {
  type ContrastCase,
  restoredText,
  type Subject,
  spanPositions,
  testedCases,
} from '../subject/cases.ts';

/**
 * For every k: one static vector a span position, the mean over the safe runs of the first k labelled (training) prompts of the target,
 * set on the bad runs of the subject. `mapped` is the restoration of the mapped vector on the same prompts, which needs none.
 */
export async function worth(
  target: BlockOf,
  subject: Subject,
  labelled: readonly ContrastCase[],
  options: EvaluateOptions & { readonly ks?: readonly number[]; readonly mapped?: Rate },
): Promise<WorthRow[]> {
  const ks = (options.ks ?? [1, 2, 4, 8, 16, 32]).filter((k) => k <= labelled.length);
  const d = target.model.config.dModel;
  const spans = await targetSpans(target, labelled.slice(0, Math.max(0, ...ks)), options.signal);
  const means = new Map<string, Float32Array>();
  const vector = (k: number, n: number): Float32Array => {
    const found = means.get(`${k}/${n}`) ?? meanSpan(spans.safe.slice(0, k), n, d);
    means.set(`${k}/${n}`, found);
    return found;
  };
  const tally = new Tally();
  await runArms(
    target.model,
    subject,
    [target.block],
    ['bad'],
    (direction, i) =>
      ks.map((k) => ({
        arm: `k ${k}`,
        values: vector(k, spanPositions(subject.cases[i]!, direction).length),
      })),
    ({ arm }, direction, i, _block, { flags }) => tally.add(arm, direction, i, flags),
    { ...options, stage: 'worth' },
  );
  return ks.flatMap((k): WorthRow[] => {
    const { restoration } = tally.outcome(`k ${k}`);
    if (restoration === undefined) return [];
    return [
      {
        k,
        native_restoration: restoration,
        mapped_restoration: options.mapped,
      },
    ];
  });
}

/** The trivial defence, which needs the trigger known: the untagged run's completion, judged as restoration over T. */
export function stripTrigger(subject: Subject): Rate | undefined {
  const none = subject.runs.none;
  const tested = testedCases(subject, 'bad');
  if (none === undefined || tested.length === 0) return undefined;
  const { runs, judging } = subject;
  return rate(tested.map((i) => restoredText({ runs, judging }, i, none[i]!.text)));
}
