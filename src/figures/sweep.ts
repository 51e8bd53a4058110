/** @file Steerability by block for both models, with every control and the chosen block (the blog's Fig. 1). */
import type { BehaviourResults, Outcome, Rate, SweepControl, SweepRow } from '../contracts/index.ts';
import { type Line, linePanel } from './lines.ts';
import { SWEEP_STYLE, TRANSFER_STYLE } from './palette.ts';
import { nText, toRow } from './records.ts';
import { type DataRow, type FigureSpec, NARROW, type Panel } from './spec.ts';

const MEASURES = ['restoration', 'removal', 'elicitation'] as const;
type Measure = (typeof MEASURES)[number];
const CONTROLS = Object.keys(SWEEP_STYLE) as SweepControl[];

/** Null when no sweep was run. */
export function sweepFigure({ pair, sweep }: BehaviourResults): FigureSpec | null {
  const sides = [
    { side: 'source', name: pair.source, rows: sweep?.source ?? [], chosen: pair.source_block },
    { side: 'target', name: pair.target, rows: sweep?.target ?? [], chosen: pair.target_block },
  ].filter((s) => s.rows.length > 0);
  if (sides.length === 0) return null;
  const measures = MEASURES.filter((m) => sides.some((s) => s.rows.some((row) => row[m])));
  const controls = CONTROLS.filter((c) => sides.some((s) => s.rows.some((row) => row.controls[c])));
  return {
    id: `${pair.behaviour}-${pair.placement}-sweep`,
    title: 'Where the behaviour can be steered, block by block',
    caption:
      `Share of held-out prompts, ${nText(sides.flatMap((s) => s.rows.map((r) => r.restoration ?? r.removal)))} per block; band and whiskers 95 % (Wilson). ` +
      'Blue: the safe run’s own activations set at the span, one block at a time. Grey dashes: noise of the same size. ' +
      'Green: positive controls, expected to work. “self” must change nothing. The grey bar marks the chosen block.',
    rows: sides.flatMap(({ side, rows }) => rows.flatMap((row) => dataRows(side, row))),
    layout: (width) => {
      const stacked = width < NARROW;
      const panelWidth = stacked ? width : Math.floor((width - 12) / 2);
      const panel = (s: (typeof sides)[number], measure: Measure): Panel =>
        linePanel({
          title: `${s.name}: ${measure}`,
          width: panelWidth,
          height: 210,
          xLabel: 'block',
          xTicks: blockTicks(s.rows),
          percent: true,
          lines: [...controls.map((c) => controlLine(s.rows, c, measure)), steeredLine(s.rows, measure)],
          marks: s.chosen === undefined ? [] : [{ x: s.chosen, label: `chosen ${s.chosen}` }],
        });
      return {
        legend: [
          { label: 'steered', as: 'line', style: TRANSFER_STYLE.native },
          ...controls.map((c) => ({
            label: SWEEP_STYLE[c].label,
            as: 'line' as const,
            style: SWEEP_STYLE[c],
          })),
        ],
        rows: stacked
          ? sides.flatMap((s) => measures.map((m) => [panel(s, m)]))
          : measures.map((m) => sides.map((s) => panel(s, m))),
      };
    },
  };
}

function steeredLine(rows: readonly SweepRow[], measure: Measure): Line {
  return { style: TRANSFER_STYLE.native, interval: 'band', points: points(rows, (row) => row[measure]) };
}

function controlLine(rows: readonly SweepRow[], control: SweepControl, measure: Measure): Line {
  return {
    style: SWEEP_STYLE[control],
    interval: 'whiskers',
    points: points(rows, (row) => row.controls[control]?.[measure]),
  };
}

function points(rows: readonly SweepRow[], pick: (row: SweepRow) => Rate | undefined): Line['points'] {
  return rows.flatMap((row) => {
    const rate = pick(row);
    return rate ? [{ x: row.block, y: rate.value, lo: rate.ci95[0], hi: rate.ci95[1] }] : [];
  });
}

function blockTicks(rows: readonly SweepRow[]): number[] {
  const blocks = rows.map((row) => row.block);
  const step = Math.ceil(blocks.length / 10);
  return blocks.filter((_, i) => i % step === 0);
}

function dataRows(side: string, row: SweepRow): DataRow[] {
  const arms: [string, Outcome][] = [
    ['steered', row],
    ...Object.entries(row.controls).map(([name, outcome]): [string, Outcome] => [name, outcome]),
  ];
  const rates = arms.flatMap(([arm, outcome]) =>
    MEASURES.flatMap((measure) => {
      const rate = outcome[measure];
      return rate ? [{ side, block: row.block, arm, measure, ...toRow(rate) }] : [];
    }),
  );
  const extra = (['logit_shift', 'margin'] as const).flatMap((measure) => {
    const figure = row[measure];
    return figure === undefined
      ? []
      : [{ side, block: row.block, arm: 'steered', measure, ...toRow(figure) }];
  });
  return [...rates, ...extra];
}
