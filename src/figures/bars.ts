/**
 * @file Horizontal bars with 95 % intervals, the value in figures beside each, and optionally half a violin of the samples under each.
 * Bars are labelled on the axis, so their order and names carry the meaning and colour only repeats it.
 */
import * as Plot from '@observablehq/plot';
import type { Figure } from '../contracts/index.ts';
import { clip, fitText, percent, toPoint } from './records.ts';
import type { Panel, PatternFill, SeriesStyle } from './spec.ts';

export interface Bar {
  readonly label: string;
  readonly style: SeriesStyle;
  /** Null keeps the row, empty: panels beside one another share their rows. */
  readonly figure: Figure | null;
  /** Scores of single samples, for a violin under the bar. */
  readonly samples?: readonly number[];
}

/** A vertical reference line. */
export interface Rule {
  readonly at: number;
  readonly style: SeriesStyle;
}

interface BarPanelOptions {
  readonly title: string;
  readonly width: number;
  readonly bars: readonly Bar[];
  readonly fill: PatternFill;
  /** Whether the bars' names stand on the left. Defaults to true. */
  readonly labels?: boolean;
  /** Axis range. Defaults to `[0, 1]`. */
  readonly domain?: readonly [number, number];
  /** How a value is written. Defaults to per cent. */
  readonly format?: (value: number) => string;
  /** Room for violins under the bars. Defaults to whether any bar has one; panels beside one another share it. */
  readonly tall?: boolean;
  /** Vertical reference lines. */
  readonly rules?: readonly Rule[];
}

const BAR = 20;
/** Height of a row whose bar has a violin under it. */
const TALL = 36;
/** Under a bar: where its violin stands, and how high it is at most, in rows. */
const FLOOR = 0.64;
const LANE = 0.4;
/** Advance of a digit of the 11 px font, px. */
const DIGIT = 6.8;
/** Room for names, px; names longer than {@link NAME} characters are cut (the data keeps them whole). */
const LABEL_WIDTH = 146;
const NAME = 24;

/** Width of a panel without names, for the same length of bars as one of `width` with names. */
export function splitWidth(width: number, panels: number, gap = 12): { first: number; other: number } {
  const other = Math.floor((width - (LABEL_WIDTH - 10) - gap * (panels - 1)) / panels);
  return { first: other + LABEL_WIDTH - 10, other };
}

export function barPanel(options: BarPanelOptions): Panel {
  const { title, width, bars, fill, labels = true, domain = [0, 1], format = percent, rules = [] } = options;
  const named = bars.map((bar, i) => ({ ...bar, i }));
  const data = named.flatMap((bar) => (bar.figure === null ? [] : [{ ...bar, ...toPoint(bar.figure) }]));
  const withInterval = data.filter((d) => d.lo !== null && d.hi !== null);
  const tall = options.tall ?? data.some((d) => isViolin(d.samples));
  const thick = tall ? 0.2 : 0.34;
  const isShare = format === percent;
  const written = (bar: Bar) => (bar.figure === null ? '' : minus(format(toPoint(bar.figure).value)));
  const room = 10 + Math.ceil(DIGIT * Math.max(...bars.map((bar) => written(bar).length), 5));
  return {
    width,
    height: 46 + (tall ? TALL : BAR) * bars.length,
    options: {
      marginLeft: labels ? LABEL_WIDTH : 10,
      marginRight: room,
      marginTop: 22,
      marginBottom: 24,
      x: {
        domain: [...domain],
        ticks: width < 260 ? 2 : 4,
        ...(isShare ? { tickFormat: (v: number) => `${Math.round(v * 100)}` } : {}),
        grid: true,
        label: null,
      },
      y: { domain: [bars.length - (tall ? 0.3 : 0.5), tall ? -0.3 : -0.5], axis: null },
      marks: [
        Plot.text([fitText(title, width - (labels ? LABEL_WIDTH : 10))], {
          frameAnchor: 'top-left',
          dy: -17,
          fontWeight: 'bold',
        }),
        ...rules.map(({ at, style }) =>
          Plot.ruleX([at], {
            stroke: style.color,
            strokeWidth: 1.5,
            ...(style.dash ? { strokeDasharray: style.dash } : {}),
          }),
        ),
        ...data.map((d) =>
          Plot.rect([d], {
            x1: () => Math.max(domain[0], Math.min(0, domain[1])),
            x2: 'value',
            y1: d.i - thick,
            y2: d.i + thick,
            fill: fill(d.style),
            stroke: d.style.color,
          }),
        ),
        ...data
          .filter((d) => isViolin(d.samples))
          .map((d) =>
            Plot.areaY(violin(d.samples ?? [], domain), {
              x: 'x',
              y1: d.i + FLOOR,
              y2: (v: { density: number }) => d.i + FLOOR - LANE * v.density,
              fill: d.style.color,
              fillOpacity: 0.45,
            }),
          ),
        ...intervalMarks(withInterval),
        ...(labels
          ? [
              Plot.text(named, {
                frameAnchor: 'left',
                y: 'i',
                text: (d: Bar) => clip(d.label, NAME),
                textAnchor: 'end',
                dx: -8,
              }),
            ]
          : []),
        Plot.text(named, {
          frameAnchor: 'right',
          y: 'i',
          text: written,
          textAnchor: 'end',
          dx: room - 2,
          fontVariant: 'tabular-nums',
        }),
        Plot.ruleX([Math.max(domain[0], 0)]),
      ],
    },
  };
}

/** Too few samples have no shape. */
function isViolin(samples: readonly number[] | undefined): boolean {
  return (samples?.length ?? 0) >= 5;
}

function minus(text: string): string {
  return text.replace(/-/g, '−');
}

/** Whisker with a halo of the page's colour, so that it shows on any bar. */
function intervalMarks(data: readonly { lo: number | null; hi: number | null; i: number }[]): Plot.Markish[] {
  return (['var(--cp-bg, #fff)', 'currentColor'] as const).flatMap((stroke, top) => {
    const strokeWidth = top ? 1.3 : 3.6;
    return [
      Plot.ruleY(data, { x1: 'lo', x2: 'hi', y: 'i', stroke, strokeWidth }),
      ...(['lo', 'hi'] as const).map((end) =>
        Plot.ruleX(data, {
          x: end,
          y1: (d: { i: number }) => d.i - 0.16,
          y2: (d: { i: number }) => d.i + 0.16,
          stroke,
          strokeWidth,
        }),
      ),
    ];
  });
}

/**
 * Gaussian kernel density of `samples` on 41 points of `domain`, scaled to a greatest value of 1; the tails below 1 % are cut.
 * Bandwidth: Silverman's 0.9 · min(sd, iqr/1.34) · n^(-1/5), at least 2 % of the range; mass is reflected at the ends.
 */
export function violin(
  samples: readonly number[],
  domain: readonly [number, number],
): { x: number; density: number }[] {
  const [lo, hi] = domain;
  const sorted = [...samples].sort((a, b) => a - b);
  const n = sorted.length;
  const mean = sorted.reduce((sum, v) => sum + v, 0) / n;
  const sd = Math.sqrt(sorted.reduce((sum, v) => sum + (v - mean) ** 2, 0) / n);
  const iqr = (sorted[Math.floor(0.75 * (n - 1))]! - sorted[Math.floor(0.25 * (n - 1))]!) / 1.34;
  const spread = Math.min(sd, iqr || sd);
  const width = Math.max(0.9 * spread * n ** -0.2, 0.02 * (hi - lo));
  const kernel = (u: number) => Math.exp(-0.5 * u * u);
  const points = Array.from({ length: 41 }, (_, k) => {
    const x = lo + ((hi - lo) * k) / 40;
    const density = sorted.reduce(
      (sum, v) =>
        sum + kernel((x - v) / width) + kernel((x - 2 * lo + v) / width) + kernel((x - 2 * hi + v) / width),
      0,
    );
    return { x, density };
  });
  const top = Math.max(...points.map((p) => p.density));
  return points.flatMap((p) => (p.density > 0.01 * top ? [{ x: p.x, density: p.density / top }] : []));
}
