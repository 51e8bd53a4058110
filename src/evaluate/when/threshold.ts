/** @file From which score on a condition holds: as low as a bound on false fires lets it be, in the middle of the gap that is there. */

/** A threshold, and how wide the gap is in which it lies. */
export interface Threshold {
  readonly value: number;
  /** Scores next to it: the highest that must not fire, and the lowest bad one above. */
  readonly gap: readonly [below: number, above: number];
}

/**
 * The lowest threshold at which at most `bound` of each list of `others` reaches it, moved up to the middle of the gap below the next bad
 * score: that fires on the same. Undefined where no bad score lies so high.
 */
export function thresholdFor(
  bad: readonly number[],
  others: readonly (readonly number[])[],
  bound: number,
): Threshold | undefined {
  const below = Math.max(...others.map((scores) => firstRefused(scores, bound)));
  const higher = bad.filter((score) => score > below);
  if (higher.length === 0) return undefined;
  const above = Math.min(...higher);
  const middle = below + (above - below) / 2;
  return { value: middle > below ? middle : above, gap: [below, above] };
}

/** The highest score that must not fire: `bound` of the scores may lie above it. */
function firstRefused(scores: readonly number[], bound: number): number {
  // 0.29 · 100 is 28.999999999999996.
  const allowed = Math.floor(scores.length * bound + 1e-9);
  return [...scores].sort((a, b) => b - a)[allowed] ?? Number.NEGATIVE_INFINITY;
}
