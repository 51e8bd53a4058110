/** @file Line panels: each series has its own colour, dash and symbol; intervals as bands; references as rules. */
import * as Plot from '@observablehq/plot';
import { fitText } from './records.ts';
import type { Panel, SeriesStyle } from './spec.ts';

interface LinePoint {
  readonly x: number;
  readonly y: number;
  readonly lo?: number | null;
  readonly hi?: number | null;
}

export interface Line {
  readonly style: SeriesStyle;
  readonly points: readonly LinePoint[];
  /** Draw the symbols. Defaults to true; many points are thinned to about 12 symbols. */
  readonly symbols?: boolean;
  /** Draw the interval from `lo` to `hi`: a band for what is claimed, whiskers for what it is read against. Defaults to none. */
  readonly interval?: 'band' | 'whiskers';
}

export interface LinePanelOptions {
  readonly title: string;
  readonly width: number;
  /** Defaults to 170. */
  readonly height?: number;
  readonly lines: readonly Line[];
  readonly xLabel: string;
  /** Axis in per cent over `[0, 1]`. Defaults to false. */
  readonly percent?: boolean;
  /** Defaults to linear. */
  readonly yType?: 'linear' | 'log';
  /** `point` puts the x values at equal distances. Defaults to linear. */
  readonly xType?: 'linear' | 'point';
  readonly xTicks?: readonly number[];
  /** Vertical lines with a word, such as the chosen block. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[];
  /** Horizontal references. */
  readonly levels?: readonly { readonly y: number; readonly style: SeriesStyle }[];
}

export function linePanel(options: LinePanelOptions): Panel {
  const { title, width, height = 170, lines, levels = [], marks = [], percent = false } = options;
  const left = Math.min(...lines.flatMap((line) => line.points.map((p) => p.x)));
  const dashed = (style: SeriesStyle) => (style.dash ? { strokeDasharray: style.dash } : {});
  return {
    width,
    height,
    options: {
      marginLeft: 44,
      marginRight: 14,
      marginTop: 36,
      marginBottom: 34,
      x: {
        label: options.xLabel,
        labelAnchor: 'center',
        labelArrow: 'none',
        inset: 6,
        ...(options.xType === 'point'
          ? { type: 'point' }
          : {
              type: 'linear',
              ticks: options.xTicks ? [...options.xTicks] : Math.max(2, Math.floor(width / 90)),
            }),
        ...(options.xTicks ? { tickFormat: String } : {}),
      },
      y: {
        label: null,
        grid: true,
        ...(percent
          ? { domain: [0, 1], tickFormat: (v: number) => `${Math.round(v * 100)} %`, clamp: true, ticks: 4 }
          : options.yType === 'log'
            ? { type: 'log', ...logAxis(lines, levels) }
            : { type: 'linear', tickFormat: '~g', nice: true, ticks: 4 }),
      },
      marks: [
        Plot.text([fitText(title, width)], { frameAnchor: 'top-left', dy: -32, dx: -40, fontWeight: 'bold' }),
        ...marks.flatMap((m) => [
          Plot.ruleX([m.x], { stroke: 'currentColor', strokeOpacity: 0.22, strokeWidth: 8 }),
          Plot.text([m], {
            x: 'x',
            frameAnchor: 'top',
            text: 'label',
            dy: -13,
            // At the left end the word would run into the axis.
            ...(m.x === left ? { textAnchor: 'start', dx: -4 } : {}),
          }),
        ]),
        ...levels.map(({ y, style }) =>
          Plot.ruleY([y], { stroke: style.color, strokeWidth: 1.5, ...dashed(style) }),
        ),
        ...lines
          .filter((line) => line.interval === 'band')
          .map(({ points, style }) =>
            Plot.areaY(
              points.filter((p) => typeof p.lo === 'number' && typeof p.hi === 'number'),
              { x: 'x', y1: 'lo', y2: 'hi', fill: style.color, fillOpacity: 0.18 },
            ),
          ),
        ...lines
          .filter((line) => line.interval === 'whiskers')
          .map(({ points, style }) =>
            Plot.ruleX(
              points.filter((p) => typeof p.lo === 'number' && typeof p.hi === 'number'),
              { x: 'x', y1: 'lo', y2: 'hi', stroke: style.color, strokeOpacity: 0.55 },
            ),
          ),
        ...lines.map(({ points, style }) =>
          Plot.lineY(points, { x: 'x', y: 'y', stroke: style.color, strokeWidth: 1.8, ...dashed(style) }),
        ),
        ...lines
          .filter((line) => line.symbols !== false)
          .map(({ points, style }) =>
            Plot.dot(thin(points), {
              x: 'x',
              y: 'y',
              symbol: style.symbol,
              r: 3,
              fill: style.color,
              stroke: style.color,
            }),
          ),
      ],
    },
  };
}

function thin(points: readonly LinePoint[]): LinePoint[] {
  const step = points.length > 40 ? Math.ceil(points.length / 12) : 1;
  return points.filter((_, i) => i % step === 0 || i === points.length - 1);
}

/** Range and ticks of a logarithmic axis: powers of ten, with 2 and 5 between them when there are few. */
function logAxis(lines: LinePanelOptions['lines'], levels: readonly { readonly y: number }[]) {
  const values = [...lines.flatMap((line) => line.points.map((p) => p.y)), ...levels.map((l) => l.y)];
  const [lo, hi] = [Math.min(...values), Math.max(...values)];
  const domain = [lo / 1.15, hi * 1.15];
  const first = Math.floor(Math.log10(lo));
  const decades = Array.from({ length: Math.ceil(Math.log10(hi)) - first + 1 }, (_, i) => 10 ** (first + i));
  const steps = hi / lo > 200 ? [1] : [1, 2, 5];
  const ticks = decades
    .flatMap((power) => steps.map((step) => step * power))
    .filter((tick) => tick >= domain[0]! && tick <= domain[1]!);
  return { domain, ticks, tickFormat: (v: number) => String(Number(v.toPrecision(3))) };
}
