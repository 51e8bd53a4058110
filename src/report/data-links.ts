/** @file A figure's data one click away: CSV and JSON as links that carry their content, so that the report stays one file. */
import { type DataRow, toCsv, toJson } from '../figures/index.ts';
import { type Html, html } from './html.ts';

/** Links to `rows`, saved as `name.csv` and `name.json`. */
export function dataLinks(name: string, rows: readonly DataRow[]): Html {
  const link = (kind: 'csv' | 'json', type: string, text: string) =>
    html`<a download="${name}.${kind}" href="${dataUrl(type, text)}">${kind.toUpperCase()}</a>`;
  return html`<div class="data">Data: ${link('csv', 'text/csv', toCsv(rows))}${link('json', 'application/json', toJson(rows))}</div>`;
}

/** A `data:` URL of `text` in the shorter of its two spellings, base64 or percent-encoded. */
export function dataUrl(type: string, text: string): string {
  const bytes = Buffer.from(text); // lone surrogates become U+FFFD
  // A URL may hold these as they are; only what ends it, escapes in it or is stripped from it must be spelt out.
  const plain = bytes.toString().replace(/[^\w,.:;()[\]{}!?*+=/|~@-]/gu, encodeURIComponent);
  const packed = bytes.toString('base64');
  return packed.length < plain.length
    ? `data:${type};base64,${packed}`
    : `data:${type};charset=utf-8,${plain}`;
}
