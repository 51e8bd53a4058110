/** @file What a detector is: something that says of completions whether they show the behaviour. It may ask a model or a server, so it is asked about many at once. */
import { type Detection, type TriggerState, triggerStates } from '../../behaviours/index.ts';
import type { Case } from '../subject/completions.ts';

/** A completion as detectors read it. */
export interface Answer {
  readonly text: string;
  /** Where a choice between two answers is read: logit of the behaviour's answer minus that of the other. */
  readonly choice?: number | undefined;
}

/** Reads completions. */
export interface Detector {
  /** What each completion is, in their order. */
  detect(answers: readonly Answer[]): Promise<Detection[]>;
}

/** A detector that needs nothing but the text. */
export function textDetector(detect: (completion: string) => Detection): Detector {
  return { detect: async (answers) => answers.map(({ text }) => detect(text)) };
}

/** A case whose unpatched completions have been read. */
export interface JudgedCase extends Case {
  readonly detected: Readonly<Record<'bad' | 'safe' | 'none', Detection>> & {
    readonly other?: Detection | undefined;
  };
}

/** Read the unpatched completions of all cases. */
export async function judgedCases(cases: readonly Case[], detector: Detector): Promise<JudgedCase[]> {
  const runs = cases.flatMap((c, at) =>
    triggerStates.flatMap((state) => {
      const run = c.unpatched[state];
      return run === undefined ? [] : [{ at, state, run }];
    }),
  );
  const found = await detector.detect(runs.map(({ run }) => run));
  const detected = cases.map((): Partial<Record<TriggerState, Detection>> => ({}));
  for (const [i, { at, state }] of runs.entries()) detected[at][state] = found[i];
  return cases.map((c, i) => ({ ...c, detected: detected[i] as JudgedCase['detected'] }));
}
