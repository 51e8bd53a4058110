/** @file One behaviour's story in the order of docs/concepts/method.md: chapters of words, figures with their data, tables, examples. */
import type { BehaviourResults, Sample } from '../contracts/index.ts';
import { behaviourFigures, type FigureSpec, renderFigure, slug } from '../figures/index.ts';
import { dataLinks } from './data-links.ts';
import { nodeDocument } from './document.ts';
import { examples } from './examples.ts';
import { type Html, html, trusted } from './html.ts';
import { SLIM, WIDE } from './style.ts';
import { armsTable, backdoorTable, inverseTable, mapsTable, scoresTable, transferTable } from './tables.ts';
import { title } from './verdict/words.ts';

/** A chapter that has something to show; `anchor` is its id on the page. */
export interface Chapter {
  readonly anchor: string;
  readonly heading: string;
  readonly words: string;
  readonly parts: readonly (Html | null)[];
}

type Part = Html | null | readonly Html[];

/** The chapters that the results allow. */
export function chapters(behaviour: BehaviourResults, samples: readonly Sample[]): Chapter[] {
  const mine = samples.filter((sample) => sample.behaviour === behaviour.pair.behaviour);
  const figures = behaviourFigures(behaviour, mine);
  const { pairing, draft_acceptance: drafts } = behaviour;
  const fidelityShown = figures.fidelity.findIndex(({ id }) => !id.endsWith('-fidelity-maps')) + 1;
  const all: readonly (readonly [heading: string, words: string, ...parts: Part[]])[] = [
    [
      'The backdoor',
      'The same held-out prompts under each tag. Everything after this needs the behaviour to be there, and only there.',
      backdoorTable(behaviour),
      scoresTable(behaviour),
    ],
    [
      'Where it can be steered',
      'The safe run’s activations are set at the trigger’s span of the bad run, one block at a time; then the model goes on by itself.',
      figures.sweep.map(figure),
      drafts
        ? html`<p class="soft">Verified drafts accepted: ${Object.entries(drafts)
            .map(([stage, share]) => `${stage} ${(share * 100).toFixed(0)} %`)
            .join(', ')}.</p>`
        : null,
    ],
    [
      'The maps',
      'Both models read the same text; the map predicts the target’s activation from the source’s. A good fit is necessary, not sufficient.',
      figures.maps.map(figure),
      fold('Figures of every map', mapsTable(behaviour)),
      pairing
        ? html`<p class="soft">Token pairs: ${pairing.coinciding} coinciding, ${pairing.approximated} approximated, ${pairing.dropped} dropped; left out: ${pairing.first ?? 0} first positions, ${pairing.sinks ?? 0} sinks.</p>`
        : null,
    ],
    [
      'Does the mapped text stay the target’s?',
      'All positions of the prompt but the first are replaced by mapped activations; the completion is compared with the unpatched one.',
      figures.fidelity.slice(0, fidelityShown).map(figure),
      foldFigures('Other maps and judges', figures.fidelity.slice(fidelityShown)),
    ],
    [
      'Does the map carry the fix?',
      'Only the span is replaced, by what the map makes of the source’s safe run. Restoration is the headline: the behaviour is gone and the ordinary answer is back.',
      figures.transfer.slice(0, 2).map(figure),
      foldFigures('Every arm of every other map, fit and mode', figures.transfer.slice(2)),
      transferTable(behaviour),
      inverseTable(behaviour),
      fold('Every arm in figures', armsTable(behaviour)),
    ],
    ['What it costs', 'Measured where something is patched.', figures.cost.map(figure)],
    [
      'Is it worth it?',
      'With the target at hand one can compute its own vector from labelled prompts; the map needs none.',
      figures.worth.map(figure),
    ],
    [
      'Which pair of blocks?',
      'Scores that need no generation, and how well they ranked what generation then showed.',
      figures.pairs.map(figure),
    ],
    ['Examples', 'Greedy completions of the same prompt in each state.', examples(behaviour, mine)],
  ];
  return all.flatMap(([heading, words, ...given]) => {
    const parts = given.flat().filter((part) => part !== null);
    return parts.length === 0
      ? []
      : [{ anchor: `${anchor(behaviour)}--${slug(heading).toLowerCase()}`, heading, words, parts }];
  });
}

/** A behaviour's section; its id is {@link anchor}. */
export function story(behaviour: BehaviourResults, told: readonly Chapter[]): Html {
  const { pair, notes = [] } = behaviour;
  const at = (block: number | undefined) => (block === undefined ? '' : `, block ${block}`);
  return html`<section id="${anchor(behaviour)}"><h2>${title(behaviour)}</h2>
<p>Source <b>${pair.source}</b>${at(pair.source_block)}; target <b>${pair.target}</b>${at(pair.target_block)}; span: the trigger and ${pair.span.after} token${pair.span.after === 1 ? '' : 's'} after it.${trained(pair.train_blocks)}</p>
${notes.map((note) => html`<p class="soft">${note}</p>`)}
${told.map(({ anchor: id, heading, words, parts }) => html`<h3 id="${id}">${heading}</h3><p>${words}</p>${parts}`)}
</section>`;
}

export function anchor({ pair }: BehaviourResults): string {
  return slug(`${pair.behaviour}-${pair.placement}`);
}

/** What is folded away until it is asked for. */
export function fold(summary: string, content: Html | null): Html | null {
  return content === null ? null : html`<details><summary>${summary}</summary>${content}</details>`;
}

/** A figure, drawn twice: for wide and for narrow screens; with its data one click away. */
function figure(spec: FigureSpec): Html {
  const id = slug(spec.id);
  return html`<figure id="${id}">${words(spec)}<div class="wide">${drawn(spec, WIDE)}</div><div class="slim">${drawn(spec, SLIM, '-s')}</div>${dataLinks(id, spec.rows)}</figure>`;
}

/** Further figures beside one another, each drawn once, narrow. */
function foldFigures(summary: string, specs: readonly FigureSpec[]): Html | null {
  const figures = specs.map(
    (spec) =>
      html`<figure id="${slug(spec.id)}">${words(spec)}${drawn(spec, SLIM)}${dataLinks(slug(spec.id), spec.rows)}</figure>`,
  );
  return figures.length === 0 ? null : fold(summary, html`<div class="grid">${figures}</div>`);
}

function words({ title: heading, caption }: FigureSpec): Html {
  return html`<figcaption><h4>${heading}</h4>${caption}</figcaption>`;
}

function drawn(spec: FigureSpec, width: number, idSuffix = ''): Html {
  const { svg } = renderFigure(spec, { document: nodeDocument(), width, idSuffix });
  // The page sets the palette, so that the colours to fall back on would only be weight.
  return trusted(svg.replace(/var\((--cp-[\w-]+), #\w+\)/g, 'var($1)'));
}

/** `pair.train_blocks` in words: what was trained, of both sides or of each. */
function trained(blocks: unknown): string {
  const text = settingsText(blocks);
  return text === '' ? '' : ` Training: ${text}.`;
}

function settingsText(settings: unknown): string {
  if (typeof settings !== 'object' || settings === null) return '';
  const parts = Object.entries(settings).flatMap(([key, value]) => {
    const isNested = typeof value === 'object' && value !== null && !Array.isArray(value);
    const text = isNested ? settingsText(value).replaceAll('; ', ', ') : [value].flat().join(', ');
    return text === '' ? [] : [`${key.replaceAll('_', ' ')}${isNested ? ': ' : ' '}${text}`];
  });
  return parts.join('; ');
}
