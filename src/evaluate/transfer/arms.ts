/** @file The arms of steering transfer that hang on a map: what each puts on the span, under `set` and under `add`. */
import type { Rng } from '../../base/index.ts';
import type { TransferArm } from '../../contracts/index.ts';
import { otherPrompt, randomDifference } from '../arms/controls.ts';
import type { ArmPatch } from '../arms/run.ts';
import { meanSpan, type StateSpans } from '../arms/spans.ts';
import {
  alignRows,
  type ContrastCase,
  type Direction,
  spanPositions,
  type TaggedState,
} from '../subject/cases.ts';

/** Span activations of the target's width, by where they come from. */
export interface ArmSpans {
  readonly native: StateSpans;
  readonly mapped: StateSpans;
  /** Mapped, of training prompts. */
  readonly static: StateSpans | undefined;
  readonly shuffled: StateSpans | undefined;
  readonly token_mean: StateSpans | undefined;
}

/** How the arms are made. */
export interface ArmSettings {
  readonly mode: 'set' | 'add';
  readonly alpha: number;
  readonly wanted: readonly TransferArm[];
  /** d_target. */
  readonly width: number;
  readonly rng: Rng;
}

/** A donor state's rows for a span of n tokens. */
type Donor = (state: TaggedState, n: number) => Float32Array;

/**
 * Patches of one case. `set`: the donor's activation. `add`: α(f(h_donor) − f(h_own)), each vector's own difference; the native vector
 * and a random step of its length stand beside it, since α changes them too.
 */
export function mappedArms(
  spans: ArmSpans,
  cases: readonly ContrastCase[],
  direction: Direction,
  i: number,
  settings: ArmSettings,
): ArmPatch[] {
  const { mode, alpha, wanted, width } = settings;
  const n = spanPositions(cases[i]!, direction).length;
  const opposite: Direction = direction === 'bad' ? 'safe' : 'bad';
  const of = (source: StateSpans | undefined, j = i): Donor | undefined =>
    source && ((state, m) => alignRows(source[state][j]!, m, width));
  const mean: Donor | undefined = spans.static && ((state, m) => meanOf(spans.static!, state, m, width));
  const donors: readonly (readonly [TransferArm, Donor | undefined, TaggedState])[] = [
    ['mapped', of(spans.mapped), opposite],
    ['static', mean, opposite],
    ['other_prompt', of(spans.mapped, otherPrompt(i, cases.length)), opposite],
    ['other_tag', of(spans.mapped), 'other'],
    ['shuffled', of(spans.shuffled), opposite],
    ['token_mean', of(spans.token_mean), opposite],
    ...(mode === 'add' ? [['native', of(spans.native), opposite] as const] : []),
  ];
  const arms = donors.flatMap(([arm, donor, state]): ArmPatch[] => {
    if (donor === undefined || !wanted.includes(arm)) return [];
    const values = donor(state, n);
    const expect = arm === 'other_tag' ? { expect: 'none' as const } : {};
    if (mode === 'set') return [{ arm, values, ...expect }];
    const own = donor(direction, n);
    return [{ arm, values: values.map((x, k) => alpha * (x - own[k]!)), mode, ...expect }];
  });
  // The error of the map alone: the run's own activation, mapped.
  const error: TransferArm = direction === 'bad' ? 'mapped_bad_to_bad' : 'mapped_safe_to_safe';
  if (mode === 'set' && wanted.includes(error))
    arms.push({ arm: error, values: alignRows(spans.mapped[direction][i]!, n, width), expect: direction });
  if (mode === 'add' && wanted.includes('random_step')) {
    const rng = settings.rng.fork(`add/random_step/${direction}/prompt ${cases[i]!.id}`);
    const step = randomDifference(
      spans.native[direction][i]!,
      alignRows(spans.native[opposite][i]!, n, width),
      width,
      rng,
    );
    arms.push({ arm: 'random_step', values: step.map((x) => alpha * x), mode, expect: direction });
  }
  return arms;
}

/** Means of training spans, by state and length; the same for every prompt. */
const means = new WeakMap<StateSpans, Map<string, Float32Array>>();

function meanOf(spans: StateSpans, state: TaggedState, n: number, width: number): Float32Array {
  const made = means.get(spans) ?? new Map<string, Float32Array>();
  means.set(spans, made);
  const key = `${state}/${n}`;
  const found = made.get(key) ?? meanSpan(spans[state], n, width);
  made.set(key, found);
  return found;
}
