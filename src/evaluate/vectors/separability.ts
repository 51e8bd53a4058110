/** @file How well a direction tells positive from negative prompts that it was not made of, beside directions of shuffled labels. */
import type { Separability } from '../../contracts/index.ts';
import { auroc, mean, rate, variance } from '../../stats/index.ts';
import { type Labelled, scores } from './labelled.ts';

/** Figures on `held`; `controls` are directions [D] made from shuffled labels of the training rows. */
export function separability(
  held: Labelled,
  direction: ArrayLike<number>,
  controls: readonly ArrayLike<number>[],
): Separability {
  const { paired } = held;
  const sides = (v: ArrayLike<number>) =>
    [scores(held, held.positive, v), scores(held, held.negative, v)] as const;
  const [positive, negative] = sides(direction);
  const areas = controls.map((control) => auroc(...sides(control)).value);
  return {
    auroc: auroc(positive, negative, { paired }),
    pairs_right: paired ? rate(Array.from(positive, (p, i) => p > negative[i])) : undefined,
    gap_sd: gapOf(positive, negative),
    shuffled: {
      mean: mean(areas),
      low: Math.min(...areas),
      high: Math.max(...areas),
      n: areas.length,
    },
  };
}

/** (mean⁺ − mean⁻) / pooled standard deviation; null where there is none. */
function gapOf(positive: Float64Array, negative: Float64Array): number | null {
  const [m, n] = [positive.length, negative.length];
  const pooled =
    ((m > 1 ? variance(positive) * (m - 1) : 0) + (n > 1 ? variance(negative) * (n - 1) : 0)) /
    Math.max(1, m + n - 2);
  return pooled > 0 ? (mean(positive) - mean(negative)) / Math.sqrt(pooled) : null;
}
