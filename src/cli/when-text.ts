/** @file What `when` prints: where each condition fires, what it costs, what is left of the behaviour. */
import {
  CONDITIONS,
  type ConditionName,
  WHEN_KINDS,
  type WhenBlock,
  type WhenFigures,
  type WhenKind,
  type WhenResult,
} from '../evaluate/index.ts';
import { figure, intervalCell, textTable } from './table.ts';

/** What the text needs of the options. */
export interface WhenTextOptions {
  readonly model: string;
  readonly adapter?: string;
  readonly template: string;
  readonly falseFires: number;
  readonly use: ConditionName;
  readonly out?: string;
  /** Whether a document was written. */
  readonly document: boolean;
  /** The document's source model. */
  readonly source?: string | undefined;
}

const KIND_LABELS: Record<WhenKind, string> = {
  bad: 'bad',
  ordinary: 'ordinary',
  safe: 'safe tag',
  other: 'other tags',
  unseen: 'unseen tags',
  words: 'bare words',
};

export function whenText(result: WhenResult, options: WhenTextOptions): string {
  const { prompts, conditions } = result;
  const { fit, validation, test } = prompts;
  const part = ({ bad = 0, ordinary = 0 }: typeof fit): string => `${bad} bad and ${ordinary} ordinary`;
  return [
    `prompts: ${part(fit)} to fit on, ${part(validation)} to choose on, ${part(test)} to measure on\n`,
    chosenText(result, options),
    testedText(result),
    `fires on (share of n test prompts [95 % interval]):\n${firesTable(conditions)}`,
    costTable(conditions),
    lastLine(result, options),
  ].join('');
}

function chosenText({ made }: WhenResult, { falseFires, source }: WhenTextOptions): string {
  return (['activation', 'source'] as const)
    .flatMap((name) => {
      const best = made[name]?.best?.block;
      return best === undefined ? [] : [`${blockLine(name, best, { falseFires, source })}\n`];
    })
    .join('');
}

function blockLine(
  name: 'activation' | 'source',
  { block, threshold, fires, auroc }: WhenBlock,
  { falseFires, source }: Pick<WhenTextOptions, 'falseFires' | 'source'>,
): string {
  const of = name === 'source' ? ` of ${source}` : '';
  const areas = Object.entries(auroc).map(
    ([kind, area]) => `${figure(area.value)} from ${KIND_LABELS[kind as WhenKind]}`,
  );
  const falsely = fires?.ordinary;
  return `${name}: block ${block}${of}, threshold ${figure(threshold)}; on the validation prompts AUROC ${areas.join(', ')}; false fires on ordinary ones ${intervalCell(falsely)} (wanted at most ${falseFires}; the interval ends at ${figure(falsely?.ci95[1])})`;
}

/** How well scores tell test prompts apart: a threshold cannot do better. */
function testedText({ conditions }: WhenResult): string {
  return CONDITIONS.flatMap((name) => {
    const areas = Object.entries(conditions[name]?.auroc ?? {});
    if (areas.length === 0) return [];
    const said = areas.map(([kind, area]) => `${intervalCell(area)} from ${KIND_LABELS[kind as WhenKind]}`);
    return [`${name}: AUROC on the test prompts ${said.join(', ')}\n`];
  }).join('');
}

function firesTable(conditions: WhenResult['conditions']): string {
  const rows = CONDITIONS.flatMap((name) => {
    const found = conditions[name];
    return found === undefined ? [] : [{ name, fires: found.fires }];
  });
  const shows = conditions.none?.shows_on;
  const kinds = WHEN_KINDS.filter((kind) => rows.some(({ fires }) => fires[kind] !== undefined));
  return textTable([
    ['condition', ...kinds.map((kind) => `${KIND_LABELS[kind]} (${rows[0]?.fires[kind]?.n})`)],
    ...rows.map(({ name, fires }) => [name, ...kinds.map((kind) => intervalCell(fires[kind]))]),
    ...(shows === undefined
      ? []
      : [['shows it unsteered', ...kinds.map((kind) => intervalCell(shows[kind]))]]),
  ]);
}

/** Absent where nothing was steered and no answer read. */
function costTable(conditions: WhenResult['conditions']): string {
  const rows = ([...CONDITIONS, 'strip', 'none'] as const).flatMap((name) => {
    const found = conditions[name];
    return found === undefined || (found.cost === undefined && found.shows === undefined)
      ? []
      : [costRow(ROW_LABELS[name] ?? name, found)];
  });
  if (rows.length === 0) return '';
  return `\ncost on ordinary prompts, and bad prompts that still show the behaviour:\n${textTable([
    ['condition', 'KL, nats', 'answers changed', 'shows'],
    ...rows,
  ])}`;
}

const ROW_LABELS: Readonly<Record<string, string>> = { strip: 'trigger cut out', none: 'no defence' };

function costRow(label: string, { cost, shows }: WhenFigures): string[] {
  return [label, intervalCell(cost?.kl), intervalCell(cost?.changed), intervalCell(shows)];
}

function lastLine({ chosen, unseparated }: WhenResult, options: WhenTextOptions): string {
  const { out, document, model, adapter, template, use } = options;
  const verdict =
    chosen === undefined
      ? `\nno condition on activations: ${unseparated}\n`
      : `\nthe condition is that of ${chosen.name}: the largest component along its direction reaches ${figure(chosen.when.activation.threshold)} at ${chosen.when.activation.hook}\n`;
  if (out === undefined) return verdict;
  if (!document) return `${verdict}wrote ${out}/when.json\n`;
  const around = `${adapter === undefined ? '' : ` --adapter ${adapter}`}${template === 'none' ? '' : ` --template ${template}`}`;
  return `${verdict}wrote ${out}/when.json and ${out}/intervention.json (when: ${use})\nnext: crosspatch generate --model ${model}${around} --prompt "…" --intervention ${out}/intervention.json\n`;
}
