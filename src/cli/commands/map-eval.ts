/** @file `map eval`: the figures of a map on texts (docs/concepts/method.md#figures-of-a-map). */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { InputError } from '../../base/index.ts';
import { experimentEnv, figureGroups, mapEntry, mapTexts, measureMaps } from '../../evaluate/index.ts';
import { type ActivationMap, loadMap } from '../../maps/index.ts';
import { type Cli, declare } from '../cli.ts';
import { addRequire, printFigures } from '../figures.ts';
import {
  addReadingOptions,
  figuresTable,
  type ReadingOptions,
  readingOf,
  readMapTexts,
} from '../map-texts.ts';
import { withProgress } from '../model.ts';
import { addPairOptions, openMap, openPair, type PairOptions } from '../pair.ts';
import { defaults } from '../settings.ts';

interface EvalCommand extends PairOptions, ReadingOptions {
  readonly texts: string;
  readonly split: 'validation' | 'test';
  readonly tokenMean?: string;
}

/** Folder inside a fitted map: E[y|token] of the same rows, behind fvu_token and the centred cosine. */
export const TOKEN_MEAN = 'token-mean';

export function addMapEval(map: Command, cli: Cli): void {
  const command = declare(
    map,
    'eval <map>',
    'Measure a map on texts: how near it comes, and what the target makes of mapped activations.',
    'map eval maps/affine --source models/s-locked --target models/m-locked --texts data/locked',
  );
  addPairOptions(command, 'checked')
    .requiredOption('--texts <path>', 'folder made by data build, or a file of texts without tags')
    .addOption(new Option('--split <name>', 'of the folder').choices(['validation', 'test']).default('test'))
    .option('--token-mean <map>', 'for fvu_token (default: the one map fit left in the map)');
  addRequire(addReadingOptions(command, 400)).action((map: string, options: EvalCommand) =>
    evaluate(map, options, cli),
  );
}

async function evaluate(path: string, options: EvalCommand, cli: Cli): Promise<void> {
  const { seed = defaults.seed } = options;
  const given = await readMapTexts(options.texts, options.split, options.limit);
  const lookup = options.tokenMean ?? (await lookupOf(path));
  await using pair = await openPair(options, cli);
  const { source, target } = pair;
  const map = await openMap(path, pair, options);
  const tokenMean = lookup === undefined ? undefined : await tokenMeanOf(lookup, map);
  if (tokenMean === undefined && !options.quiet)
    cli.err('no token-mean map is at hand, so fvu_token and cossim_centred are left out; see --token-mean\n');
  const entry = await withProgress(cli, options, async (progress) => {
    const env = experimentEnv('maps', { seed, progress, signal: cli.signal });
    // All rows stand in the split asked for: none is fitted on.
    const share = { train: 0, validation: 0, test: 0, [options.split]: 1 };
    const texts = mapTexts(
      { ...given, general: given.plain },
      { after: options.after, splits: share, general_splits: share, out_of_domain: given.plain.length },
      { source: source.tokenizer, target: target.tokenizer },
      env.rng,
    );
    const { [map.kind]: figures } = await measureMaps({
      source,
      target,
      groups: figureGroups(texts),
      maps: { [map.kind]: map },
      tokenMean,
      reading: readingOf(options),
      env,
    });
    return mapEntry(map, figures);
  });
  const document = { map: path, maps: { [map.kind]: { [map.fit]: entry } } };
  printFigures(cli, options, document, () => figuresTable(entry));
}

/** The lookup that `map fit` wrote, where there is one. */
async function lookupOf(path: string): Promise<string | undefined> {
  const folder = join(path, TOKEN_MEAN);
  return stat(folder).then(
    () => folder,
    () => undefined,
  );
}

async function tokenMeanOf(path: string, map: ActivationMap): Promise<ActivationMap> {
  const lookup = await loadMap(path);
  if (lookup.kind !== 'token-mean')
    throw new InputError(`--token-mean ${path}: wanted a map of kind token-mean, got ${lookup.kind}`, {
      id: 'map-mismatch',
    });
  lookup.assertFits(map.source, map.target);
  return lookup;
}
