/**
 * @file How far the mapped arm's restoration lies above every other arm's, with intervals of a bootstrap paired by prompt: each resample
 * draws prompts with replacement and takes every arm's restoration on the same prompts. B. Efron & R. Tibshirani, 1993, §13.3.
 */
import { CrosspatchError, type Rng } from '../../base/index.ts';
import {
  type MapFit,
  NOISE_ARMS,
  type Sample,
  type TransferArm,
  type TransferEntry,
  VERSUS,
  type Versus,
} from '../../contracts/index.ts';
import { mean, quantiles } from '../../stats/index.ts';

/** Per prompt, in one order for all arms: whether each draw restored the ordinary answer. */
export type RestoredDraws = readonly (readonly boolean[])[];

/** What is compared: arms of the entry, or the same map under another fit. */
export type RestoredBy = Partial<Record<TransferArm | MapFit, RestoredDraws>>;

/**
 * `margin_ci95`: mapped minus the strongest noise arm, chosen again in each resample. `versus`: mapped minus each arm, and minus half of
 * the native arm. An arm without draws is left out.
 */
export function margins(
  restored: RestoredBy,
  rng: Rng,
  resamples: number,
): Pick<TransferEntry, 'margin_ci95' | 'versus'> {
  const shares = shareByPrompt(restored);
  const mapped = shares.get('mapped');
  if (mapped === undefined || shares.size === 1) return {};
  const names = [...shares.keys()];
  const drawn = resampledMeans([...shares.values()], rng, resamples);
  const meansOf = (name: string): Float64Array | undefined => drawn[names.indexOf(name)];
  const own = drawn[names.indexOf('mapped')];
  const compared = (other: ArrayLike<number>, difference: number) => ({
    difference,
    ci95: interval(own.map((value, r) => value - other[r])),
    n: mapped.length,
  });
  const versus: Versus = {};
  for (const name of VERSUS) {
    const arm = name === 'half_native' ? 'native' : name;
    const [means, values] = [meansOf(arm), shares.get(arm)];
    if (means === undefined || values === undefined) continue;
    const weight = name === 'half_native' ? 0.5 : 1;
    versus[name] = compared(
      means.map((m) => weight * m),
      mean(mapped) - weight * mean(values),
    );
  }
  const noise = NOISE_ARMS.flatMap((arm) => meansOf(arm) ?? []);
  const strongest = own.map((_, r) => Math.max(...noise.map((means) => means[r])));
  return { versus, margin_ci95: noise.length === 0 ? undefined : compared(strongest, 0).ci95 };
}

/**
 * The same map under other fits: adds `versus.<fit>` to each entry of a map, paired by prompt through the mapped arm's sample rows.
 * `clean_a` is the control "the source before its fine-tune".
 */
export function withOtherFits(
  transfer: Readonly<Record<string, Readonly<Partial<Record<MapFit, TransferEntry>>>>>,
  samples: readonly Sample[],
  rng: Rng,
  resamples: number,
): Record<string, Partial<Record<MapFit, TransferEntry>>> {
  const out: Record<string, Partial<Record<MapFit, TransferEntry>>> = {};
  for (const [label, fits] of Object.entries(transfer)) {
    const rows = samples.filter(
      (s) => s.stage === 'transfer' && s.arm === 'mapped' && s.trigger === 'bad' && s.map?.kind === label,
    );
    // Rows are written as runs end; the order of prompts is that of their ids.
    const drawsOf = (fit: MapFit): RestoredDraws =>
      rows
        .filter((s) => s.map?.fit === fit)
        .sort((a, b) => (a.prompt_id < b.prompt_id ? -1 : 1))
        .map((s) => [s.outcome?.restored === true]);
    const kept: Partial<Record<MapFit, TransferEntry>> = {};
    out[label] = kept;
    const names = Object.keys(fits) as MapFit[];
    for (const fit of names) {
      const entry = fits[fit];
      if (entry === undefined) continue;
      const others = names.filter((name) => name !== fit).map((name) => [name, drawsOf(name)] as const);
      const restored: RestoredBy = { mapped: drawsOf(fit), ...Object.fromEntries(others) };
      const { versus } = margins(restored, rng.fork(`fits of ${label}/${fit}`), resamples);
      kept[fit] = versus === undefined ? entry : { ...entry, versus: { ...entry.versus, ...versus } };
    }
  }
  return out;
}

/** Share of restored draws per prompt, by arm; arms that were not run are left out. */
function shareByPrompt(restored: RestoredBy): Map<string, Float64Array> {
  const shares = new Map<string, Float64Array>();
  for (const [name, draws] of Object.entries(restored)) {
    if (draws.length === 0) continue;
    shares.set(
      name,
      Float64Array.from(draws, (d) => d.filter(Boolean).length / d.length),
    );
  }
  const lengths = new Set([...shares.values()].map((values) => values.length));
  if (lengths.size > 1)
    throw new CrosspatchError(
      `margins: arms were run on different numbers of prompts (${[...shares].map(([name, v]) => `${name} ${v.length}`).join(', ')}), so they cannot be paired`,
      { id: 'nothing-to-steer' },
    );
  return shares;
}

/** Mean of each arm in each resample of the prompts, one resample for all arms. */
function resampledMeans(arms: readonly Float64Array[], rng: Rng, resamples: number): Float64Array[] {
  const n = arms[0].length;
  const scale = n / 2 ** 32;
  const means = arms.map(() => new Float64Array(resamples));
  const picked = new Uint32Array(n);
  for (let r = 0; r < resamples; r++) {
    for (let i = 0; i < n; i++) picked[i] = Math.floor(rng.uint32() * scale);
    for (const [a, values] of arms.entries()) {
      let total = 0;
      for (let i = 0; i < n; i++) total += values[picked[i]];
      means[a][r] = total / n;
    }
  }
  return means;
}

function interval(values: Float64Array): [number, number] {
  const [low, high] = quantiles(values, [0.025, 0.975]);
  return [low, high];
}
