/** @file `report.html` of a fleet: one self-contained page with the matrix of every behaviour, and how each target is served. */
import type { Fleet, FleetTarget } from '../../contracts/index.ts';
import { type Html, type HtmlValue, html, trusted } from '../html.ts';
import { css } from '../style.ts';
import { table, wordList } from '../tables.ts';
import { type FleetCell, type FleetMatrix, type FleetRow, fleetMatrices } from './matrix.ts';
import { fleetSentences } from './words.ts';

/** The matrix has more columns than a run's tables: names and words go over two lines. */
const CSS = `main{max-width:1240px}.fleet th small{display:block}.fleet thead th:nth-child(2){text-align:left}
.fleet td:nth-child(2){white-space:normal;text-align:left;min-width:8em}`;

/** The page as one HTML document. Same input, same bytes. */
export function renderFleet(fleet: Fleet): string {
  const { name, description, source, status, targets } = fleet;
  const matrices = fleetMatrices(fleet);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${name} – crosspatch fleet</title><style>${trusted(css() + CSS)}</style></head>
<body><main>
<header><p class="soft">crosspatch fleet · ${fleet.started_at.slice(0, 10)} · from ${source} to ${targets.length} target${targets.length === 1 ? '' : 's'}</p><h1>${name}</h1>${description ? html`<p class="soft">${description}</p>` : null}</header>
${status === 'done' || status === 'failed' ? null : html`<p class="verdict"><b>This fleet is ${status}.</b> What follows is what it reached.</p>`}
<section class="verdict" aria-label="In words"><ul>${fleetSentences(fleet).map((sentence) => html`<li>${sentence}</li>`)}</ul>${matrices.length === 0 ? html`<p class="claim">No target was evaluated.</p>` : null}</section>
${matrices.map(matrixSection)}
<section id="use"><h2>Run each target with the fix on</h2>
${targets.flatMap(served)}</section>
<section id="repeat"><h2>How to repeat this</h2>${fleet.command ? html`<pre>${fleet.command.join(' ')}</pre>` : null}
${fleet.stages ? html`<p>${fleet.stages.all} different stages, ${fleet.stages.shared} of them read by more than one target and computed once.</p>` : null}
<p>Each target is a run of its own, in the folder of its name: its report, samples, maps, models and manifest.</p></section>
<section id="words"><h2>Words</h2><details><summary>What the columns mean</summary>${columnList(matrices)}</details><details><summary>What the words of figures and tables mean</summary>${wordList()}</details></section>
</main></body></html>
`;
  return page.text;
}

function matrixSection({ behaviour, columns, rows }: FleetMatrix): Html {
  return html`<section class="fleet"><h2>${behaviour}</h2>${table(
    `${behaviour}: the fix in every target (95 % intervals)`,
    ['target', 'verdict', ...columns.map(({ title }) => title)],
    rows.map((row) => [named(row), row.word ?? row.status, ...row.cells.map(cellHtml)]),
  )}</section>`;
}

/** The target's own report, where there is one. */
function named({ target, model, status }: FleetRow): Html {
  const name = status === 'done' ? html`<a href="${target}/report.html">${target}</a>` : html`${target}`;
  return html`${name} <small>${model}</small>`;
}

function cellHtml(cell: FleetCell | null): HtmlValue {
  if (cell === null) return '–';
  const { value, interval, n, beside } = cell;
  return html`${value} <small>${interval}</small><small>n = ${n}</small>${beside ? html`<small>${beside}</small>` : null}`;
}

function served({ name, status, error, behaviours }: FleetTarget): Html[] {
  if (status !== 'done') return [html`<h3>${name}</h3><p>${status}${error ? `: ${error}` : ''}</p>`];
  return behaviours.map(
    ({ behaviour, use }) =>
      html`<h3>${name}, ${behaviour}</h3>${
        use
          ? html`<p>In the folder <code>${name}</code>; the document is <code>${use.document}</code>, more ways are in <a href="${name}/${use.guide}">${use.guide}</a>.</p><pre>${use.serve}</pre>`
          : html`<p>No single text marks this behaviour, so the run left no document that finds its place.</p>`
      }`,
  );
}

function columnList(matrices: readonly FleetMatrix[]): Html {
  const columns = new Map(
    matrices.flatMap((matrix) => matrix.columns.map(({ title, meaning }) => [title, meaning])),
  );
  return html`<dl class="words">${[...columns].map(([title, meaning]) => html`<div><dt>${title}</dt><dd>${meaning}</dd></div>`)}</dl>`;
}
