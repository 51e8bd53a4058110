/** @file Tables of figures as Markdown, for results pages. */
import { type Figure, figureValue, type Rate } from '../../src/contracts/index.ts';

export type Row = readonly (string | number)[];

/** A text within a cell. */
export function quoted(text: string): string {
  return `“${text.replaceAll('\n', ' ⏎ ').replaceAll('|', '\\|')}”`;
}

/** A figure with its interval. */
export function cell(value: Rate | Figure | undefined): string {
  if (value === undefined || typeof value === 'number') return bare(value);
  return `${short(value.value)} [${value.ci95.map(short).join(', ')}]`;
}

/** A figure alone. */
export function bare(value: Figure | undefined): string {
  return value === undefined ? '–' : short(figureValue(value));
}

export function short(value: number): string {
  if (value !== 0 && Math.abs(value) < 0.0005) return value.toExponential(0);
  return String(Number(value.toFixed(Math.abs(value) < 10 ? 3 : 1))).replace(/^(-?)0\./, '$1.');
}

/** Print a table under a heading; nothing without rows. */
export function table(title: string, head: readonly string[], rows: readonly Row[]): void {
  if (rows.length === 0) return;
  const line = (cells: Row): string => `| ${cells.join(' | ')} |`;
  print(`## ${title}\n`, line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line));
}

export function print(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n\n`);
}
