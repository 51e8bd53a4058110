/** @file `--texts` of the commands that fit and measure maps, and how texts are read and figures shown. */

import { type Command, Option } from 'commander';
import { InputError } from '../base/index.ts';
import { type BackdoorRow, readTexts } from '../behaviours/index.ts';
import {
  type BehaviourParams,
  type Figure,
  MAP_FITS,
  type MapEntry,
  type MapFit,
} from '../contracts/index.ts';
import type { MapReading } from '../evaluate/index.ts';
import { type CommonOptions, decimal, wholeNumber } from './cli.ts';
import { readDatasetRecord, readSplit } from './dataset.ts';
import type { RequireOption } from './figures.ts';
import { behaviourOfDataset, bootstrapOption, isFolder } from './prompts.ts';
import { defaults } from './settings.ts';
import { intervalCell, textTable } from './table.ts';

/** What {@link addReadingOptions} gives. */
export interface ReadingOptions extends CommonOptions, RequireOption {
  readonly limit: number;
  readonly rows?: number;
  readonly sinkRatio: number | false;
  readonly batch: number;
  readonly forced: number;
  readonly after: number;
  readonly bootstrap: number;
}

/** Tagged rows of a data set, or plain texts of a file. */
export interface GivenTexts {
  readonly behaviour?: BehaviourParams;
  readonly rows: readonly BackdoorRow[];
  readonly plain: readonly string[];
}

/** Shares of the prompts of `--texts`: fitted on, choosing λ, measured on. */
export const SPLITS = { train: 0.8, validation: 0.1, test: 0.1 } as const;

/** Options on how texts are read. `limit` is the default of `--limit`. */
export function addReadingOptions(command: Command, limit: number = defaults.capture.prompts): Command {
  const { batch, sink_ratio } = defaults.capture;
  return command
    .addOption(
      new Option('--limit <n>', 'at most this many texts')
        .argParser(wholeNumber('--limit', 1))
        .default(limit),
    )
    .addOption(
      new Option('--after <n>', 'tokens after the tag that count as part of it')
        .argParser(wholeNumber('--after', 0))
        .default(defaults.span.after),
    )
    .addOption(
      new Option('--sink-ratio <x>', 'leave out rows whose norm is above this × the median; off: keep all')
        .argParser((text) => (text === 'off' ? false : decimal('--sink-ratio', 1)(text)))
        .default(sink_ratio),
    )
    .addOption(
      new Option('--batch <n>', 'texts per forward pass').argParser(wholeNumber('--batch', 1)).default(batch),
    )
    .addOption(
      new Option(
        '--forced <n>',
        'texts per group that the target runs on mapped activations, for kl_div, top1_agreement and ce_delta',
      )
        .argParser(wholeNumber('--forced', 0))
        .default(40),
    )
    .addOption(bootstrapOption());
}

/** Most token rows held for a fit. */
export function rowsOption(): Option {
  return new Option(
    '--rows <n>',
    'keep this many token rows for the fit, drawn at random (default: all)',
  ).argParser(wholeNumber('--rows', 1));
}

/** Which rows a map is fitted on. */
export function fitOption(): Option {
  return new Option(
    '--fit <rows>',
    'with_tags, no_tag_rows, clean_a (--source is the model before its fine-tune) of a data set; general of a file',
  ).choices(MAP_FITS);
}

/** The options under the recipe's names. */
export function readingOf(options: ReadingOptions): MapReading {
  const { rows, sinkRatio: sink_ratio, batch, forced, bootstrap } = options;
  return { rows, sink_ratio, batch, forced, bootstrap };
}

/** Read one split of a folder of data build, or all of a file (then `split` does not matter). */
export async function readMapTexts(
  path: string,
  split: 'train' | 'validation' | 'test',
  limit: number,
): Promise<GivenTexts> {
  if (!(await isFolder(path)))
    return { rows: [], plain: (await readTexts(path, { limit })).texts.map(({ text }) => text) };
  const behaviour = behaviourOfDataset(await readDatasetRecord(path));
  const rows = (await readSplit(path, split)).slice(0, limit);
  if (rows.length === 0)
    throw new InputError(`${path}: wanted ${split} rows, got none`, { id: 'data-missing' });
  return { behaviour, rows, plain: [] };
}

/** The fit a user means: the one asked for, when the texts are of the kind it needs. */
export function fitOf(given: GivenTexts, asked: MapFit | undefined, path: string): MapFit {
  const tagged = given.rows.length > 0;
  const fit = asked ?? (tagged ? 'with_tags' : 'general');
  if ((fit === 'general') === tagged)
    throw new InputError(
      `--fit ${fit}: wanted ${tagged ? 'a file of texts without tags' : 'a folder made by data build'}, got ${path}`,
      { id: 'option-conflict' },
    );
  return fit;
}

/** Rows = figures, columns = groups of texts. */
export function figuresTable({ validation, test, out_of_domain }: MapEntry): string {
  const groups = Object.entries({ validation, test, out_of_domain }).flatMap(([split, bySafety]) =>
    Object.entries(bySafety ?? {}).map(([safety, figures]) => ({
      name: `${split.replaceAll('_', ' ')}${Object.keys(bySafety ?? {}).length > 1 ? ` ${safety}` : ''}`,
      figures: figures as Readonly<Record<string, Figure | undefined>>,
    })),
  );
  const names = [...new Set(groups.flatMap((group) => Object.keys(group.figures)))];
  return textTable([
    ['figure', ...groups.map((group) => group.name)],
    ...names.map((name) => [name, ...groups.map((group) => intervalCell(group.figures[name]))]),
  ]);
}
