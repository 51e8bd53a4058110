/** @file Plain text tables. */
import { type Figure, figureValue } from '../contracts/index.ts';

/** Columns padded to their widest cell, two spaces apart; columns of numbers align right. The first row is the head. */
export function textTable(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, c) =>
    Math.max(...rows.map((row) => (row[c] ?? '').length)),
  );
  const numeric = widths.map(
    (_, c) => rows.length > 1 && rows.slice(1).every((row) => /^[-–\d.,%\s[\]]*$/.test(row[c] ?? '')),
  );
  return rows
    .map((row) =>
      row
        .map((cell, c) => (numeric[c] ? cell.padStart(widths[c] ?? 0) : cell.padEnd(widths[c] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** A figure to four significant digits. */
export function figure(value: number | undefined): string {
  return value === undefined ? '–' : String(Number(value.toPrecision(4)));
}

/** A rate or figure without its interval, to three significant digits. */
export function rateCell(value: Figure | undefined): string {
  return value === undefined ? '–' : String(Number(figureValue(value).toPrecision(3)));
}

/** A figure with its 95 % interval, where it has one. */
export function intervalCell(value: Figure | undefined): string {
  if (value === undefined || typeof value === 'number') return rateCell(value);
  return `${rateCell(value)} [${value.ci95.map((x) => rateCell(x)).join(', ')}]`;
}

/** Records as JSONL. */
export function jsonLines(records: readonly unknown[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join('');
}

/** `12.3 kB`, `1.234 GB`. */
export function byteSize(bytes: number): string {
  const [size, unit] =
    bytes < 1e6 ? [bytes / 1e3, 'kB'] : bytes < 1e9 ? [bytes / 1e6, 'MB'] : [bytes / 1e9, 'GB'];
  return `${figure(size)} ${unit}`;
}
