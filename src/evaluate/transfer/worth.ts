/** @file Is the map worth it? Restoration by the target's own vector from k labelled prompts, and by cutting the trigger out (docs/concepts/method.md#worth). */
import type { Rate, WorthRow } from '../../contracts/index.ts';
import { rate } from '../../stats/index.ts';
import { type ArmOptions, runArms } from '../arms/run.ts';
import { type BlockOf, meanSpan, targetSpans } from '../arms/spans.ts';
import { Tally } from '../arms/tally.ts';
import type { ContrastCase } from '../subject/cases.ts';
import { isOrdinary, type Subject, testedCases } from '../subject/subject.ts';

/**
 * For every k: one static vector per span position, the mean over the safe runs of the first k labelled (training) prompts of the
 * target, set on the bad runs of the subject.
 */
export async function worth(
  target: BlockOf,
  subject: Subject,
  { labelled, ks }: { readonly labelled: readonly ContrastCase[]; readonly ks: readonly number[] },
  options: Omit<ArmOptions, 'stage' | 'stats'>,
): Promise<Pick<WorthRow, 'k' | 'native_restoration'>[]> {
  const possible = ks.filter((k) => k <= labelled.length);
  const width = target.model.config.dModel;
  const spans = await targetSpans(target, labelled.slice(0, Math.max(0, ...possible)), options.signal);
  const means = new Map<string, Float32Array>();
  const vector = (k: number, n: number): Float32Array => {
    const found = means.get(`${k}/${n}`) ?? meanSpan(spans.all('safe').slice(0, k), n, width);
    means.set(`${k}/${n}`, found);
    return found;
  };
  const tally = new Tally(subject.cases);
  const runs = runArms(
    target.model,
    subject,
    {
      blocks: [target.block],
      directions: ['bad'],
      armsOf: ({ case: c }) =>
        possible.map((k) => ({ arm: `k ${k}`, values: vector(k, c.states.bad.positions.length) })),
    },
    { ...options, stage: 'worth' },
  );
  for await (const run of runs) tally.add(run);
  return possible.flatMap((k) => {
    const { restoration } = tally.outcome(`k ${k}`);
    return restoration === undefined ? [] : [{ k, native_restoration: restoration }];
  });
}

/** The trivial defence, which needs the trigger known: the untagged run's completion, judged as restoration over T. */
export function stripTrigger(subject: Subject): Rate | undefined {
  const tested = testedCases(subject, 'bad');
  // Contrast prompts have no trigger that could be cut out.
  if (tested.length === 0 || subject.judging.whole) return undefined;
  return rate(
    tested.map((c) => isOrdinary(subject.judging, c, { text: c.unpatched.none.text, ...c.detected.none })),
  );
}
