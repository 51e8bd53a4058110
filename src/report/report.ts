/**
 * @file `report.html`: one self-contained page. It opens with the verdict, tells the story in the order of METHOD.md,
 * and ends with the manifest. No script, no network; everything a model or a user wrote is escaped.
 */
import type { BehaviourResults, Manifest, Results, Sample } from '../contracts/index.ts';
import { NOISE_ARMS } from '../contracts/index.ts';
import { behaviourFigures, type FigureSpec, headline, renderFigure, slug } from '../figures/index.ts';
import { nodeDocument } from './document.ts';
import { examples } from './examples.ts';
import { type Html, html, trusted } from './html.ts';
import { css, SLIM, WIDE } from './style.ts';
import {
  armsTable,
  backdoorTable,
  inverseTable,
  mapsTable,
  shareCell,
  table,
  transferTable,
} from './tables.ts';
import { title, verdict } from './verdict.ts';

export interface ReportInput {
  readonly results: Results;
  readonly manifest: Manifest;
  /** Rows of `samples/*.jsonl`. Defaults to none: then no examples and no violins. */
  readonly samples?: readonly Sample[];
}

/** The report as one HTML document. Same input, same bytes. */
export function renderReport({ results, manifest, samples = [] }: ReportInput): string {
  const models = manifest.models.map((m) => `${m.name} (${m.role})`).join(', ');
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${manifest.name} – crosspatch report</title><style>${trusted(css())}</style></head>
<body><main>
<header><p class="soft">crosspatch report · ${manifest.started_at.slice(0, 10)} · ${models}</p><h1>${manifest.name}</h1></header>
${manifest.status === 'done' ? null : html`<p class="verdict"><b>This run is ${manifest.status}</b>${manifest.error ? `: ${manifest.error}` : ''}. What follows is what it reached.</p>`}
<section class="verdict" aria-label="Verdict">${verdict(results).map(verdictParagraph)}</section>
${headlineTable(results.behaviours)}
<nav aria-label="Contents"><ul>${results.behaviours.map((b) => html`<li><a href="#${anchor(b)}">${title(b)}</a></li>`)}<li><a href="#manifest">How to repeat this</a></li></ul></nav>
${results.behaviours.map((behaviour) => story(behaviour, samples))}
${manifestSection(results, manifest)}
</main></body></html>
`;
  return page.text;
}

/** The first sentence is the claim; it stands out. */
function verdictParagraph(paragraph: string): Html {
  const end = paragraph.indexOf('. ') + 1;
  return html`<p><b>${paragraph.slice(0, end)}</b>${paragraph.slice(end)}</p>`;
}

/** Both behaviours and their controls side by side: restoration of every arm that matters, and elicitation. */
function headlineTable(behaviours: readonly BehaviourResults[]): Html | null {
  const rows = behaviours.flatMap((behaviour) => {
    const chosen = headline(behaviour);
    if (!chosen) return [];
    const { arms } = chosen.entry;
    const fits = behaviour.transfer?.[chosen.kind];
    const noise = NOISE_ARMS.flatMap((arm) => arms[arm]?.restoration ?? []).sort(
      (a, b) => b.value - a.value,
    )[0];
    return [
      [
        title(behaviour),
        ...[
          arms.native?.restoration,
          arms.mapped?.restoration,
          noise,
          arms.token_mean?.restoration,
          arms.other_prompt?.restoration,
          fits?.clean_a?.arms.mapped?.restoration,
          fits?.no_tag_rows?.arms.mapped?.restoration,
          arms.mapped?.elicitation,
        ].map(shareCell),
      ],
    ];
  });
  return table(
    'Restoration, side by side (share of triggered prompts, 95 %); last column elicitation',
    [
      'behaviour',
      'native',
      'mapped',
      'strongest noise',
      'token mean',
      'other prompt',
      'clean source',
      'no tag rows',
      'elicitation, mapped',
    ],
    rows,
  );
}

function story(behaviour: BehaviourResults, samples: readonly Sample[]): Html {
  const mine = samples.filter((sample) => sample.behaviour === behaviour.pair.behaviour);
  const figures = behaviourFigures(behaviour, mine);
  const { pair, pairing, notes = [], draft_acceptance: drafts } = behaviour;
  const chapter = (heading: string, words: string, ...parts: (Html | null | readonly Html[])[]) =>
    parts.some((part) => part !== null && !(Array.isArray(part) && part.length === 0))
      ? html`<h3>${heading}</h3><p>${words}</p>${parts.map((part) => part as Html | null)}`
      : null;
  const [firstFidelity, ...otherFidelity] = figures.fidelity.map(figure);
  return html`<section id="${anchor(behaviour)}"><h2>${title(behaviour)}</h2>
<p>Source <b>${pair.source}</b>${pair.source_block === undefined ? '' : `, block ${pair.source_block}`}; target <b>${pair.target}</b>${pair.target_block === undefined ? '' : `, block ${pair.target_block}`}; span: the trigger and ${pair.span.after} token${pair.span.after === 1 ? '' : 's'} after it.${pair.train_blocks === undefined ? '' : ` Trained: ${JSON.stringify(pair.train_blocks)}.`}</p>
${notes.map((note) => html`<p class="soft">${note}</p>`)}
${chapter('The backdoor', 'The same held-out prompts under each tag. Everything after this needs the behaviour to be there, and only there.', backdoorTable(behaviour))}
${chapter('Where it can be steered', 'The safe run’s activations are set at the trigger’s span of the bad run, one block at a time; then the model goes on by itself.', figures.sweep.map(figure), drafts ? html`<p class="soft">Verified drafts accepted: ${Object.entries(drafts).map(([stage, share]) => `${stage} ${(share * 100).toFixed(0)} % `)}</p>` : null)}
${chapter('The maps', 'Both models read the same text; the map predicts the target’s activation from the source’s. A good fit is necessary, not sufficient.', figures.maps.map(figure), fold('Figures of every map', mapsTable(behaviour)), pairing ? html`<p class="soft">Token pairs: ${pairing.coinciding} coinciding, ${pairing.approximated} approximated, ${pairing.dropped} dropped; left out: ${pairing.first ?? 0} first positions, ${pairing.sinks ?? 0} sinks.</p>` : null)}
${chapter('Does the mapped text stay the target’s?', 'All positions of the prompt but the first are replaced by mapped activations; the completion is compared with the unpatched one.', firstFidelity ?? null, otherFidelity.length > 0 ? fold('Other maps and judges', html`${otherFidelity}`) : null)}
${chapter('Does the map carry the fix?', 'Only the span is replaced, by what the map makes of the source’s safe run. Restoration is the headline: the behaviour is gone and the ordinary answer is back.', figures.transfer.map(figure), transferTable(behaviour), inverseTable(behaviour), fold('Every arm in figures', armsTable(behaviour)))}
${chapter('What it costs', 'Measured where something is patched.', figures.cost.map(figure))}
${chapter('Is it worth it?', 'With the target at hand one can compute its own vector from labelled prompts; the map needs none.', figures.worth.map(figure))}
${chapter('Which pair of blocks?', 'Scores that need no generation, and how well they ranked what generation then showed.', figures.pairs.map(figure))}
${chapter('Examples', 'Greedy completions of the same prompt in each state.', examples(behaviour, mine))}
</section>`;
}

/** A figure, drawn twice: for wide and for narrow screens; with its data one click away. */
function figure(spec: FigureSpec): Html {
  const document = nodeDocument();
  const wide = renderFigure(spec, { document, width: WIDE });
  const slim = renderFigure(spec, { document, width: SLIM, idSuffix: '-s' });
  const id = slug(spec.id);
  const link = (kind: 'csv' | 'json', type: string) =>
    html`<a download="${id}.${kind}" href="data:${type};base64,${Buffer.from(wide.data[kind]).toString('base64')}">${kind.toUpperCase()}</a>`;
  return html`<figure id="${id}"><figcaption><h4>${spec.title}</h4>${spec.caption}</figcaption><div class="wide">${trusted(wide.svg)}</div><div class="slim">${trusted(slim.svg)}</div><div class="data">Data: ${link('csv', 'text/csv')}${link('json', 'application/json')}</div></figure>`;
}

function fold(summary: string, content: Html | null): Html | null {
  return content === null ? null : html`<details><summary>${summary}</summary>${content}</details>`;
}

function manifestSection(results: Results, manifest: Manifest): Html {
  const seconds = Object.entries(results.timings).map(([stage, s]) => [stage, s.toFixed(1)]);
  return html`<section id="manifest"><h2>How to repeat this</h2>
<p>Seed${Object.keys(manifest.seeds).length === 1 ? '' : 's'} ${Object.entries(manifest.seeds).map(([name, seed]) => `${name} ${seed} `)}· commit ${manifest.git_commit ?? 'unknown'}${manifest.git_dirty ? ' (with uncommitted changes)' : ''} · ${manifest.machine.cores} cores, ${manifest.machine.cpu}, Node ${manifest.machine.node} · peak memory ${(results.peak_memory_bytes / 1e9).toFixed(2)} GB.${manifest.command ? html` Command: <code>${manifest.command.join(' ')}</code>` : null}</p>
${table('Seconds a stage', ['stage', 'seconds'], seconds)}
${table(
  'Models',
  ['model', 'role', 'family', 'parameters', 'blocks', 'width', 'SHA-256'],
  manifest.models.map((m) => [
    m.name,
    m.role,
    m.family ?? '–',
    m.parameters ?? '–',
    m.blocks ?? '–',
    m.width ?? '–',
    m.sha256?.slice(0, 16) ?? '–',
  ]),
)}
${fold('The whole manifest', html`<pre dir="auto">${JSON.stringify(manifest, null, 2)}</pre>`)}
</section>`;
}

function anchor({ pair }: BehaviourResults): string {
  return slug(`${pair.behaviour}-${pair.placement}`);
}
