/** @file The arms of steering transfer: what each puts on the span, under `set` and under `add`. */
import type { Rng } from '../../base/index.ts';
import type { TransferArm } from '../../contracts/index.ts';
import { type Noise, noiseArms, randomDifference, SpanNoise } from '../arms/controls.ts';
import type { ArmPatch, Place } from '../arms/run.ts';
import { mapSpans, type RowMap, type Spans } from '../arms/spans.ts';
import { opposite, type TaggedState } from '../subject/cases.ts';
import { bagSpans } from './bag.ts';
import type { TransferData } from './data.ts';

/** A map under test, and the control maps beside it. */
export interface TransferMaps {
  readonly mapped: RowMap;
  readonly shuffled?: RowMap | undefined;
  readonly tokenMean?: RowMap | undefined;
}

/** Span activations of the target's width, by where they come from. */
export interface ArmSpans {
  readonly native: Spans;
  readonly mapped: Spans;
  /** Mapped, of training prompts. */
  readonly static: Spans | undefined;
  readonly shuffled: Spans | undefined;
  readonly token_mean: Spans | undefined;
  /** Predicted from the bag of the span's tokens; only where tested tags are not among those labelled. */
  readonly bag_of_tokens: Spans | undefined;
}

/** Put the source's spans through a map and its controls. */
export async function armSpans(
  { given, training, native, labelled, subject }: TransferData,
  { mapped, shuffled, tokenMean }: TransferMaps,
): Promise<ArmSpans> {
  return {
    native,
    mapped: await mapSpans(mapped, given),
    static: training && (await mapSpans(mapped, training)),
    shuffled: shuffled && (await mapSpans(shuffled, given)),
    token_mean: tokenMean && (await mapSpans(tokenMean, given)),
    bag_of_tokens: labelled && bagSpans(labelled, subject.cases),
  };
}

/** Native steering and noise of every kind: what no map changes, under `set`. */
export function sharedArms(
  { native }: TransferData,
  wanted: readonly TransferArm[],
  draws: number,
  rng: Rng,
): (place: Place) => ArmPatch[] {
  const covariance = new SpanNoise(native);
  return (place) => {
    const { case: c, direction } = place;
    const stream = (arm: Noise, k: number): Rng => rng.fork(`${arm}/${direction}/prompt ${c.id}/draw ${k}`);
    return [
      { arm: 'native', values: native.onto(c, direction) },
      ...noiseArms(native, covariance, place, { arms: wanted, from: 0, to: draws, stream }),
    ];
  };
}

/** How the arms of a map are made. */
export interface ArmSettings {
  readonly mode: 'set' | 'add';
  readonly alpha: number;
  readonly wanted: readonly TransferArm[];
  readonly rng: Rng;
}

/** A donor's rows of a state, laid on the patched run's span. */
type Donor = (state: TaggedState) => Float32Array;

/**
 * Patches of one place. `set`: the donor's activation. `add`: α(f(h_donor) − f(h_own)), each vector's own difference; the native vector
 * and a random step of its length stand beside it, since α changes them too.
 */
export function mappedArms(
  spans: ArmSpans,
  { case: c, direction }: Place,
  { mode, alpha, wanted, rng }: ArmSettings,
): ArmPatch[] {
  const { mapped, native } = spans;
  const of =
    (from: Spans): Donor =>
    (state) =>
      from.onto(c, direction, state);
  const mean = (from: Spans): Donor => {
    const n = c.states[direction].positions.length;
    return (state) => from.mean(state, n);
  };
  const across = opposite(direction);
  const donors: readonly (readonly [TransferArm, Donor | undefined, TaggedState])[] = [
    ['mapped', of(mapped), across],
    ['static', spans.static && mean(spans.static), across],
    ['other_prompt', (state) => mapped.onto(c, direction, state, mapped.neighbour(c)), across],
    ['other_tag', of(mapped), 'other'],
    ['shuffled', spans.shuffled && of(spans.shuffled), across],
    ['token_mean', spans.token_mean && of(spans.token_mean), across],
    ['bag_of_tokens', spans.bag_of_tokens && of(spans.bag_of_tokens), across],
    ['native', mode === 'add' ? of(native) : undefined, across],
  ];
  const arms = donors.flatMap(([arm, donor, state]): ArmPatch[] => {
    if (donor === undefined || !wanted.includes(arm)) return [];
    const values = donor(state);
    const expect = arm === 'other_tag' ? 'none' : undefined;
    if (mode === 'set') return [{ arm, values, expect }];
    const own = donor(direction);
    return [{ arm, values: values.map((x, k) => alpha * (x - own[k])), mode, expect }];
  });
  // The error of the map alone: the run's own activation, mapped.
  const error: TransferArm = direction === 'bad' ? 'mapped_bad_to_bad' : 'mapped_safe_to_safe';
  if (mode === 'set' && wanted.includes(error))
    arms.push({ arm: error, values: mapped.onto(c, direction, direction), expect: direction });
  if (mode === 'add' && wanted.includes('random_step')) {
    const stream = rng.fork(`add/random_step/${direction}/prompt ${c.id}`);
    const step = randomDifference(native.of(c, direction), native.onto(c, direction), native.width, stream);
    arms.push({ arm: 'random_step', values: step.map((x) => alpha * x), mode, expect: direction });
  }
  return arms;
}
