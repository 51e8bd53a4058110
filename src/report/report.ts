/**
 * @file `report.html`: one self-contained page. It opens with the verdict, tells the story in the order of docs/concepts/method.md,
 * and ends with the manifest. No script, no network; everything a model or a user wrote is escaped.
 */
import type { BehaviourResults, Manifest, Results, Sample } from '../contracts/index.ts';
import { percent } from '../figures/index.ts';
import { type Html, type HtmlValue, html, trusted } from './html.ts';
import { anchor, chapters, fold, story } from './story.ts';
import { css } from './style.ts';
import { table, wordList } from './tables.ts';
import { type ArmRow, armRows } from './verdict/arms.ts';
import { type Verdict, verdicts } from './verdict/verdict.ts';
import { interval, pointsInterval, signed, title } from './verdict/words.ts';

export interface ReportInput {
  readonly results: Results;
  readonly manifest: Manifest;
  /** Rows of `samples/*.jsonl`. Defaults to none: then no examples and no violins. */
  readonly samples?: readonly Sample[];
}

/** The report as one HTML document. Same input, same bytes. */
export function renderReport({ results, manifest, samples = [] }: ReportInput): string {
  const at = (commit: string | undefined): string => (commit === undefined ? '' : `@${commit.slice(0, 8)}`);
  const models = manifest.models.map((m) => `${m.name}${at(m.commit)} (${m.role})`).join(', ');
  const told = results.behaviours.map((behaviour) => ({ behaviour, parts: chapters(behaviour, samples) }));
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${manifest.name} – crosspatch report</title><style>${trusted(css())}</style></head>
<body><main>
<header><p class="soft">crosspatch report · ${manifest.started_at.slice(0, 10)} · ${models}</p><h1>${manifest.name}</h1></header>
${manifest.status === 'done' ? null : html`<p class="verdict"><b>This run is ${manifest.status}</b>${manifest.error ? `: ${manifest.error}` : ''}. What follows is what it reached.</p>`}
<section class="verdict" aria-label="Verdict">${verdicts(results).map(verdictHtml)}${results.behaviours.length === 0 ? html`<p class="claim">Nothing was evaluated.</p>` : null}</section>
${armsOverview(results.behaviours)}
<nav aria-label="Contents"><ul>${told.map(({ behaviour, parts }) => html`<li><a href="#${anchor(behaviour)}">${title(behaviour)}</a><ul>${parts.map((part) => html`<li><a href="#${part.anchor}">${part.heading}</a></li>`)}</ul></li>`)}<li><a href="#manifest">How to repeat this</a></li><li><a href="#words">Words</a></li></ul></nav>
${told.map(({ behaviour, parts }) => story(behaviour, parts))}
${manifestSection(results, manifest)}
<section id="words"><h2>Words</h2>${fold('What the words of figures and tables mean', wordList())}</section>
</main></body></html>
`;
  return page.text;
}

/** The word stands out; no figure does without its control. */
function verdictHtml({ behaviour, word, sentence, points }: Verdict): Html {
  return html`<div><p class="soft">${behaviour}</p><p class="word">${word}</p><p class="claim">${sentence}</p><ul>${points.map(({ text }) => html`<li>${text}</li>`)}</ul></div>`;
}

/** Restoration of the mapped arm and of every control, a column per behaviour; under each control the map minus it. */
function armsOverview(behaviours: readonly BehaviourResults[]): Html | null {
  const columns = behaviours.map((behaviour) => new Map(armRows(behaviour).map((row) => [row.label, row])));
  const labels = [...new Set(columns.flatMap((column) => [...column.keys()]))];
  const cell = (row: ArmRow | undefined): HtmlValue =>
    row &&
    html`${percent(row.restoration.value)} <small>${interval(row.restoration)}</small>${row.difference ? html`<small>${signed(row.difference.difference)} ${pointsInterval(row.difference.ci95)}</small>` : null}`;
  return table(
    'Restoration by arm (share of triggered prompts, 95 %); in the third line the map minus that arm, in points',
    ['arm', ...behaviours.map(title)],
    labels.map((label) => [label, ...columns.map((column) => cell(column.get(label)))]),
  );
}

function manifestSection(results: Results, manifest: Manifest): Html {
  const seconds = Object.entries(results.timings).map(([stage, s]) => [stage, s.toFixed(1)]);
  const { machine, git_commit: commit } = manifest;
  const experiment = Buffer.from(JSON.stringify(manifest.config.given, null, 2)).toString('base64');
  const commands = [
    ...(commit ? [`git checkout ${commit}`] : []),
    'npm ci',
    ...(manifest.command ? [manifest.command.map(quoted).join(' ')] : []),
  ];
  return html`<section id="manifest"><h2>How to repeat this</h2>
<pre>${commands.join('\n')}</pre>
<p>Or run the experiment as this run resolved it: <a download="experiment.yaml" href="data:application/json;base64,${experiment}">experiment.yaml</a> (JSON is YAML), <code>crosspatch run experiment.yaml</code>. The same seed gives the same bytes.</p>
<p>Seed${Object.keys(manifest.seeds).length === 1 ? '' : 's'}: ${Object.entries(manifest.seeds)
    .map(([name, seed]) => `${name} ${seed}`)
    .join(
      ', ',
    )} · commit ${commit ?? 'unknown'}${manifest.git_dirty ? ' (with uncommitted changes)' : ''} · ${machine.cores} cores, ${machine.cpu}, Node ${machine.node} · peak memory ${(results.peak_memory_bytes / 1e9).toFixed(2)} GB.</p>
${modelsTable(manifest)}
${table(
  'Data',
  ['data', 'rows', 'SHA-256'],
  manifest.data.map((d) => [d.name, d.rows ?? '–', d.sha256.slice(0, 16)]),
)}
${fold('Seconds per stage', table('Seconds per stage', ['stage', 'seconds'], seconds))}
<details class="manifest"><summary>The whole manifest</summary><pre dir="auto">${JSON.stringify(manifest, null, 2)}</pre></details>
</section>`;
}

/** Only the columns that some model has. */
function modelsTable({ models }: Manifest): Html | null {
  const columns = (['family', 'parameters', 'blocks', 'width'] as const).filter((key) =>
    models.some((model) => model[key] !== undefined),
  );
  return table(
    'Models',
    ['model', 'role', ...columns, 'SHA-256'],
    models.map((m) => [
      m.name,
      m.role,
      ...columns.map((key) => m[key] ?? '–'),
      m.sha256?.slice(0, 16) ?? '–',
    ]),
  );
}

/** For a shell. */
function quoted(word: string): string {
  return /^[\w./:=@,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
