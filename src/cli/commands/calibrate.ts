/** @file `calibrate sheet|score`: judges against people. A blind sheet to rate, and how far each judge agrees with the ratings. */
import { readFile, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { type Command, Option } from 'commander';
import {
  InputError,
  parseJson,
  Rng,
  textLines,
  withAtomicFolder,
  writeJsonAtomic,
} from '../../base/index.ts';
import { type SheetKey, sheetKeySchema, sheetRowSchema } from '../../contracts/index.ts';
import {
  type Calibration,
  calibrate,
  drawSheet,
  judgedPairs,
  type Rater,
  ratingRules,
} from '../../evaluate/index.ts';
import { readSamples } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, collect, declare, printJson, wholeNumber } from '../cli.ts';
import { defaults } from '../settings.ts';
import { intervalCell, jsonLines, textTable } from '../table.ts';

const SHEET = 'sheet.jsonl';
const KEY = 'key.json';
const RULES = 'RULES.txt';

interface SheetOptions extends CommonOptions {
  readonly pairs: number;
}
interface ScoreOptions extends CommonOptions {
  readonly ratings: readonly string[];
  readonly run?: string;
  readonly out?: string;
  readonly resamples: number;
}

export function addCalibrate(program: Command, cli: Cli): void {
  const group = program
    .command('calibrate')
    .description('Judges of fidelity against people: a blind sheet to rate, and how far each judge agrees.');
  declare(
    group,
    'sheet <run> <folder>',
    'Draw pairs of completions from a run, hide what they are, and write them for people to rate.',
    'calibrate sheet runs/demo rate-me --pairs 120',
  )
    .addOption(new Option('--pairs <n>', 'how many').argParser(wholeNumber('--pairs', 2)).default(120))
    .action((run: string, folder: string, options: SheetOptions) => sheet(run, folder, options, cli));
  declare(
    group,
    'score <folder>',
    'Read filled sheets: agreement of the raters, of every judge with them, and mean grades per arm.',
    'calibrate score rate-me --ratings ann.jsonl --ratings bo.jsonl --run runs/demo',
  )
    .addOption(
      new Option('--ratings <file>', 'a filled copy of sheet.jsonl; once per rater')
        .argParser(collect)
        .makeOptionMandatory(),
    )
    .option('--run <folder>', 'the run: mean grades of its arms as every judge, calibrated, gives them')
    .option('--out <file>', 'write what was found here, as JSON')
    .addOption(
      new Option('--resamples <n>', 'draws of every interval')
        .argParser(wholeNumber('--resamples', 10))
        .default(1000),
    )
    .action((folder: string, options: ScoreOptions) => score(folder, options, cli));
}

async function sheet(run: string, folder: string, options: SheetOptions, cli: Cli): Promise<void> {
  const { seed = defaults.seed, pairs } = options;
  const judged = judgedPairs(await readSamples(run));
  const drawn = drawSheet(judged, pairs, new Rng(seed).fork('sheet'));
  const key: SheetKey = { schema_version: 1, run: basename(run), seed, pairs: drawn.key };
  await withAtomicFolder(folder, async (aside) => {
    await writeFile(join(aside, SHEET), jsonLines(drawn.rows));
    await writeFile(join(aside, KEY), `${JSON.stringify(key, null, 1)}\n`);
    await writeFile(join(aside, RULES), ratingRules(SHEET, drawn.rows.length));
  });
  const found = { folder, pairs: drawn.rows.length, of: judged.length };
  if (options.json) printJson(cli, found);
  else
    cli.out(
      `wrote ${folder}: ${found.pairs} pairs of ${found.of} judged completions\n${RULES} and ${SHEET} are for raters, ${KEY} is not\n`,
    );
}

async function score(folder: string, options: ScoreOptions, cli: Cli): Promise<void> {
  const { seed = defaults.seed, resamples } = options;
  const key = await readKey(folder);
  const raters = await Promise.all(options.ratings.map((path) => readRatings(path, key)));
  const judged = options.run === undefined ? undefined : judgedPairs(await readSamples(options.run));
  const found = calibrate(key.pairs, raters, judged, { rng: new Rng(seed).fork('calibrate'), resamples });
  if (options.out !== undefined) await writeJsonAtomic(options.out, found);
  if (options.json) printJson(cli, found);
  else cli.out(shown(found));
}

async function readKey(folder: string): Promise<SheetKey> {
  const path = join(folder, KEY);
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw new InputError(`${path}: cannot be read; wanted a folder of calibrate sheet`, {
      id: 'data-missing',
      cause,
    });
  });
  const { data, success, error } = sheetKeySchema.safeParse(parseJson(text, path));
  if (success) return data;
  throw new InputError(`${path}: no key of a sheet (${error.issues[0]?.message})`, { id: 'data-invalid' });
}

async function readRatings(path: string, { pairs }: SheetKey): Promise<Rater> {
  const known = new Set(pairs.map(({ pair }) => pair));
  const grades = new Map<number, number>();
  for await (const { text, number } of textLines(path)) {
    if (text === '') continue;
    const row = sheetRowSchema
      .partial({ text_1: true, text_2: true })
      .safeParse(parseJson(text, `${path} line ${number}`));
    if (!row.success || !known.has(row.data.pair) || grades.has(row.data.pair))
      throw new InputError(
        `${path} line ${number}: wanted a row of the sheet, each pair once, with "rating" a whole number from 1 to 5 or null`,
        { id: 'data-invalid' },
      );
    if (row.data.rating !== null) grades.set(row.data.pair, row.data.rating);
  }
  if (grades.size === 0)
    throw new InputError(`${path}: no pair is rated; fill "rating" with a whole number from 1 to 5`, {
      id: 'data-invalid',
    });
  return { name: basename(path, extname(path)), grades };
}

function shown({ raters, agreement, judges, arms }: Calibration): string {
  const names = Object.keys(judges);
  const tables = [
    textTable([
      ['rater', 'rated', 'mean'],
      ...raters.map(({ name, n, mean }) => [name, String(n), mean.toFixed(2)]),
    ]),
    agreement === undefined
      ? 'one rater: no agreement among raters\n'
      : `raters: α ${intervalCell(agreement.alpha)}, equal ${intervalCell(agreement.equal)}, at most one apart ${intervalCell(agreement.within_one)}, n ${agreement.alpha.n}\n`,
    textTable([
      ['judge', 'n', 'α with raters', 'ρ with their mean'],
      ...Object.entries(judges).map(([name, { alpha, rho }]) => [
        name,
        String(alpha.n),
        intervalCell(alpha),
        intervalCell(rho),
      ]),
    ]),
  ];
  if (arms !== undefined)
    tables.push(
      textTable([
        ['behaviour', 'prompts', 'arm', ...names],
        ...arms.map(({ behaviour, trigger, arm, grades }) => [
          behaviour,
          trigger,
          arm,
          ...names.map((name) => intervalCell(grades[name])),
        ]),
      ]),
    );
  return tables.join('\n');
}
