/** @file Judges against people: how far raters agree, how far each judge agrees with them, and a judge's scores as grades from 1 to 5. */
import { InputError, type Rng } from '../../base/index.ts';
import type { Rate, SheetKey } from '../../contracts/index.ts';
import {
  bootstrapFigure,
  isotonic,
  krippendorffAlpha,
  mean,
  quantiles,
  rate,
  spearman,
} from '../../stats/index.ts';
import { groupOf, type JudgedPair } from './sheet.ts';

/** One person's grades by the number of the pair. */
export interface Rater {
  readonly name: string;
  readonly grades: ReadonlyMap<number, number>;
}

/** What the ratings say. α is Krippendorff's, ordinal. Figures that the ratings do not give are NaN (`null` in JSON). */
export interface Calibration {
  readonly schema_version: 1;
  /** Of the sheet. */
  readonly pairs: number;
  readonly raters: readonly { readonly name: string; readonly n: number; readonly mean: number }[];
  /** Among raters; `undefined` with one. */
  readonly agreement: { readonly alpha: Rate; readonly equal: Rate; readonly within_one: Rate } | undefined;
  /** By `judge.metric`. α of the judge's grades, which its scores give by a rising curve fitted on other pairs; ρ is Spearman's, of its scores and the mean grade. */
  readonly judges: Readonly<Record<string, { readonly alpha: Rate; readonly rho: Rate }>>;
  /** Mean grade of every arm of the run by each judge's curve; a completion equal to the model's own counts 5. `undefined` without a run. */
  readonly arms: readonly ArmGrades[] | undefined;
}

interface ArmGrades {
  readonly behaviour: string;
  readonly trigger: string;
  readonly arm: string;
  readonly grades: Readonly<Record<string, Rate>>;
}

interface Settings {
  readonly rng: Rng;
  readonly resamples: number;
}

/** Folds of the curve that turns a judge's scores into grades: the pairs it is measured on are not those it was fitted on. */
const FOLDS = 10;
/** The grade of equal texts. */
const HIGHEST = 5;

/** A rated pair: everybody's grades, and the score of the judge that is looked at. */
interface Point {
  readonly grades: readonly number[];
  readonly score: number;
}

/**
 * `judged`: all completions of the run, for the means of its arms. Pairs that a rater left open count for the others. Throws {@link InputError}
 * where fewer than two pairs are rated.
 */
export function calibrate(
  key: SheetKey['pairs'],
  raters: readonly Rater[],
  judged: readonly JudgedPair[] | undefined,
  { rng, resamples }: Settings,
): Calibration {
  const rated = key
    .map(({ pair, scores = {} }) => ({
      scores,
      grades: raters.flatMap(({ grades }) => grades.get(pair) ?? []),
    }))
    .filter(({ grades }) => grades.length > 0);
  if (rated.length < 2)
    throw new InputError(`calibrate: wanted at least two rated pairs of the sheet, got ${rated.length}`, {
      id: 'data-missing',
    });
  const names = [...new Set(rated.flatMap(({ scores }) => Object.keys(scores)))];
  const byJudge = names.map((name): [string, Point[]] => [
    name,
    rated.flatMap(({ grades, scores }) => (name in scores ? [{ grades, score: scores[name] }] : [])),
  ]);
  const judges = byJudge.map(([name, points]) => [
    name,
    judgeFigures(points, { rng: rng.fork(name), resamples }),
  ]);
  return {
    schema_version: 1,
    pairs: key.length,
    raters: raters.map(({ name, grades }) => ({ name, n: grades.size, mean: mean([...grades.values()]) })),
    agreement: raters.length > 1 ? agreement(rated, { rng: rng.fork('raters'), resamples }) : undefined,
    judges: Object.fromEntries(judges),
    arms: judged && armGrades(judged, byJudge, { rng: rng.fork('arms'), resamples }),
  };
}

/** Among the raters, over the pairs that two or more of them rated. */
function agreement(
  rated: readonly { readonly grades: readonly number[] }[],
  settings: Settings,
): Calibration['agreement'] {
  const both = rated.map(({ grades }) => grades).filter((grades) => grades.length > 1);
  if (both.length < 2) return undefined;
  const apart = both.map((grades) => Math.max(...grades) - Math.min(...grades));
  return {
    alpha: bootstrapFigure(both, (units) => krippendorffAlpha(units, 'ordinal'), settings.rng, settings),
    equal: rate(apart.map((d) => d === 0)),
    within_one: rate(apart.map((d) => d <= 1)),
  };
}

/** α of a judge: the mean over raters of its α with each, its grades from a curve fitted on the other folds. */
function judgeFigures(points: readonly Point[], settings: Settings): Calibration['judges'][string] {
  const fold = settings.rng.shuffle(points.map((_, i) => i % FOLDS));
  const graded = points.map(({ score, grades }, i) => {
    const others = points.filter((_, j) => fold[j] !== fold[i]);
    const grade = others.length > 0 ? Math.round(curveOf(others)(score)) : Number.NaN;
    return { score, grades, grade, mean: mean(grades) };
  });
  return {
    alpha: bootstrapFigure(graded, alphaOfJudge, settings.rng, settings),
    rho: bootstrapFigure(
      graded,
      (drawn) =>
        spearman(
          drawn.map((p) => p.score),
          drawn.map((p) => p.mean),
        ).value,
      settings.rng,
      settings,
    ),
  };
}

function alphaOfJudge(
  points: readonly { readonly grades: readonly number[]; readonly grade: number }[],
): number {
  const raters = Math.max(...points.map(({ grades }) => grades.length));
  const alphas = Array.from({ length: raters }, (_, r) =>
    krippendorffAlpha(
      points.flatMap(({ grades, grade }) => (r < grades.length ? [[grade, grades[r]]] : [])),
      'ordinal',
    ),
  );
  return mean(alphas);
}

/** From a judge's score to the mean grade people give: the best rising curve. */
function curveOf(points: readonly Point[]): (score: number) => number {
  return isotonic(
    points.map(({ score }) => score),
    points.map(({ grades }) => mean(grades)),
  );
}

/** Mean grade per arm. The interval carries both chances: which pairs were rated, and which prompts were asked. */
function armGrades(
  judged: readonly JudgedPair[],
  byJudge: readonly (readonly [string, readonly Point[]])[],
  { rng, resamples }: Settings,
): Calibration['arms'] {
  const groups = new Map<string, JudgedPair[]>();
  for (const pair of judged) {
    const group = groupOf(pair.sample);
    groups.set(group, [...(groups.get(group) ?? []), pair]);
  }
  const curves = byJudge.map(([name, points]) => ({
    name,
    curve: curveOf(points),
    redrawn: Array.from({ length: resamples }, () => curveOf(draw(points, rng))),
  }));
  return [...groups].map(([group, pairs]) => {
    const [behaviour, trigger, arm] = JSON.parse(group) as [string, string, string];
    const grades = curves.flatMap(({ name, curve, redrawn }): [string, Rate][] => {
      const scored = pairs.filter(({ sample }) => sample.scores?.[name] !== undefined);
      if (scored.length === 0) return [];
      const graded = (by: (score: number) => number, some: readonly JudgedPair[]): number =>
        mean(
          some.map(({ sample, own }) =>
            sample.completion === own ? HIGHEST : by(sample.scores?.[name] as number),
          ),
        );
      const means = redrawn.map((by) => graded(by, draw(scored, rng)));
      return [[name, { value: graded(curve, scored), n: scored.length, ci95: ends(means) }]];
    });
    return { behaviour, trigger, arm, grades: Object.fromEntries(grades) };
  });
}

function ends(values: readonly number[]): [number, number] {
  const [low, high] = quantiles(values, [0.025, 0.975]);
  return [low, high];
}

function draw<T>(units: readonly T[], rng: Rng): T[] {
  return units.map(() => units[rng.int(units.length)]);
}
