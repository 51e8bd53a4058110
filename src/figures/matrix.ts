/** @file Heat maps: cividis (even in lightness, so it reads in grey and by colour-blind eyes), value printed where a cell has room. */
import * as Plot from '@observablehq/plot';
import { fitText, short } from './records.ts';
import type { Panel } from './spec.ts';

interface MatrixOptions {
  readonly title: string;
  readonly width: number;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly columns: readonly string[];
  readonly rows: readonly string[];
  /** `[row][column]`; null = not measured, drawn as a hollow cell. */
  readonly values: readonly (readonly (number | null)[])[];
  /** Colour range; values beyond take its end colours. Defaults to the data's. */
  readonly domain?: readonly [number, number];
  /** Cells to ring. */
  readonly rings?: readonly { readonly row: string; readonly column: string }[];
}

/** The heat map, and under it a strip that shows the colour scale. */
export function matrixPanels(options: MatrixOptions): Panel[] {
  const { title, width, columns, rows, values, rings = [] } = options;
  const cells = rows.flatMap((row, i) =>
    columns.map((column, j) => ({ row, column, value: values[i]?.[j] ?? null })),
  );
  const known = cells.flatMap((c) => (c.value === null ? [] : [c.value]));
  const domain = options.domain ?? [Math.min(0, ...known), Math.max(0, ...known)];
  const longest = Math.max(1, ...columns.map((c) => Array.from(c).length));
  const marginLeft = 30 + 6.6 * Math.max(...rows.map((r) => Array.from(r).length), 2);
  const cellWidth = (width - marginLeft - 8) / Math.max(1, columns.length);
  const rotated = longest * 6.6 > cellWidth;
  const step = rotated ? Math.max(1, Math.ceil(13 / cellWidth)) : 1;
  const marginBottom = 26 + (rotated ? Math.min(110, longest * 6.2) : 12);
  const cellHeight = Math.max(12, Math.min(24, 420 / Math.max(1, rows.length)));
  const color = Plot.scale({
    color: { type: 'linear', scheme: 'cividis', domain: [...domain], clamp: true },
  });
  const paint = (v: number) => String(color.apply(v));
  return [
    {
      width,
      height: 30 + marginBottom + cellHeight * rows.length,
      options: {
        marginLeft,
        marginRight: 8,
        marginTop: 30,
        marginBottom,
        x: {
          domain: [...columns],
          label: options.xLabel,
          labelAnchor: 'center',
          labelArrow: 'none',
          tickRotate: rotated ? -90 : 0,
          ticks: columns.filter((_, i) => i % step === 0),
          tickSize: 0,
        },
        y: { domain: [...rows], label: options.yLabel, labelArrow: 'none', tickSize: 0 },
        marks: [
          Plot.text([fitText(title, width)], {
            frameAnchor: 'top-left',
            dy: -26,
            dx: -marginLeft + 6,
            fontWeight: 'bold',
          }),
          Plot.cell(cells, {
            x: 'column',
            y: 'row',
            inset: 0.5,
            fill: { value: cells.map((c) => (c.value === null ? 'none' : paint(c.value))), scale: null },
            stroke: { value: cells.map((c) => (c.value === null ? 'currentColor' : 'none')), scale: null },
            strokeOpacity: 0.3,
          }),
          ...(cellWidth >= 30 && cellHeight >= 14
            ? [
                Plot.text(
                  cells.filter((c) => c.value !== null),
                  {
                    x: 'column',
                    y: 'row',
                    text: (c: { value: number }) => twoDigits(c.value),
                    fontSize: 10,
                    fill: { value: (c: { value: number }) => ink(c.value, domain), scale: null },
                  },
                ),
              ]
            : []),
          Plot.cell(rings, {
            x: 'column',
            y: 'row',
            stroke: 'var(--cp-mapped, #D55E00)',
            strokeWidth: 3,
            fill: 'none',
            inset: -0.5,
          }),
        ],
      },
    },
    scaleStrip(width, marginLeft, domain, paint),
  ];
}

/** `0.85`; what rounds to nought has no sign. */
function twoDigits(value: number): string {
  return (Math.abs(value) < 0.005 ? 0 : value).toFixed(2).replace('-', '−');
}

/** Black on the light end of cividis, white on the dark end. */
function ink(value: number, [lo, hi]: readonly [number, number]): string {
  return (value - lo) / (hi - lo || 1) > 0.5 ? '#000' : '#fff';
}

function scaleStrip(
  width: number,
  marginLeft: number,
  [lo, hi]: readonly [number, number],
  paint: (v: number) => string,
): Panel {
  const steps = 24;
  const right = Math.max(8, width - marginLeft - 240);
  const at = (k: number) => lo + ((hi - lo) * k) / steps;
  const span = hi > lo ? [lo, hi] : [lo, lo + 1];
  return {
    width,
    height: 34,
    options: {
      marginLeft,
      marginRight: right,
      marginTop: 2,
      marginBottom: 20,
      x: { domain: span, ticks: [lo, (lo + hi) / 2, hi], tickFormat: short, label: null, tickSize: 3 },
      y: { axis: null },
      marks: [
        Plot.rect(
          Array.from({ length: steps }, (_, k) => k),
          {
            x1: (k: number) => at(k),
            x2: (k: number) => at(k + 1),
            y1: () => 0,
            y2: () => 1,
            fill: { value: (k: number) => paint(at(k + 0.5)), scale: null },
          },
        ),
      ],
    },
  };
}
