/** @file The tables beside the figures. A cell with an interval shows it; a missing figure is a dash. */
import type {
  BackdoorResults,
  BehaviourResults,
  Figure,
  MapFigures,
  MapFit,
  Outcome,
  TransferEntry,
} from '../contracts/index.ts';
import {
  FIT_LABEL,
  percent,
  short,
  TERM_WORDS,
  TRANSFER_STYLE,
  termOf,
  transferCases,
} from '../figures/index.ts';
import { type Html, type HtmlValue, html } from './html.ts';
import { interval, points, pointsInterval } from './verdict/words.ts';

/** A table; the first column is the row's header. Null when there are no rows. */
export function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly HtmlValue[])[],
): Html | null {
  if (rows.length === 0) return null;
  return html`<p class="cap">${caption}</p><div class="scroll" role="group" tabindex="0" aria-label="${caption}"><table><thead><tr>${head.map((h) => html`<th scope="col">${explained(h)}</th>`)}</tr></thead><tbody>${rows.map(
    ([first, ...cells]) =>
      html`<tr><th scope="row">${typeof first === 'string' ? explained(first) : first}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`,
  )}</tbody></table></div>`;
}

/** A word with its meaning as a tooltip, where the glossary knows it. */
function explained(word: string): HtmlValue {
  const term = termOf(word);
  return term ? html`<abbr title="${term.meaning}">${word}</abbr>` : word;
}

/** Every word of figures and tables with its meaning: what tooltips say, for readers who cannot hover. */
export function wordList(): Html {
  return html`<dl class="words">${TERM_WORDS.map((word) => html`<div><dt>${word}</dt><dd>${termOf(word)?.meaning}</dd></div>`)}</dl>`;
}

/** A share, under it its interval, or a dash. */
export function shareCell(figure: Figure | undefined): HtmlValue {
  if (figure === undefined) return '–';
  if (typeof figure === 'number') return percent(figure);
  return html`${percent(figure.value)} <small>${interval(figure)}</small>`;
}

/** A number, under it its interval, or a dash. */
export function numberCell(figure: Figure | undefined): HtmlValue {
  if (figure === undefined) return '–';
  if (typeof figure === 'number') return short(figure);
  return html`${short(figure.value)} <small>[${short(figure.ci95[0])}, ${short(figure.ci95[1])}]</small>`;
}

const BACKDOOR = [
  ['trigger_rate', 'trigger rate'],
  ['false_positive_rate', 'under the safe tag'],
  ['untagged_rate', 'without a tag'],
  ['other_tag_rate', 'under an unknown tag'],
  ['precision', 'precision'],
  ['recall', 'recall'],
  ['f1', 'F1'],
  ['degenerate_rate', 'degenerate'],
] as const satisfies readonly (readonly [keyof BackdoorResults, string])[];

export function backdoorTable({ backdoor, pair }: BehaviourResults): Html | null {
  const rows = (['source', 'target'] as const).flatMap((side) => {
    const entry = backdoor?.[side];
    return entry
      ? [[`${pair[side]} (n = ${entry.trigger_rate.n})`, ...BACKDOOR.map(([key]) => shareCell(entry[key]))]]
      : [];
  });
  return table(
    'How well the behaviour was learnt (held-out prompts; Wilson 95 %)',
    ['model', ...BACKDOOR.map(([, label]) => label)],
    rows,
  );
}

const SCORE_STATES = [
  ['bad', 'bad prompts'],
  ['safe', 'safe prompts'],
  ['untagged', 'without a tag'],
  ['other', 'another tag'],
] as const;

/** What a detector decides by, where that is a number; nothing where a phrase or pattern tells. */
export function scoresTable({ backdoor, pair }: BehaviourResults): Html | null {
  const rows = (['source', 'target'] as const).flatMap((side) =>
    Object.entries(backdoor?.[side]?.scores ?? {}).map(([name, means]) => [
      pair[side],
      name,
      ...SCORE_STATES.map(([state]) => numberCell(means[state])),
    ]),
  );
  return table(
    'What the detector decides by (mean over held-out prompts; bootstrap 95 %)',
    ['model', 'score', ...SCORE_STATES.map(([, label]) => label)],
    rows,
  );
}

const MAP_FIGURES = [
  'mse',
  'cossim',
  'fvu',
  'fvu_token',
  'kl_div',
  'top1_agreement',
  'ce_delta',
] as const satisfies readonly (keyof MapFigures)[];
const SPLITS = { test: 'in domain', out_of_domain: 'out of domain' } as const;

export function mapsTable({ maps, inverse }: BehaviourResults): Html | null {
  const entries = [
    ...Object.entries(maps ?? {}).flatMap(([kind, fits]) =>
      (Object.keys(FIT_LABEL) as MapFit[]).flatMap((fit) => {
        const entry = fits[fit];
        return entry ? [{ name: `${kind}, ${FIT_LABEL[fit]}`, entry }] : [];
      }),
    ),
    ...Object.entries(inverse ?? {}).flatMap(([kind, entry]) =>
      entry ? [{ name: `inverse ${kind}`, entry }] : [],
    ),
  ];
  const rows = entries.flatMap(({ name, entry }) =>
    (['test', 'out_of_domain'] as const).flatMap((split) =>
      (['safe', 'bad'] as const).flatMap((side) => {
        const figures = entry[split]?.[side];
        return figures
          ? [
              [
                name,
                `${SPLITS[split]}, ${side}`,
                ...MAP_FIGURES.map((key) => numberCell(figures[key])),
                entry.parameters ?? '–',
                entry.rows ?? '–',
                entry.fit_seconds === undefined ? '–' : short(entry.fit_seconds),
              ],
            ]
          : [];
      }),
    ),
  );
  return table(
    'Maps: figures on held-out texts (95 % in brackets where computed)',
    ['map', 'texts', ...MAP_FIGURES, 'parameters', 'rows', 'fit, s'],
    rows,
  );
}

const MEASURES = ['removal', 'restoration', 'elicitation'] as const;
const outcomeCells = (outcome: Outcome | undefined) =>
  MEASURES.map((measure) => shareCell(outcome?.[measure]));

export function transferTable(behaviour: BehaviourResults): Html | null {
  const rows = transferCases(behaviour).map(({ kind, fit, entry }) => {
    const non = entry.noninferiority;
    return [
      `${kind}, ${FIT_LABEL[fit]}`,
      `${entry.mode}, α ${short(entry.alpha)}`,
      ...outcomeCells(entry.arms.mapped),
      shareCell(entry.steering_success_rate),
      shareCell(entry.transfer_rate),
      marginCell(entry),
      non
        ? html`${points(non.difference)} <small>${pointsInterval(non.ci95)} p ${short(non.p)}</small>`
        : '–',
      entry.native_alignment
        ? html`${numberCell(entry.native_alignment.cossim)} / ${numberCell(entry.native_alignment.norm_ratio)}`
        : '–',
    ];
  });
  return table(
    'Steering transfer by map and fit (mapped arm; Wilson 95 %)',
    [
      'map',
      'mode',
      ...MEASURES,
      'native removal',
      'transfer rate (nested)',
      'margin over noise',
      'mapped − native (non-inferiority)',
      'cosine / norm ratio to native',
    ],
    rows,
  );
}

/** The margin over noise in points, as in the verdict. */
function marginCell({ margin, margin_ci95 }: TransferEntry): HtmlValue {
  if (margin === undefined) return '–';
  const ci95 = margin_ci95 ?? (typeof margin === 'number' ? undefined : margin.ci95);
  return html`${points(typeof margin === 'number' ? margin : margin.value)} ${ci95 ? html`<small>${pointsInterval(ci95)}</small>` : null}`;
}

/** Every arm of every map and fit, `set` and `add`. */
export function armsTable(behaviour: BehaviourResults): Html | null {
  const rows = transferCases(behaviour).flatMap(({ kind, fit, entry }) => {
    const of = (arms: typeof entry.arms, mode: string) =>
      (Object.keys(TRANSFER_STYLE) as (keyof typeof TRANSFER_STYLE)[]).flatMap((arm) =>
        arms[arm]
          ? [
              [
                `${kind}, ${FIT_LABEL[fit]}`,
                `${mode}: ${TRANSFER_STYLE[arm].label}`,
                ...outcomeCells(arms[arm]),
              ],
            ]
          : [],
      );
    return [
      ...of(entry.arms, entry.mode),
      ...(entry.add ? of(entry.add.arms, `add, α ${short(entry.add.alpha)}`) : []),
    ];
  });
  return table('Every arm (Wilson 95 %)', ['map', 'arm', ...MEASURES], rows);
}

export function inverseTable({ inverse }: BehaviourResults): Html | null {
  const rows = Object.entries(inverse ?? {}).flatMap(([name, entry]) =>
    entry ? [[name.replaceAll('_', ' '), ...outcomeCells(entry), entry.rank ?? '–']] : [],
  );
  return table(
    'The inverse: carried back, target → source (Wilson 95 %)',
    ['inverse', ...MEASURES, 'rank'],
    rows,
  );
}
