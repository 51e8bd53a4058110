/** @file Several runs in one chart: what every arm of the headline map did in each, with its interval. */
import * as Plot from '@observablehq/plot';
import type { BehaviourResults, Figure, TransferArm } from '../contracts/index.ts';
import { headline } from './cases.ts';
import { nthStyle, TRANSFER_STYLE } from './palette.ts';
import { clip, fitText, nText, toPoint, toRow } from './records.ts';
import { alone, type FigureSpec, type Panel } from './spec.ts';

/** What is compared. */
export const OVERLAY_MEASURES = ['restoration', 'removal', 'elicitation'] as const;
export type OverlayMeasure = (typeof OVERLAY_MEASURES)[number];

/** One behaviour of one run. */
export interface OverlaidRun {
  readonly run: string;
  readonly behaviour: BehaviourResults;
}

const ARMS = Object.keys(TRANSFER_STYLE) as TransferArm[];
/** Height of one run within an arm, px. */
const LANE = 13;
/** Room for the names of arms, px. */
const NAMES = 146;

/** Null where no run steered with a map. */
export function overlayFigure(runs: readonly OverlaidRun[], measure: OverlayMeasure): FigureSpec | null {
  const shown = runs.flatMap(({ run, behaviour }) => {
    const chosen = headline(behaviour);
    return chosen ? [{ run, chosen }] : [];
  });
  const figureOf = (arm: TransferArm, { chosen }: (typeof shown)[number]): Figure | undefined =>
    chosen.entry.arms[arm]?.[measure];
  const arms = ARMS.filter((arm) => shown.some((one) => figureOf(arm, one) !== undefined));
  if (arms.length === 0) return null;
  const all = shown.flatMap((one) => arms.map((arm) => figureOf(arm, one)));
  return {
    id: `overlay-${measure}`,
    title: `${measure} by every arm, ${shown.length} ${shown.length === 1 ? 'run' : 'runs'}`,
    caption:
      `Share of prompts, ${nText(all)}; whiskers 95 % (Wilson). Each run with its headline map: ` +
      `${shown.map(({ run, chosen }) => `${run} ${chosen.kind}`).join(', ')}. Runs that do not overlap in the mapped arm differ; a run counts only above its own noise arms (random, shuffled map).`,
    rows: shown.flatMap((one) =>
      arms.flatMap((arm) => {
        const figure = figureOf(arm, one);
        const { kind, fit } = one.chosen;
        return figure === undefined ? [] : [{ run: one.run, map: kind, fit, arm, measure, ...toRow(figure) }];
      }),
    ),
    layout: (width) => ({
      rows: alone(
        panel(
          measure,
          width,
          arms.map((arm) => ({
            label: TRANSFER_STYLE[arm].label,
            points: shown.map((one) => figureOf(arm, one)),
          })),
        ),
      ),
      legend: shown.map(({ run }, i) => ({ label: clip(run, 28), style: nthStyle(i), as: 'line' as const })),
    }),
  };
}

function panel(
  title: string,
  width: number,
  arms: readonly { readonly label: string; readonly points: readonly (Figure | undefined)[] }[],
): Panel {
  const lanes = Math.max(...arms.map(({ points }) => points.length));
  const tall = lanes * LANE + 10;
  const names = arms.map(({ label }, i) => ({ label, y: i }));
  const dots = arms.flatMap(({ points }, i) =>
    points.flatMap((figure, k) => {
      if (figure === undefined) return [];
      const y = i + ((k - (lanes - 1) / 2) * LANE) / tall;
      return [{ ...toPoint(figure), y, k }];
    }),
  );
  const whole = dots.filter((dot) => dot.lo !== null && dot.hi !== null);
  const series = Array.from({ length: lanes }, (_, k) => k);
  return {
    width,
    height: 46 + tall * arms.length,
    options: {
      marginLeft: NAMES,
      marginRight: 16,
      marginTop: 22,
      marginBottom: 24,
      x: {
        domain: [0, 1],
        ticks: 4,
        tickFormat: (v: number) => `${Math.round(v * 100)}`,
        grid: true,
        label: null,
      },
      y: { domain: [arms.length - 0.5, -0.5], axis: null },
      marks: [
        Plot.text([fitText(`${title}, %`, width - NAMES)], {
          frameAnchor: 'top-left',
          dy: -17,
          fontWeight: 'bold',
        }),
        Plot.ruleY(
          arms.slice(1).map((_, i) => i + 0.5),
          { stroke: 'currentColor', strokeOpacity: 0.15 },
        ),
        ...series.flatMap((k) => {
          const { color, dash, symbol } = nthStyle(k);
          const mine = (list: typeof dots) => list.filter((dot) => dot.k === k);
          return [
            Plot.ruleY(mine(whole), {
              x1: 'lo',
              x2: 'hi',
              y: 'y',
              stroke: color,
              strokeWidth: 1.6,
              strokeDasharray: dash,
            }),
            Plot.dot(mine(dots), { x: 'value', y: 'y', r: 4, symbol, fill: color, stroke: color }),
          ];
        }),
        Plot.text(names, {
          frameAnchor: 'left',
          y: 'y',
          text: (d: (typeof names)[number]) => clip(d.label, 24),
          textAnchor: 'end',
          dx: -8,
        }),
        Plot.ruleX([0]),
      ],
    },
  };
}
