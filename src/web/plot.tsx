/** @file A small live line chart, drawn by hand: two kilobytes instead of the drawing library. */
import type { ReactNode } from 'react';
import { brief } from './progress.ts';
import { ticks } from './ticks.ts';

export interface LinePoint {
  readonly x: number;
  readonly y: number;
}
export interface Line {
  readonly label: string;
  readonly points: readonly LinePoint[];
  readonly dash?: string;
  readonly color?: string;
}

const W = 320;
const H = 150;
const PAD = { left: 46, right: 14, top: 10, bottom: 30 };

/** Lines over one pair of axes. Says what it shows in words for those who do not see it. */
export function LineChart(props: {
  readonly title: string;
  readonly xLabel: string;
  readonly lines: readonly Line[];
  /** A vertical line at this x. */
  readonly at?: number;
}): ReactNode {
  const { title, xLabel, lines, at } = props;
  const all = lines
    .flatMap((line) => line.points)
    .filter((p) => Number.isFinite(p.x) && Number.isFinite(p.y));
  if (all.length === 0) return null;
  const [x0, x1] = span(all.map((p) => p.x));
  const [low, high] = span(all.map((p) => p.y));
  // Blocks and steps are counted in whole ones.
  const isWhole = all.every((p) => Number.isInteger(p.x));
  const step = ticks(low, high, 4);
  // The axis begins and ends at a tick.
  const width = (step[1] ?? high) - (step[0] ?? low);
  const [y0, y1] = [Math.floor(low / width) * width, Math.ceil(high / width) * width];
  const px = (x: number) => PAD.left + ((x - x0) / (x1 - x0)) * (W - PAD.left - PAD.right);
  const py = (y: number) => H - PAD.bottom - ((y - y0) / (y1 - y0)) * (H - PAD.top - PAD.bottom);
  const last = lines.map((line) => `${line.label} ${brief(line.points.at(-1)?.y ?? 0)}`).join(', ');
  return (
    <div className="chart">
      <p className="title">{title}</p>
      <svg viewBox={`0 0 ${W} ${H}`} role="img" aria-label={`${title}: ${last}`}>
        {ticks(y0, y1, 4).map((y) => (
          <g key={y}>
            <line x1={PAD.left} x2={W - PAD.right} y1={py(y)} y2={py(y)} className="grid" />
            <text x={PAD.left - 5} y={py(y) + 3.5} textAnchor="end">
              {brief(y)}
            </text>
          </g>
        ))}
        {ticks(x0, x1, 6)
          .filter(isWhole ? Number.isInteger : Number.isFinite)
          .map((x) => (
            <text key={x} x={px(x)} y={H - PAD.bottom + 13} textAnchor="middle">
              {brief(x)}
            </text>
          ))}
        <text x={(PAD.left + W - PAD.right) / 2} y={H - 4} textAnchor="middle">
          {xLabel}
        </text>
        {at === undefined ? null : (
          <line x1={px(at)} x2={px(at)} y1={PAD.top} y2={H - PAD.bottom} className="cursor" />
        )}
        {lines.map((line) => (
          <polyline
            key={line.label}
            points={line.points.map((p) => `${px(p.x).toFixed(1)},${py(p.y).toFixed(1)}`).join(' ')}
            fill="none"
            stroke={line.color ?? 'var(--cp-native)'}
            strokeWidth="2"
            strokeDasharray={line.dash}
            strokeLinejoin="round"
          />
        ))}
      </svg>
      {lines.length < 2 ? null : (
        <p className="legend">
          {lines.map((line) => (
            <span key={line.label}>
              <svg width="24" height="8" aria-hidden="true">
                <line
                  x1="0"
                  x2="24"
                  y1="4"
                  y2="4"
                  stroke={line.color ?? 'var(--cp-native)'}
                  strokeWidth="2"
                  strokeDasharray={line.dash}
                />
              </svg>{' '}
              {line.label}
            </span>
          ))}
        </p>
      )}
    </div>
  );
}

function span(values: readonly number[]): [number, number] {
  const [lo, hi] = [Math.min(...values), Math.max(...values)];
  return lo === hi ? [lo - (Math.abs(lo) || 1) / 2, hi + (Math.abs(hi) || 1) / 2] : [lo, hi];
}
