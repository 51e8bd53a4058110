/** @file A figure's data one click away: CSV and JSON as links that carry their content, so that the report stays one file. */
import { type DataRow, toCsv, toJson } from '../figures/index.ts';
import { type Html, html } from './html.ts';

/** Links to `rows`, saved as `name.csv` and `name.json`. */
export function dataLinks(name: string, rows: readonly DataRow[]): Html {
  const link = (kind: 'csv' | 'json', type: string, text: string) =>
    html`<a download="${name}.${kind}" href="data:${type};base64,${Buffer.from(text).toString('base64')}">${kind.toUpperCase()}</a>`;
  return html`<div class="data">Data: ${link('csv', 'text/csv', toCsv(rows))}${link('json', 'application/json', toJson(rows))}</div>`;
}
