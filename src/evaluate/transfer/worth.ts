/** @file Is the map worth it? Restoration by the target's own vector from k labelled prompts, and by cutting the trigger out (docs/concepts/method.md#worth). */
import type { Rate, WorthRow } from '../../contracts/index.ts';
import { rate } from '../../stats/index.ts';
import { meanSpan, type Spans } from '../arms/spans.ts';
import { Tally } from '../arms/tally.ts';
import { isOrdinary, type Subject, testedCases } from '../subject/subject.ts';
import type { DoneJobs, TransferJob } from './jobs.ts';

/** The job that runs it. */
const JOB = 'worth';

/**
 * For every k: one static vector per span position, the mean over the safe runs of the first k labelled (training) prompts of the
 * target, set on the bad runs.
 */
export function worthJob(labelled: Spans, ks: readonly number[]): TransferJob {
  const means = new Map<string, Float32Array>();
  const vector = (k: number, n: number): Float32Array => {
    const found = means.get(`${k}/${n}`) ?? meanSpan(labelled.all('safe').slice(0, k), n, labelled.width);
    means.set(`${k}/${n}`, found);
    return found;
  };
  return {
    name: JOB,
    kind: 'arms',
    directions: ['bad'],
    armsOf: ({ case: c }) =>
      possible(labelled, ks).map((k) => ({
        arm: armOf(k),
        values: vector(k, c.states.bad.positions.length),
      })),
  };
}

/** What came of it on some of the prompts. */
export function worthFigures(
  labelled: Spans,
  { ks, cases }: { readonly ks: readonly number[]; readonly cases: Subject['cases'] },
  done: DoneJobs,
): Pick<WorthRow, 'k' | 'native_restoration'>[] {
  const tally = new Tally(cases);
  for (const run of done(JOB).runs) tally.add(run);
  return possible(labelled, ks).flatMap((k) => {
    const { restoration } = tally.outcome(armOf(k));
    return restoration === undefined ? [] : [{ k, native_restoration: restoration }];
  });
}

function possible(labelled: Spans, ks: readonly number[]): number[] {
  return ks.filter((k) => k <= labelled.cases.length);
}

function armOf(k: number): string {
  return `k ${k}`;
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
