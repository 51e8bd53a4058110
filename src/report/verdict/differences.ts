/**
 * @file Restoration by the mapped arm minus that of what it is compared with, with its 95 % interval: paired by prompt where
 * `results.json` holds it, else from the two Wilson intervals, as if the arms had been run on different prompts (wider).
 */
import {
  type BehaviourResults,
  MAP_FITS,
  type MapFit,
  NOISE_ARMS,
  type NoiseArm,
  type Rate,
  VERSUS,
} from '../../contracts/index.ts';
import type { TransferCase } from '../../figures/index.ts';

/** What the mapped arm is compared with: another arm, half of the native arm, or the same map under another fit. */
export type Compared = (typeof VERSUS)[number];

export interface Difference {
  readonly difference: number;
  readonly ci95: readonly [number, number];
  readonly paired: boolean;
}

/** The restoration of a control; undefined when it was not run. */
export function restorationOf(
  { transfer }: BehaviourResults,
  { kind, fit, entry }: TransferCase,
  compared: Compared,
): Rate | undefined {
  if (compared === 'half_native') return entry.arms.native?.restoration;
  if (isFit(compared))
    return compared === fit ? undefined : transfer?.[kind]?.[compared]?.arms.mapped?.restoration;
  return entry.arms[compared]?.restoration;
}

/** Mapped minus `compared`; undefined when one of the two was not run. */
export function difference(
  behaviour: BehaviourResults,
  chosen: TransferCase,
  compared: Compared,
): Difference | undefined {
  const mapped = chosen.entry.arms.mapped?.restoration;
  const other = restorationOf(behaviour, chosen, compared);
  if (mapped === undefined || other === undefined) return undefined;
  const paired = chosen.entry.versus?.[compared];
  if (paired) return { difference: paired.difference, ci95: paired.ci95, paired: true };
  return unpaired(mapped, other, compared === 'half_native' ? 0.5 : 1);
}

/** Every control that was run, with the difference to it, in the order of the contract. */
export function differences(
  behaviour: BehaviourResults,
  chosen: TransferCase,
): (Difference & { readonly compared: Compared })[] {
  return VERSUS.flatMap((compared) => {
    const found = difference(behaviour, chosen, compared);
    return found ? [{ ...found, compared }] : [];
  });
}

/** The noise arm with the highest restoration. */
export function strongestNoise({ entry }: TransferCase): { arm: NoiseArm; rate: Rate } | undefined {
  return NOISE_ARMS.flatMap((arm) => {
    const rate = entry.arms[arm]?.restoration;
    return rate ? [{ arm, rate }] : [];
  }).sort((a, b) => b.rate.value - a.rate.value)[0];
}

/** Mapped minus the strongest noise arm. */
export function margin(behaviour: BehaviourResults, chosen: TransferCase): Difference | undefined {
  const { entry } = chosen;
  const mapped = entry.arms.mapped?.restoration;
  const noise = strongestNoise(chosen);
  if (mapped === undefined || noise === undefined) return undefined;
  const value = mapped.value - noise.rate.value;
  if (entry.margin_ci95) return { difference: value, ci95: entry.margin_ci95, paired: true };
  // Mapped minus the greatest of several lies under mapped minus each of them.
  const each = NOISE_ARMS.flatMap((arm) => difference(behaviour, chosen, arm) ?? []);
  const ends = (end: 0 | 1) => Math.min(...each.map(({ ci95 }) => ci95[end]));
  return { difference: value, ci95: [ends(0), ends(1)], paired: false };
}

/**
 * a − w·b from two Wilson intervals. R. G. Newcombe, Statistics in Medicine 17 (1998) 873, method 10; with a weight: G. Y. Zou &
 * A. Donner, Statistics in Medicine 27 (2008) 1693.
 */
function unpaired(a: Rate, b: Rate, weight: number): Difference {
  const value = a.value - weight * b.value;
  const low = Math.hypot(a.value - a.ci95[0], weight * (b.ci95[1] - b.value));
  const high = Math.hypot(a.ci95[1] - a.value, weight * (b.value - b.ci95[0]));
  return { difference: value, ci95: [value - low, value + high], paired: false };
}

function isFit(compared: Exclude<Compared, 'half_native'>): compared is MapFit {
  return (MAP_FITS as readonly string[]).includes(compared);
}
