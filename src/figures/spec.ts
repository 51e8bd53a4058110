/** @file What a figure is: data rows and a drawing for a given width, with words. No DOM, no files: pure records → spec. */
import type { PlotOptions } from '@observablehq/plot';

/** One row of a figure's data, as it appears in CSV and JSON. */
export type DataRow = Record<string, string | number | null>;

/** An entry of the legend: `line` = dashed stroke with its symbol, `level` = the stroke alone. */
export interface LegendItem {
  readonly label: string;
  readonly style: SeriesStyle;
  readonly as: 'line' | 'level';
}

/** How a series looks; colour, dash, symbol and pattern each tell it apart on their own (grey print, colour blindness). */
export interface SeriesStyle {
  /** A CSS colour, by convention `var(--cp-…, fallback)`. */
  readonly color: string;
  /** `stroke-dasharray`; absent = solid. */
  readonly dash?: string;
  readonly symbol: 'circle' | 'square' | 'triangle' | 'diamond' | 'cross' | 'star' | 'times' | 'plus';
  readonly pattern: 'solid' | 'hatch' | 'lines' | 'dots' | 'outline';
}

/** One Plot with its own axes, sizes in px. */
export interface Panel {
  readonly width: number;
  readonly height: number;
  readonly options: PlotOptions;
}

/** Rows of panels, drawn left to right and top to bottom under the legend. */
export interface Layout {
  readonly rows: readonly (readonly Panel[])[];
  readonly legend: readonly LegendItem[];
}

/** Makes pattern fills: the reference to hand to a mark's `fill`. */
export type PatternFill = (style: SeriesStyle) => string;

/** A figure before it is drawn. */
export interface FigureSpec {
  /** Unique in a report; used as element id and file name. */
  readonly id: string;
  readonly title: string;
  /** What is shown, n, the interval, and which control to read it against. */
  readonly caption: string;
  readonly rows: readonly DataRow[];
  /** The drawing for a width in px; below {@link NARROW} panels stack. */
  readonly layout: (width: number, fill: PatternFill) => Layout;
}

/** A drawn figure. */
export interface RenderedFigure {
  readonly id: string;
  readonly title: string;
  readonly caption: string;
  /** `<svg>…</svg>`, without width-dependent script or outside references. */
  readonly svg: string;
  readonly data: { readonly csv: string; readonly json: string };
}

/** Under this width in px a layout puts its panels below one another. */
export const NARROW = 520;

/** The rows of a layout of one panel. */
export function alone(panel: Panel): Layout['rows'] {
  return [[panel]];
}
