/** @file `invert`: a map back from B to A (the blog's Fig. 13-14): from the map alone, or on the rows it was fitted on. */
import { tmpdir } from 'node:os';
import { type Command, Option } from 'commander';
import { claimFolder, InputError } from '../../base/index.ts';
import {
  experimentEnv,
  type InverseMap,
  type InverseMethod,
  inverseEntry,
  invertMaps,
  MapWork,
  mapEntry,
  mapTexts,
} from '../../evaluate/index.ts';
import { type ActivationMap, loadMap, pseudoInverseMap, saveMap } from '../../maps/index.ts';
import { type Cli, decimal, declare } from '../cli.ts';
import { addRequire, printFigures } from '../figures.ts';
import {
  addReadingOptions,
  figuresTable,
  fitOf,
  type ReadingOptions,
  readingOf,
  readMapTexts,
  rowsOption,
  SPLITS,
} from '../map-texts.ts';
import { withProgress } from '../model.ts';
import { addModelOptions, openMap, openPair, type PairOptions } from '../pair.ts';
import { defaults } from '../settings.ts';

interface InvertCommand extends Partial<PairOptions>, ReadingOptions {
  readonly map: string;
  readonly method: InverseMethod;
  readonly rtol: number;
  readonly texts?: string;
  readonly out: string;
}

const METHODS = ['pinv', 'truncated', 'reverse_ridge'] as const satisfies readonly InverseMethod[];

export function addInvert(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'invert',
    'Make a map back, from B to A. With the texts the map was fitted on: of the unregularised map, and measured.',
    'map fit --source models/s-locked --target models/m-locked --source-block 3 --target-block 3 --texts data/locked --kind affine --out maps/affine',
    'invert --map maps/affine --method reverse_ridge --texts data/locked --source models/s-locked --target models/m-locked --out maps/back',
  )
    .requiredOption('--map <folder>', 'an affine map A → B')
    .addOption(
      new Option(
        '--method <name>',
        'pinv: the pseudo-inverse; truncated: without small singular values; reverse_ridge: fitted from B to A',
      )
        .choices(METHODS)
        .makeOptionMandatory(),
    )
    .requiredOption('--out <folder>', 'folder to write')
    .addOption(
      new Option('--rtol <x>', 'truncated: singular values at or below this × the largest are dropped')
        .argParser(decimal('--rtol', 0, 1))
        .default(defaults.inverse.rtol),
    )
    .option('--texts <path>', 'the texts that the map was fitted on; needs --source and --target');
  addModelOptions(command, 'with --texts').addOption(rowsOption());
  addRequire(addReadingOptions(command)).action((options: InvertCommand) => run(options, cli));
}

async function run(options: InvertCommand, cli: Cli): Promise<void> {
  const { method, out } = options;
  await using _claim = await claimFolder(out, { reads: [options.map, options.texts], makes: ['map.json'] });
  const forward = await loadMap(options.map);
  const { map, figures } =
    options.texts === undefined
      ? { map: alone(forward, options), figures: {} }
      : await onRows(forward, options.texts, options, cli);
  await saveMap(map, out);
  const { lambda } = forward.record.settings;
  const shrunk = options.texts === undefined && typeof lambda === 'number' && lambda > 0;
  const notes = shrunk
    ? [
        `the map was fitted with λ ${lambda}, and the inverse of a shrunk map overshoots; with --texts the unregularised one is inverted`,
      ]
    : [];
  const entry = mapEntry(map, figures);
  const document = { map: out, inverse: { [method]: inverseEntry(entry) }, notes };
  printFigures(cli, options, document, () => {
    const { rank } = map.record.settings;
    const said = `${method}: ${map.source.name} block ${map.source.block} → ${map.target.name} block ${map.target.block}${rank === undefined ? '' : `, rank ${rank}`}`;
    const table = Object.keys(figures).length === 0 ? '' : figuresTable(entry);
    return `${said}\n${table}${notes.map((note) => `${note}\n`).join('')}wrote ${out}\n`;
  });
}

/** From the map's own matrix. */
function alone(forward: ActivationMap, { method, rtol, source, target }: InvertCommand): ActivationMap {
  if (source !== undefined || target !== undefined)
    throw new InputError('invert: --source and --target belong to --texts, the texts the map was fitted on', {
      id: 'option-conflict',
    });
  if (method === 'reverse_ridge')
    throw new InputError(
      'invert --method reverse_ridge: is fitted on rows; wanted --texts, --source and --target, got none',
      { id: 'option-missing' },
    );
  return pseudoInverseMap(forward, method === 'truncated' ? rtol : undefined);
}

/** On the rows of the fit. Refuses other texts than those. */
async function onRows(
  forward: ActivationMap,
  path: string,
  options: InvertCommand,
  cli: Cli,
): Promise<InverseMap> {
  const { method, rtol, source: a, target: b } = options;
  if (a === undefined || b === undefined)
    throw new InputError('invert --texts: wanted --source and --target as well, the models of the map', {
      id: 'option-missing',
    });
  const given = await readMapTexts(path, 'train', options.limit);
  const fit = fitOf(given, forward.fit, path);
  await using pair = await openPair({ ...options, source: a, target: b }, cli);
  const { source, target } = pair;
  await openMap(options.map, pair);
  return await withProgress(cli, options, async (progress) => {
    const env = experimentEnv('maps', {
      seed: options.seed ?? forward.record.seed,
      progress,
      signal: cli.signal,
    });
    const texts = mapTexts(
      { ...given, general: given.plain },
      { after: options.after, splits: SPLITS, general_splits: SPLITS, out_of_domain: 0 },
      { source: source.tokenizer, target: target.tokenizer },
      env.rng,
    );
    const blocks = { source_block: forward.source.block, target_block: forward.target.block };
    await using work = await MapWork.open({
      pair: { source, target, clean: source, ...blocks },
      texts,
      reading: readingOf(options),
      env,
      storage: { scratch: tmpdir() },
    });
    if (work.context(fit, 'inverse').data !== forward.record.data)
      throw new InputError(
        `invert --texts ${path}: are not the texts ${options.map} was fitted on; give the same path, --limit, --after and --seed`,
        { id: 'map-mismatch' },
      );
    // A ridge-shrunk inverse overshoots: for those the unregularised map of the same rows is inverted.
    const of = forward.kind === 'affine' ? {} : { of: forward };
    const { [method]: made } = await invertMaps(work, [method], { fit, rtol, ...of });
    return made as InverseMap;
  });
}
