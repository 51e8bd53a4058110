/** @file Small readers of records: figures with or without intervals, n in words, numbers in words, CSV. */
import type { Figure, Rate } from '../contracts/index.ts';
import type { DataRow } from './spec.ts';

/** A figure taken apart; `n`, `lo`, `hi` are null where no interval was computed. */
interface Point {
  readonly value: number;
  readonly n: number | null;
  readonly lo: number | null;
  readonly hi: number | null;
}

export function toPoint(figure: Figure): Point {
  return typeof figure === 'number'
    ? { value: figure, n: null, lo: null, hi: null }
    : { value: figure.value, n: figure.n, lo: figure.ci95[0], hi: figure.ci95[1] };
}

/** Value of a figure, with or without an interval. (The contracts' own reader would pull the schemas into the browser bundle.) */
export function figureNumber(figure: Figure): number {
  return typeof figure === 'number' ? figure : figure.value;
}

/** The data columns `value, n, lo, hi` of a figure. */
export function toRow(figure: Figure): DataRow {
  return { ...toPoint(figure) };
}

/** `n = 200`, `n = 180–200`, or '' when no figure carries an n. */
export function nText(figures: readonly (Figure | undefined)[]): string {
  const ns = figures.filter((f): f is Rate => typeof f === 'object').map((f) => f.n);
  if (ns.length === 0) return '';
  const [lo, hi] = [Math.min(...ns), Math.max(...ns)];
  return lo === hi ? `n = ${lo}` : `n = ${lo}–${hi}`;
}

/** A share as per cent: `93 %`, `99.5 %`, `0 %`, with a no-break space. */
export function percent(value: number): string {
  const p = value * 100;
  const rounded = Math.abs(p - Math.round(p)) < 0.05 ? p.toFixed(0) : p.toFixed(1);
  return `${rounded === '-0' ? '0' : rounded}\u00a0%`;
}

/** A number to three significant figures, without trailing zeros; tiny and huge ones in powers of ten. */
export function short(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-3 || size >= 1e5) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

/** `items` in groups of `size`. */
export function chunk<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}

const METRICS: Readonly<Record<string, string>> = {
  chrf: 'chrF',
  rouge_l: 'ROUGE-L',
  token_f1: 'token F1',
  logprob_difference: 'log-probability difference',
};

/** A metric, or a score's key `judge.metric`, as people say it. */
export function metricLabel(key: string): string {
  const metric = key.slice(key.lastIndexOf('.') + 1);
  return METRICS[metric] ?? metric.replaceAll('_', ' ');
}

/** `text` cut to `length` characters with an ellipsis. */
export function clip(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join('')}…`;
}

/** `text` with control characters, lone surrogates and bidirectional controls spelt out as `⟨U+202E⟩`: they cannot hide or reorder anything. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}\p{Bidi_Control}]/gu, (c) =>
    c === '\n' || c === '\t' || c === '\r'
      ? c
      : `⟨U+${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}⟩`,
  );
}

/** `text` cut to what fits into `width` px of an 11 px bold font. */
export function fitText(text: string, width: number): string {
  return clip(text, Math.max(4, Math.floor(width / 7)));
}

/** Data to eight figures: `results.json` has them all. */
function eightFigures(value: string | number | null): string | number | null {
  return typeof value === 'number' ? Number(value.toPrecision(8)) : value;
}

/** The rows as a JSON array of objects. */
export function toJson(rows: readonly DataRow[]): string {
  return JSON.stringify(rows, (_, value: unknown) =>
    typeof value === 'number' ? eightFigures(value) : value,
  );
}

/** RFC 4180, header first, columns in order of first appearance; text that a spreadsheet would run as a formula is quoted with `'`. */
export function toCsv(rows: readonly DataRow[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cell = (value: string | number | null | undefined): string => {
    if (value === null || value === undefined) return '';
    const text =
      typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(eightFigures(value));
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns.map(cell), ...rows.map((row) => columns.map((c) => cell(row[c])))]
    .map((cells) => `${cells.join(',')}\r\n`)
    .join('');
}
