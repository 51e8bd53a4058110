/** @file Does replaced text stay the target's text? Bars with intervals, violins of the samples (the blog's Fig. 4, 5, 11, 12, 14, 16). */
import type { BehaviourResults, FidelityScores, Figure, MapFit, Sample } from '../contracts/index.ts';
import { type Bar, barPanel, splitWidth } from './bars.ts';
import { FIDELITY_STYLE, FIT_LABEL, nthStyle } from './palette.ts';
import { metricLabel, nText, percent, short, toPoint, toRow } from './records.ts';
import { type DataRow, type FigureSpec, NARROW } from './spec.ts';

const ARMS = Object.keys(FIDELITY_STYLE) as (keyof typeof FIDELITY_STYLE)[];
const SIDES = ['safe', 'bad'] as const;

/** What a violin needs of a sample. */
export type ScoredSample = Pick<Sample, 'stage' | 'behaviour' | 'trigger' | 'arm' | 'map' | 'scores'>;

/** One figure per map, fit and judge. `samples` of stage `fidelity` with a score `<judge>` or `<judge>.<metric>` add violins. */
export function fidelityFigures(
  { pair, fidelity }: BehaviourResults,
  samples: readonly ScoredSample[] = [],
): FigureSpec[] {
  return Object.entries(fidelity ?? {}).flatMap(([kind, fits]) =>
    (Object.keys(FIT_LABEL) as MapFit[]).flatMap((fit) => {
      const sides = fits[fit];
      const judges = [...new Set(SIDES.flatMap((side) => Object.keys(sides?.[side] ?? {})))];
      return judges.flatMap((judge) => {
        const scored = SIDES.flatMap((side) => {
          const scores = sides?.[side]?.[judge];
          return scores ? [{ side, scores }] : [];
        });
        const context = { behaviour: pair.behaviour, placement: pair.placement, kind, fit, judge };
        return scored.length === 0 ? [] : [figure(context, scored, samples)];
      });
    }),
  );
}

/** The mapped bars of every map beside one another, with what they are read against; null with fewer than two maps. */
export function fidelityMapsFigure({ pair, fidelity }: BehaviourResults): FigureSpec | null {
  const cases = Object.entries(fidelity ?? {}).flatMap(([kind, fits]) =>
    (Object.keys(FIT_LABEL) as MapFit[]).flatMap((fit) =>
      fits[fit] ? [{ kind, fit, sides: fits[fit] }] : [],
    ),
  );
  return cases.length < 2
    ? null
    : besideOneAnother(cases, {
        id: `${pair.behaviour}-${pair.placement}-fidelity-maps`,
        title: 'Fidelity of every map',
        text: 'Completion with all positions of the prompt but the first replaced, against the unpatched one',
      });
}

/** The same the other way round: the source's completions on the target's activations, by every inverse (the blog's Fig. 14). */
export function inverseFidelityFigure({ pair, inverse }: BehaviourResults): FigureSpec | null {
  const cases = Object.entries(inverse ?? {}).flatMap(([method, entry]) =>
    entry?.fidelity
      ? [{ kind: `inverse ${method.replaceAll('_', ' ')}`, fit: 'with_tags' as const, sides: entry.fidelity }]
      : [],
  );
  return cases.length === 0
    ? null
    : besideOneAnother(cases, {
        id: `${pair.behaviour}-${pair.placement}-inverse-fidelity`,
        title: 'Fidelity of the inverses, target → source',
        text: 'The source’s completion with all positions of the prompt but the first replaced by the target’s activations, taken back, against its unpatched one',
      });
}

interface MapCase {
  readonly kind: string;
  readonly fit: MapFit;
  readonly sides: BySafety;
}

type BySafety = NonNullable<NonNullable<BehaviourResults['fidelity']>[string][MapFit]>;

function besideOneAnother(
  cases: readonly MapCase[],
  { id, title, text }: { readonly id: string; readonly title: string; readonly text: string },
): FigureSpec | null {
  const kinds = [...new Set(cases.map((c) => c.kind))];
  const judge = cases[0] && Object.keys(cases[0].sides.safe ?? cases[0].sides.bad ?? {})[0];
  if (judge === undefined) return null;
  const scores = (side: Side['side'], i: number) => cases[i]?.sides[side]?.[judge];
  const metric = metricLabel(scores('safe', 0)?.metric ?? scores('bad', 0)?.metric ?? judge);
  const against = ARMS.filter((arm) => arm !== 'mapped' && SIDES.some((side) => scores(side, 0)?.[arm]));
  const entries = (side: Side['side']): Bar[] => [
    ...cases.map(({ kind, fit }, i) => ({
      label: fit === 'with_tags' ? kind : `${kind}, ${FIT_LABEL[fit]}`,
      style: nthStyle(kinds.indexOf(kind)),
      figure: scores(side, i)?.mapped ?? null,
    })),
    ...against.map((arm) => ({
      label: FIDELITY_STYLE[arm].label,
      style: FIDELITY_STYLE[arm],
      figure: scores(side, 0)?.[arm] ?? null,
    })),
  ];
  const values = SIDES.flatMap((side) => entries(side).flatMap((b) => (b.figure ? [toPoint(b.figure)] : [])));
  const ends = values.flatMap((v) => [v.value, v.lo ?? v.value, v.hi ?? v.value]);
  const domain: [number, number] = [Math.min(0, ...ends), Math.max(1, ...ends)];
  return {
    id,
    title: `${title}: ${metric}`,
    caption: `${text}: mean ${metric}, ${nText(cases.map((_, i) => scores('safe', i)?.mapped))} prompts per bar; whiskers 95 % (bootstrap). Upper bars: each map. Lower bars: ${against.map((arm) => FIDELITY_STYLE[arm].label).join(', ')}.`,
    rows: SIDES.flatMap((side) =>
      entries(side).flatMap((b): DataRow[] =>
        b.figure ? [{ side, arm: b.label, judge, metric, ...toRow(b.figure) }] : [],
      ),
    ),
    layout: sidePanels(SIDES.map((side) => ({ side, domain, bars: entries(side) }))),
  };
}

interface Context {
  readonly behaviour: string;
  readonly placement: string;
  readonly kind: string;
  readonly fit: MapFit;
  readonly judge: string;
}
type Side = { readonly side: (typeof SIDES)[number]; readonly scores: FidelityScores };

/** Paired tests of mapped against mean-ablated in words. */
function testText(test: NonNullable<FidelityScores['test']>): string {
  const { t, p, dz, wilcoxon_p, holm_p } = test;
  return [
    `t = ${short(t)}`,
    `p = ${short(p)}${holm_p === undefined ? '' : ` (Holm ${short(holm_p)})`}`,
    ...(wilcoxon_p === undefined ? [] : [`Wilcoxon p = ${short(wilcoxon_p)}`]),
    `d_z = ${short(dz)}`,
  ].join(', ');
}

function figure(context: Context, sides: readonly Side[], samples: readonly ScoredSample[]): FigureSpec {
  const { behaviour, placement, kind, fit, judge } = context;
  const metric = sides[0]?.scores.metric ?? judge;
  const label = metricLabel(metric);
  const arms = ARMS.filter((arm) => sides.some(({ scores }) => scores[arm]));
  const scoresOf = (side: string, arm: string) =>
    sampleScores({ ...context, metric }, { side, arm }, samples);
  const all = sides.flatMap(({ side, scores }) =>
    arms.flatMap((arm) => {
      const rate = scores[arm];
      return rate ? [rate.value, rate.ci95[0], rate.ci95[1], ...scoresOf(side, arm)] : [];
    }),
  );
  const domain: [number, number] =
    Math.min(...all) >= 0 && Math.max(...all) <= 1 ? [0, 1] : [Math.min(0, ...all), Math.max(0, ...all)];
  const tests = sides.flatMap(({ side, scores: { test } }) => (test ? [`${side}: ${testText(test)}`] : []));
  const closer = sides.flatMap(({ side, scores: { target_vs_source: share } }) =>
    share === undefined ? [] : [`${side} ${percent(toPoint(share).value)}`],
  );
  return {
    id: `${behaviour}-${placement}-fidelity-${kind}-${fit}-${judge}`,
    title: `Fidelity of the ${kind} map (${FIT_LABEL[fit]}): ${label}`,
    caption:
      `Completion with the prompt’s activations replaced, against the unpatched one; ${judge.split('_')[0]} judge. Mean ${label}, ${nText(sides.map((s) => s.scores.mapped))} prompts per bar; whiskers 95 % (bootstrap)` +
      `${arms.some((arm) => sides.some(({ side }) => hasShape(scoresOf(side, arm)))) ? '; under each bar the spread of the single prompts' : ''}. Baseline: mean-ablated; the ceiling must equal the unpatched text. ` +
      (tests.length > 0
        ? `Mapped against mean-ablated, paired: ${tests.join('; ')}.`
        : 'No paired test was run.') +
      (closer.length > 0
        ? ` Closer to the target’s own text than to the source’s: ${closer.join(', ')}.`
        : ''),
    rows: sides.flatMap(({ side, scores }) =>
      [...arms, 'target_vs_source' as const].flatMap((arm): DataRow[] => {
        const value: Figure | undefined = scores[arm];
        return value === undefined ? [] : [{ side, arm, judge, metric: scores.metric, ...toRow(value) }];
      }),
    ),
    layout: sidePanels(
      sides.map(({ side, scores }) => ({
        side,
        domain,
        tall: sides.some((s) => arms.some((arm) => hasShape(scoresOf(s.side, arm)))),
        bars: arms.map(
          (arm): Bar => ({
            label: FIDELITY_STYLE[arm].label,
            style: FIDELITY_STYLE[arm],
            figure: scores[arm] ?? null,
            samples: hasShape(scoresOf(side, arm)) ? scoresOf(side, arm) : [],
          }),
        ),
      })),
    ),
  };
}

/** The bars of one kind of prompts. */
interface SideBars {
  readonly side: Side['side'];
  readonly domain: [number, number];
  readonly tall?: boolean;
  readonly bars: readonly Bar[];
}

/** A panel for each kind of prompts, beside one another or stacked where it is narrow. */
function sidePanels(sides: readonly SideBars[]): FigureSpec['layout'] {
  return (width, fill) => {
    const stacked = width < NARROW;
    const { first, other } = splitWidth(width, sides.length);
    const panels = sides.map(({ side, ...bars }, i) =>
      barPanel({
        title: `${side} prompts`,
        width: stacked ? width : i === 0 ? first : other,
        labels: stacked || i === 0,
        format: short,
        fill,
        ...bars,
      }),
    );
    return { legend: [], rows: stacked ? panels.map((p) => [p]) : [panels] };
  };
}

/** Yes-or-no scores have no shape to show. */
function hasShape(scores: readonly number[]): boolean {
  return scores.some((score) => score !== 0 && score !== 1);
}

function sampleScores(
  { behaviour, kind, fit, judge, metric }: Context & { readonly metric: string },
  { side, arm }: { readonly side: string; readonly arm: string },
  samples: readonly ScoredSample[],
): number[] {
  return samples.flatMap((sample) => {
    const mine =
      sample.stage === 'fidelity' &&
      sample.behaviour === behaviour &&
      sample.trigger === side &&
      sample.arm === arm &&
      (!sample.map || (sample.map.kind === kind && sample.map.fit === fit));
    const score = sample.scores?.[`${judge}.${metric}`] ?? sample.scores?.[judge];
    return mine && score !== undefined ? [score] : [];
  });
}
