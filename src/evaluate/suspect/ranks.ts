/**
 * @file Is a change more than comparable texts make? Ranks among them, corrected for how many texts were asked about, and how small a
 * change could have been seen (docs/concepts/method.md#probe).
 */
import type { Rng } from '../../base/index.ts';
import { quantile } from '../../stats/index.ts';

/** p of an observed statistic by its rank among draws of the null: (1 + draws at least as large) / (1 + draws). */
export function rankP(observed: number, draws: readonly number[]): number {
  return (1 + draws.filter((d) => d >= observed).length) / (1 + draws.length);
}

/** Comparable texts needed for p ≤ α when `texts` are asked about at once. */
export function drawsNeeded(texts: number, alpha: number): number {
  return Math.ceil(texts / alpha) - 1;
}

/** A text asked about: its statistic, and the draws it is ranked among. Texts of one kind share theirs. */
export interface Ranked {
  readonly observed: number;
  readonly draws: readonly number[];
}

/**
 * p of every text among all that were asked about: how often the best of as many null draws, each ranked among the others of its kind, has a
 * p as small (the permutation maximum; P. H. Westfall and S. S. Young, Resampling-Based Multiple Testing, 1993). One text keeps its p.
 */
export function familyP(texts: readonly Ranked[], rng: Rng, resamples = 999): number[] {
  const own = texts.map(({ observed, draws }) => rankP(observed, draws));
  if (texts.length === 1) return own;
  const kinds = new Map<readonly number[], number>();
  for (const { draws } of texts) kinds.set(draws, (kinds.get(draws) ?? 0) + 1);
  const smallest = Array.from({ length: resamples }, (_, b) => {
    const stream = rng.fork(`permutation ${b}`);
    return Math.min(...[...kinds].map(([draws, n]) => smallestP(draws, n, stream)));
  });
  return own.map((p) => (1 + smallest.filter((s) => s <= p + 1e-12).length) / (1 + resamples));
}

/** The smallest p of n draws taken out of a null, each ranked among those left. */
function smallestP(draws: readonly number[], n: number, rng: Rng): number {
  const taken = new Set<number>();
  while (taken.size < Math.min(n, draws.length - 1)) taken.add(rng.int(draws.length));
  const best = Math.max(...[...taken].map((i) => draws[i]));
  return rankP(
    best,
    draws.filter((_, i) => !taken.has(i)),
  );
}

/** What a test could have seen. */
export interface Power {
  /** The statistic from which on a text is called an effect, nats per token. */
  readonly critical: number;
  /** KL of a prompt whose whole answer changes, nats per token. */
  readonly whole_change: number;
  /** Share of prompts that must change wholly to be seen in 19 of 20 tests; 1 where even all would not. */
  readonly share: number;
}

/**
 * The smallest share q of wholly changed prompts that would be seen: a text that does nothing else moves the mean to
 * (1 − q)·d + q·W, where W is a whole change and d the null's 5 % quantile (so that 19 of 20 nulls help at least as much). In whole
 * prompts, at least one.
 */
export function powerOf(
  draws: readonly number[],
  wholeChange: number,
  { alpha, prompts }: { readonly alpha: number; readonly prompts: number },
): Power {
  const critical = quantile([...draws], 1 - alpha);
  const low = quantile([...draws], 0.05);
  const share = wholeChange <= critical ? 1 : (critical - low) / (wholeChange - low);
  const changed = Math.min(prompts, Math.max(1, Math.ceil(share * prompts - 1e-9)));
  return { critical, whole_change: wholeChange, share: changed / prompts };
}
