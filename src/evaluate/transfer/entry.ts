/** @file An entry of `results.transfer`: rates of every arm, margins, and the comparison with native steering. */
import type { Rng } from '../../base/index.ts';
import { NOISE_ARMS, type Outcome, type TransferArm, type TransferEntry } from '../../contracts/index.ts';
import { bootstrapMean, nonInferiority, rate } from '../../stats/index.ts';
import type { Tally } from '../arms/tally.ts';
import { type Subject, testedCases } from '../subject/subject.ts';
import { dot, minus } from '../vector.ts';
import type { ArmSpans } from './arms.ts';
import { margins, type RestoredBy, type RestoredDraws } from './margins.ts';

/** Settings behind the figures of an entry. */
export interface EntrySettings {
  readonly arms: readonly TransferArm[];
  readonly noninferiority_margin: number;
  readonly bootstrap: number;
}

/** Rates by arm; an arm that `tally` has not run is taken from `shared`. */
export function armOutcomes(
  wanted: readonly TransferArm[],
  tally: Tally,
  shared?: Tally,
): TransferEntry['arms'] {
  const out: Partial<Record<TransferArm, Outcome>> = {};
  for (const arm of wanted) {
    const from = tally.has(arm) ? tally : shared;
    if (!from?.has(arm)) continue;
    out[arm] = arm.startsWith('mapped_') ? from.outcomeWithChanged(arm) : from.outcome(arm);
  }
  return out;
}

/** Rates, margins and the comparison with native steering. `native`: the tally that holds the native arm. */
export function entryFigures(
  { cases }: Subject,
  { tally, shared, native }: { readonly tally: Tally; readonly shared: Tally; readonly native: Tally },
  p: EntrySettings,
  rng: Rng,
): Omit<TransferEntry, 'mode' | 'alpha' | 'add' | 'untagged' | 'native_alignment'> {
  const arms = armOutcomes(p.arms, tally, shared);
  const removed = native.each('native', 'bad', 'removed');
  const mapped = tally.each('mapped', 'bad', 'removed');
  const nested = mapped.filter((_, k) => removed[k]);
  const restored = native.each('native', 'bad', 'restored');
  const margin = (names: readonly TransferArm[]): number | undefined => {
    const values = names.flatMap((arm) => arms[arm]?.restoration?.value ?? []);
    const own = arms.mapped?.restoration?.value;
    return own === undefined || values.length === 0 ? undefined : own - Math.max(...values);
  };
  return {
    trigger_rate: rate(cases.map(({ detected }) => detected.bad.shows)),
    steering_success_rate: removed.length === 0 ? undefined : rate(removed),
    transfer_rate: nested.length === 0 ? undefined : rate(nested),
    arms,
    margin: margin(NOISE_ARMS),
    margin_without_shuffled: margin(NOISE_ARMS.filter((arm) => arm !== 'shuffled')),
    ...margins(restoredDraws(p.arms, tally, shared), rng.fork('margins'), p.bootstrap),
    noninferiority:
      restored.length === 0
        ? undefined
        : noninferiority(restored, tally.each('mapped', 'bad', 'restored'), p.noninferiority_margin),
  };
}

/** Per prompt, whether each draw restored the ordinary answer, by arm. */
function restoredDraws(arms: readonly TransferArm[], tally: Tally, shared: Tally): RestoredBy {
  const of = (arm: TransferArm): RestoredDraws =>
    (tally.has(arm) ? tally : shared).draws(arm, 'bad').map((flags) => flags.map((f) => f.restored === true));
  return Object.fromEntries(arms.map((arm) => [arm, of(arm)]));
}

function noninferiority(
  native: readonly boolean[],
  mapped: readonly boolean[],
  margin: number,
): TransferEntry['noninferiority'] {
  const { difference, ci95, p } = nonInferiority(native, mapped, margin);
  return { difference, ci95, p };
}

/** Cosine and norm ratio of the mapped steering vector f(safe) − f(bad) to the native one, over the whole span, mean over T. */
export function nativeAlignment(
  subject: Subject,
  { native, mapped }: Pick<ArmSpans, 'native' | 'mapped'>,
  { bootstrap }: EntrySettings,
  rng: Rng,
): TransferEntry['native_alignment'] {
  const pairs = testedCases(subject, 'bad').flatMap((c) => {
    const [a, b] = [mapped, native].map((s) => minus(s.onto(c, 'bad', 'safe'), s.onto(c, 'bad', 'bad')));
    const [aa, bb, ab] = [dot(a, a), dot(b, b), dot(a, b)];
    return aa === 0 || bb === 0 ? [] : [{ cosine: ab / Math.sqrt(aa * bb), ratio: Math.sqrt(aa / bb) }];
  });
  if (pairs.length === 0) return undefined;
  const mean = (values: readonly number[], stream: string) =>
    bootstrapMean(values, rng.fork(stream), { resamples: bootstrap });
  return {
    cossim: mean(
      pairs.map((p) => p.cosine),
      'alignment cosine',
    ),
    norm_ratio: mean(
      pairs.map((p) => p.ratio),
      'alignment norm',
    ),
  };
}
