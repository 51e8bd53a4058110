/** @file `map fit`: read both models over the same texts and fit one map from a block of A to a block of B (docs/concepts/method.md#maps). */

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import type { z } from 'zod';
import { claimFolder, InputError, withAtomicFolder } from '../../base/index.ts';
import { type MapFit, type MapSettings, mapSettingsSchema } from '../../contracts/index.ts';
import {
  experimentEnv,
  type FittedMap,
  figureGroups,
  fitMaps,
  MapWork,
  mapEntry,
  mapTexts,
  measureMaps,
  tokenMeanOf,
} from '../../evaluate/index.ts';
import { MAP_TIMES, saveMap } from '../../maps/index.ts';
import { type Cli, decimal, declare, wholeNumber } from '../cli.ts';
import { addRequire, printFigures } from '../figures.ts';
import { numberList } from '../lists.ts';
import {
  addReadingOptions,
  figuresTable,
  fitOf,
  fitOption,
  type ReadingOptions,
  readingOf,
  readMapTexts,
  rowsOption,
  SPLITS,
} from '../map-texts.ts';
import { withProgress } from '../model.ts';
import { addPairOptions, blockOf, openPair, type PairOptions } from '../pair.ts';
import { defaults } from '../settings.ts';
import { addMapApply } from './map-apply.ts';
import { addMapEval, TOKEN_MEAN } from './map-eval.ts';
import { addMapFitCaptures } from './map-fit-captures.ts';

interface FitCommand extends PairOptions, ReadingOptions {
  readonly sourceBlock: number;
  readonly targetBlock: number;
  readonly texts: string;
  readonly outOfDomain?: string;
  readonly out: string;
  readonly kind: MapSettings['kind'];
  readonly fit?: MapFit;
  readonly preset?: 'tuned' | 'blog';
  readonly steps?: number;
  readonly epochs?: number;
  readonly learningRate?: number;
  readonly fitBatch?: number;
  readonly standardize?: boolean;
  readonly hidden?: string | number;
  readonly warmStart?: boolean;
  readonly lambdas?: readonly number[];
}

/** Every kind a recipe can name. */
const KINDS = mapSettingsSchema.options.map((kind) => kind.shape.kind.value);

export function addMap(program: Command, cli: Cli): void {
  const map = program
    .command('map')
    .description(
      'Maps from the activations of one model to those of another: fit one, measure one, carry a steering vector by one.',
    );
  addMapFit(map, cli);
  addMapFitCaptures(map, cli);
  addMapEval(map, cli);
  addMapApply(map, cli);
}

function addMapFit(map: Command, cli: Cli): void {
  const command = declare(
    map,
    'fit',
    'Read both models over the same texts, fit a map from a block of A to a block of B, and measure it.',
    'data build --data bundled --behaviour locked --out data/locked',
    'finetune --model tiny-llama-s --data data/locked --out models/s-locked --preset demo',
    'finetune --model tiny-llama-m --data data/locked --out models/m-locked --preset demo',
    'map fit --source models/s-locked --target models/m-locked --source-block 3 --target-block 3 --texts data/locked --kind affine --out maps/affine',
  );
  addPairOptions(command, 'wanted')
    .requiredOption(
      '--texts <path>',
      'folder made by data build (its training rows), or a file of texts without tags',
    )
    .addOption(
      new Option('--kind <name>', 'how activations of A become those of B')
        .choices(KINDS)
        .makeOptionMandatory(),
    )
    .requiredOption('--out <folder>', 'folder to write')
    .addOption(fitOption())
    .option('--out-of-domain <file>', 'further texts, from another source, to measure the map on')
    .addOption(
      new Option('--preset <name>', 'of trained kinds: settings to start from (default: tuned)').choices([
        'tuned',
        'blog',
      ]),
    )
    .addOption(
      new Option('--steps <n>', 'of trained kinds: optimizer steps').argParser(wholeNumber('--steps', 1)),
    )
    .addOption(
      new Option(
        '--epochs <x>',
        'of trained kinds: passes over the rows, where --steps is not given',
      ).argParser(decimal('--epochs', 0)),
    )
    .addOption(
      new Option('--learning-rate <x>', 'of trained kinds: peak learning rate').argParser(
        decimal('--learning-rate', 0),
      ),
    )
    .addOption(
      new Option('--fit-batch <n>', 'of trained kinds: rows per step').argParser(
        wholeNumber('--fit-batch', 1),
      ),
    )
    .option('--standardize', 'of trained kinds: scale activations to mean 0 and standard deviation 1')
    .option('--no-standardize', 'of trained kinds: leave activations as they are')
    .option(
      '--hidden <width>',
      'of autoencoder: width of the hidden layer: source, geometric, wide, or a number',
    )
    .option('--warm-start', 'of autoencoder: start from the ridge map')
    .addOption(
      new Option('--lambdas <list>', 'of affine: ridge strengths tried').argParser(
        numberList('--lambdas', 0),
      ),
    )
    .addOption(rowsOption());
  addRequire(addReadingOptions(command)).action((options: FitCommand) => runFit(options, cli));
}

async function runFit(options: FitCommand, cli: Cli): Promise<void> {
  const {
    seed = defaults.seed,
    texts: path,
    out,
    sourceBlock: source_block,
    targetBlock: target_block,
  } = options;
  await using _claim = await claimFolder(out, {
    reads: [path, options.source, options.target],
    makes: ['map.json'],
  });
  const given = await readMapTexts(path, 'train', options.limit);
  const settings = settingsOf(options, fitOf(given, options.fit, path));
  const elsewhere =
    options.outOfDomain === undefined
      ? []
      : (await readMapTexts(options.outOfDomain, 'test', options.limit)).plain;
  await using pair = await openPair(options, cli);
  const { source, target } = pair;
  blockOf(source, source_block, '--source-block');
  blockOf(target, target_block, '--target-block');
  const {
    map,
    label,
    fit: rows,
    entry,
    pairing,
  } = await withProgress(cli, options, async (progress) => {
    const env = experimentEnv('maps', { seed, progress, signal: cli.signal });
    const reading = readingOf(options);
    const texts = mapTexts(
      { ...given, general: [...elsewhere, ...given.plain] },
      { after: options.after, splits: SPLITS, general_splits: SPLITS, out_of_domain: elsewhere.length },
      { source: source.tokenizer, target: target.tokenizer },
      env.rng,
    );
    await using work = await MapWork.open({
      pair: { source, target, clean: source, source_block, target_block },
      texts,
      reading,
      env,
      storage: { scratch: tmpdir() },
    });
    const fitted = await fitMaps(work, [settings]);
    const [made] = fitted as [FittedMap];
    const tokenMean = await tokenMeanOf(work, fitted, made.fit);
    const groups = figureGroups(texts);
    const maps = { map: made.map };
    const { map: figures } = await measureMaps({ source, target, groups, maps, tokenMean, reading, env });
    const save = async (folder: string): Promise<void> => {
      await saveMap(made.map, folder);
      await saveMap(tokenMean, join(folder, TOKEN_MEAN));
    };
    await withAtomicFolder(out, save, { unsealed: MAP_TIMES });
    return { ...made, entry: mapEntry(made.map, figures), pairing: work.counts };
  });
  const ends = { source: map.source, target: map.target };
  const document = { map: out, ...ends, maps: { [label]: { [rows]: entry } }, pairing };
  printFigures(cli, options, document, () => {
    const { lambda } = map.record.settings;
    const said = [
      `${label}.${rows}: ${map.source.name} block ${map.source.block} → ${map.target.name} block ${map.target.block}`,
      `${map.parameters} parameters`,
      `${map.record.rows} rows`,
      ...(lambda === undefined ? [] : [`λ ${lambda}`]),
    ];
    return `${said.join(', ')}\n${figuresTable(entry)}wrote ${out}\n`;
  });
}

/** The recipe's entry for this map; an option the kind does not have is bad usage. */
function settingsOf(options: FitCommand, fit: MapFit): MapSettings {
  const { kind, preset, steps, epochs, learningRate, fitBatch, standardize, warmStart, lambdas } = options;
  const hidden = /^\d+$/.test(String(options.hidden)) ? Number(options.hidden) : options.hidden;
  const flags: Record<string, readonly [flag: string, value: unknown]> = {
    preset: ['--preset', preset],
    steps: ['--steps', steps],
    epochs: ['--epochs', epochs],
    learning_rate: ['--learning-rate', learningRate],
    batch: ['--fit-batch', fitBatch],
    standardize: [standardize === false ? '--no-standardize' : '--standardize', standardize],
    hidden: ['--hidden', hidden],
    warm_start: ['--warm-start', warmStart],
    lambdas: ['--lambdas', lambdas],
  };
  const own = Object.entries(flags).flatMap(([key, [, value]]) =>
    value === undefined ? [] : [[key, value]],
  );
  const parsed = mapSettingsSchema.safeParse({ kind, fits: [fit], ...Object.fromEntries(own) });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0] as z.core.$ZodIssue;
  const key = issue.code === 'unrecognized_keys' ? issue.keys[0] : issue.path[0];
  const [flag, value] = flags[String(key)] ?? ['--kind', kind];
  throw new InputError(
    issue.code === 'unrecognized_keys'
      ? `${flag}: a map of kind ${kind} has no such setting`
      : `${flag} ${String(value)}: ${issue.message}`,
    { id: 'option-invalid' },
  );
}
