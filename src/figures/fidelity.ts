/** @file Does replaced text stay the target's text? Bars with intervals, violins of the samples (the blog's Fig. 4, 5, 11, 12, 14, 16). */
import type { BehaviourResults, FidelityScores, Figure, MapFit, Sample } from '../contracts/index.ts';
import { type Bar, barPanel, splitWidth } from './bars.ts';
import { FIDELITY_STYLE, FIT_LABEL } from './palette.ts';
import { nText, short, toRow } from './records.ts';
import { type DataRow, type FigureSpec, NARROW } from './spec.ts';

const ARMS = Object.keys(FIDELITY_STYLE) as (keyof typeof FIDELITY_STYLE)[];
const SIDES = ['safe', 'bad'] as const;

/** One figure per map, fit and judge. `samples` of stage `fidelity` with a score `<judge>` or `<judge>.<metric>` add violins. */
export function fidelityFigures(
  { pair, fidelity }: BehaviourResults,
  samples: readonly Sample[] = [],
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

interface Context {
  readonly behaviour: string;
  readonly placement: string;
  readonly kind: string;
  readonly fit: MapFit;
  readonly judge: string;
}
type Side = { readonly side: (typeof SIDES)[number]; readonly scores: FidelityScores };

function figure(context: Context, sides: readonly Side[], samples: readonly Sample[]): FigureSpec {
  const { behaviour, placement, kind, fit, judge } = context;
  const metric = sides[0]?.scores.metric ?? judge;
  const arms = ARMS.filter((arm) => sides.some(({ scores }) => scores[arm]));
  const scoresOf = (side: string, arm: string) => sampleScores(context, metric, side, arm, samples);
  const all = sides.flatMap(({ side, scores }) =>
    arms.flatMap((arm) => {
      const rate = scores[arm];
      return rate ? [rate.value, rate.ci95[0], rate.ci95[1], ...scoresOf(side, arm)] : [];
    }),
  );
  const domain: [number, number] =
    Math.min(...all) >= 0 && Math.max(...all) <= 1 ? [0, 1] : [Math.min(0, ...all), Math.max(0, ...all)];
  const tests = sides.flatMap(({ side, scores: { test } }) =>
    test ? [`${side}: t = ${short(test.t)}, p = ${short(test.p)}, d_z = ${short(test.dz)}`] : [],
  );
  return {
    id: `${behaviour}-${placement}-fidelity-${kind}-${fit}-${judge}`,
    title: `Fidelity, ${kind} map (${FIT_LABEL[fit]}), ${judge}: ${metric}`,
    caption:
      `Completion with the prompt’s activations replaced, against the unpatched one. Mean ${metric}, ${nText(sides.map((s) => s.scores.mapped))} prompts a bar; whiskers 95 % (bootstrap)` +
      `${arms.some((arm) => sides.some(({ side }) => scoresOf(side, arm).length > 0)) ? '; violins: the prompts' : ''}. Baseline: mean-ablated; the ceiling must equal the unpatched text. ` +
      (tests.length > 0
        ? `Mapped against mean-ablated, paired: ${tests.join('; ')}.`
        : 'No paired test was run.'),
    rows: sides.flatMap(({ side, scores }) =>
      [...arms, 'target_vs_source' as const].flatMap((arm): DataRow[] => {
        const value: Figure | undefined = scores[arm];
        return value === undefined ? [] : [{ side, arm, judge, metric: scores.metric, ...toRow(value) }];
      }),
    ),
    layout: (width, fill) => {
      const stacked = width < NARROW;
      const { first, other } = splitWidth(width, sides.length);
      const panels = sides.map(({ side, scores }, i) =>
        barPanel({
          title: `${side} prompts`,
          width: stacked ? width : i === 0 ? first : other,
          labels: stacked || i === 0,
          domain,
          format: short,
          fill,
          bars: arms.map(
            (arm): Bar => ({
              label: FIDELITY_STYLE[arm].label,
              style: FIDELITY_STYLE[arm],
              figure: scores[arm] ?? null,
              samples: scoresOf(side, arm),
            }),
          ),
        }),
      );
      return { legend: [], rows: stacked ? panels.map((p) => [p]) : [panels] };
    },
  };
}

function sampleScores(
  { behaviour, kind, fit, judge }: Context,
  metric: string,
  side: string,
  arm: string,
  samples: readonly Sample[],
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
