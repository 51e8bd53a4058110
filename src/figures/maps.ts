/** @file How maps are learnt: curves over steps (the blog's Fig. 3, 10, 15) and over seconds of fitting, closed form as a level. */
import type { BehaviourResults, MapEntry, MapFigures } from '../contracts/index.ts';
import { type LinePanelOptions, linePanel } from './lines.ts';
import { nthStyle, TRANSFER_STYLE } from './palette.ts';
import { chunk, clip, figureNumber } from './records.ts';
import { type DataRow, type FigureSpec, NARROW, type SeriesStyle } from './spec.ts';

const METRICS = {
  mse: { label: 'MSE', log: true },
  fvu: { label: 'FVU', log: true },
  cossim: { label: 'cosine', log: false },
  kl_div: { label: 'KL, nats per token', log: true },
} as const;
type Metric = keyof typeof METRICS;
const LEVEL_STYLES: readonly SeriesStyle[] = [
  { color: 'currentColor', symbol: 'plus', pattern: 'outline' },
  { color: 'currentColor', dash: '3,3', symbol: 'times', pattern: 'outline' },
];

/** Mean of the safe and the bad value on validation texts, which is what curves are taken on. */
function validationLevel(entry: MapEntry | undefined, metric: keyof MapFigures): number | null {
  const values = [entry?.validation?.safe?.[metric], entry?.validation?.bad?.[metric]].flatMap((figure) =>
    figure === undefined ? [] : [figureNumber(figure)],
  );
  return values.length === 0 ? null : values.reduce((sum, v) => sum + v, 0) / values.length;
}

/** Trained maps over `step`, or over `fit_seconds`; null when no map has curves on that axis. */
export function curvesFigure(
  { pair, maps }: BehaviourResults,
  axis: 'step' | 'fit_seconds' = 'step',
): FigureSpec | null {
  const trained = Object.entries(maps ?? {}).flatMap(([kind, fits]) => {
    const curves = fits.with_tags?.curves;
    return curves?.[axis] && curves.step.length > 1 ? [{ kind, curves, x: curves[axis] }] : [];
  });
  if (trained.length === 0) return null;
  const metrics = (Object.keys(METRICS) as Metric[]).filter(
    (m) =>
      trained.some((t) => t.curves[m]?.some((v) => v !== null)) &&
      (axis === 'step' || m === 'fvu' || m === 'kl_div'),
  );
  const levels = [
    { label: 'affine, closed form', entry: maps?.affine?.with_tags, style: LEVEL_STYLES[0]! },
    { label: 'mean (control)', entry: maps?.mean?.with_tags, style: LEVEL_STYLES[1]! },
    { label: 'shuffled (control)', entry: maps?.shuffled?.with_tags, style: TRANSFER_STYLE.shuffled },
  ].filter((level) => level.entry && metrics.some((m) => validationLevel(level.entry, m) !== null));
  const seconds = axis === 'fit_seconds';
  const closed = maps?.affine?.with_tags?.fit_seconds;
  return {
    id: `${pair.behaviour}-${pair.placement}-curves${seconds ? '-seconds' : ''}`,
    title: seconds ? 'What a second of fitting buys' : 'Training the maps',
    caption:
      `Validation texts, ${seconds ? 'by seconds of fitting (capture apart)' : 'by optimizer step'}; fit with tags. ` +
      'Lower is better, but for cosine. Levels: the closed form' +
      `${seconds && closed !== undefined ? ` (${closed.toFixed(1)} s)` : ''}, and control maps that know nothing of the text or of the tag.`,
    rows: [
      ...trained.flatMap(({ kind, curves, x }) =>
        x.map(
          (at, i): DataRow => ({
            map: kind,
            [axis]: at,
            ...Object.fromEntries(metrics.map((m) => [m, curves[m]?.[i] ?? null])),
          }),
        ),
      ),
      ...levels.map(
        (level): DataRow => ({
          map: level.label,
          [axis]: null,
          ...Object.fromEntries(metrics.map((m) => [m, validationLevel(level.entry, m)])),
        }),
      ),
    ],
    layout: (width) => {
      const perRow = width < NARROW ? 1 : 2;
      const w = Math.floor((width - 12 * (perRow - 1)) / perRow);
      const panels = metrics.map((metric) => {
        const { label, log } = METRICS[metric];
        const lines = trained.map(({ curves, x }, i) => ({
          style: nthStyle(i),
          points: x.flatMap((at, k) => {
            const y = curves[metric]?.[k];
            return at === null || typeof y !== 'number' || (log && y <= 0) ? [] : [{ x: at, y }];
          }),
        }));
        const options: LinePanelOptions = {
          title: label,
          width: w,
          xLabel: seconds ? 'seconds' : 'step',
          yType: log ? 'log' : 'linear',
          lines,
          levels: levels.flatMap(({ entry, style }) => {
            const y = validationLevel(entry, metric);
            return y === null || (log && y <= 0) ? [] : [{ y, style }];
          }),
        };
        return linePanel(options);
      });
      return {
        legend: [
          ...trained.map(({ kind }, i) => ({
            label: clip(kind, 30),
            as: 'line' as const,
            style: nthStyle(i),
          })),
          ...levels.map(({ label, style }) => ({ label, as: 'level' as const, style })),
        ],
        rows: chunk(panels, perRow),
      };
    },
  };
}
