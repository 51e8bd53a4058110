/** @file Scores of fidelity completions by judge and arm, and the entries of `results.fidelity` made of them. */
import type { Rng } from '../../base/index.ts';
import type { FidelityScores, MapFit, Rate } from '../../contracts/index.ts';
import { bootstrapMean, pairedT, rate, wilcoxon } from '../../stats/index.ts';
import type { Judge } from '../judges/index.ts';
import { LIKELIHOOD_METRIC } from '../judges/likelihood.ts';
import type { FidelityRow } from './row.ts';

/** Scores by the prompt's tag: judge → scores. */
export type BySafety = { safe?: Record<string, FidelityScores>; bad?: Record<string, FidelityScores> };

/** label → fit → safe|bad → judge → scores. */
export type FidelityByMap = Record<string, Partial<Record<MapFit, BySafety>>>;

/** How intervals are made. */
export interface Intervals {
  readonly rng: Rng;
  readonly bootstrap: number;
}

/** Every judge's scores of one map, safe and bad prompts apart. */
export function mapScores(
  rows: readonly FidelityRow[],
  scores: Readonly<Record<string, JudgeScores>>,
  arm: string,
  intervals: Intervals,
): BySafety {
  const sides: BySafety = {};
  for (const side of ['safe', 'bad'] as const) {
    const members = rows.flatMap((r, i) => (r.prompt.trigger === side ? [i] : []));
    const judged = Object.entries(scores).flatMap(([name, judge]): [string, FidelityScores][] => {
      const entry = scoresOf(rows, members, judge, { ...intervals, arm, stream: `${side} ${name}` });
      return entry === undefined ? [] : [[name, entry]];
    });
    if (judged.length > 0) sides[side] = Object.fromEntries(judged);
  }
  return sides;
}

/** Scores of one judge: by arm, one a prompt (null where it has none); `toSource` = mapped text against A's own. */
export interface JudgeScores {
  readonly metric: string;
  readonly byArm: Readonly<Record<string, readonly (number | null)[]>>;
  readonly toSource?: Readonly<Record<string, readonly number[]>>;
}

/** Rows judged at once: what a part of a stage judges, so that no score hangs on how many parts there are. */
export const ROWS_JUDGED_AT_ONCE = 128;

/** Scores of every judge, by its name. */
export async function judgeRows(
  rows: readonly FidelityRow[],
  judges: readonly Judge[],
): Promise<Record<string, JudgeScores>> {
  const found: Record<string, JudgeScores>[] = [];
  for (let at = 0; at < rows.length; at += ROWS_JUDGED_AT_ONCE)
    found.push(await judgeSome(rows.slice(at, at + ROWS_JUDGED_AT_ONCE), judges));
  return joinScores(found);
}

async function judgeSome(
  rows: readonly FidelityRow[],
  judges: readonly Judge[],
): Promise<Record<string, JudgeScores>> {
  const out: Record<string, JudgeScores> = {};
  for (const judge of judges) {
    const byArm: Record<string, number[]> = {};
    const toSource: Record<string, number[]> = {};
    for (const arm of armsIn(rows)) {
      const candidates = rows.map((r) => r.completions[arm]);
      byArm[arm] = await judge.score(
        candidates.map((candidate, i) => ({ candidate, reference: rows[i].own })),
      );
      if (arm.startsWith('map:'))
        toSource[arm] = await judge.score(
          candidates.map((candidate, i) => ({ candidate, reference: rows[i].source })),
        );
    }
    out[judge.name] = { metric: judge.metric, byArm, toSource };
  }
  return out;
}

/** Scores of rows that follow each other as those of all. */
export function joinScores(
  parts: readonly Readonly<Record<string, JudgeScores>>[],
): Record<string, JudgeScores> {
  const joined: Record<string, JudgeScores> = {};
  for (const part of parts)
    for (const [name, { metric, byArm, toSource }] of Object.entries(part)) {
      const before = joined[name];
      joined[name] = {
        metric,
        byArm: after(before?.byArm, byArm),
        toSource: toSource && after(before?.toSource, toSource),
      };
    }
  return joined;
}

/** Each list after the one of its name. */
function after<T>(
  before: Readonly<Record<string, readonly T[]>> = {},
  then: Readonly<Record<string, readonly T[]>>,
): Record<string, readonly T[]> {
  return Object.fromEntries(
    Object.entries(then).map(([name, list]) => [name, [...(before[name] ?? []), ...list]]),
  );
}

/** The judge `likelihood`, whose figures were found with the rows. */
export function likelihoodScores(rows: readonly FidelityRow[]): JudgeScores {
  return {
    metric: LIKELIHOOD_METRIC,
    byArm: Object.fromEntries(armsIn(rows).map((arm) => [arm, rows.map((r) => r.likelihood[arm] ?? null)])),
  };
}

function armsIn(rows: readonly FidelityRow[]): string[] {
  return Object.keys(rows[0].completions);
}

const BASELINES = ['mean_ablated', 'ceiling', 'shuffled', 'token_mean', 'random'] as const;

/** One judge's figures of one map on some prompts; undefined where nothing was scored. */
function scoresOf(
  rows: readonly FidelityRow[],
  members: readonly number[],
  { metric, byArm, toSource }: JudgeScores,
  { arm, stream, rng, bootstrap }: Intervals & { readonly arm: string; readonly stream: string },
): FidelityScores | undefined {
  const scored = members.filter((i) => byArm[arm]?.[i] != null);
  if (scored.length === 0) return undefined;
  const values = (name: string): number[] => scored.map((i) => byArm[name]?.[i] as number);
  const mean = (name: string): Rate =>
    bootstrapMean(values(name), rng.fork(`fidelity ${stream} ${name}`), { resamples: bootstrap });
  const baselines = BASELINES.filter((name) => byArm[name] !== undefined);
  const test = pairedTest(values(arm), values('mean_ablated'));
  const apart = scored.filter((i) => rows[i].own !== rows[i].source);
  const nearer = toSource?.[arm];
  return {
    metric,
    mapped: mean(arm),
    ...Object.fromEntries(baselines.map((name) => [name, mean(name)])),
    target_vs_source:
      nearer === undefined || apart.length === 0
        ? undefined
        : rate(apart.map((i) => (byArm[arm][i] as number) > nearer[i])),
    test,
  };
}

/** Mapped against mean-ablated, two-sided; none where there are fewer than two pairs or t is not finite (all differences equal). */
function pairedTest(mapped: readonly number[], ablated: readonly number[]): FidelityScores['test'] {
  if (mapped.length < 2) return undefined;
  const { t, p, dz } = pairedT(mapped, ablated);
  if (!Number.isFinite(t) || !Number.isFinite(dz)) return undefined;
  return { t, p, dz, wilcoxon_p: wilcoxon(mapped, ablated).p };
}
