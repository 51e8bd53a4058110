/** @file `bake`: steering in the weights of a model that runs anywhere. */
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { claimFolder, InputError } from '../../base/index.ts';
import { type Placement, placements, placeTag } from '../../behaviours/index.ts';
import type { InterventionDocument } from '../../contracts/index.ts';
import { BAKE_ARMS, type BakePrompt, experimentEnv, type KindFigures } from '../../evaluate/index.ts';
import { textOf, withVectorsInline } from '../../interventions/index.ts';
import { LanguageModel } from '../../models/index.ts';
import {
  BAKE_METHODS,
  type BakeRecord,
  type BakeSettings,
  bake,
  documentResolvers,
} from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, collect, decimal, declare, wholeNumber } from '../cli.ts';
import { addRequire, printFigures, type RequireOption } from '../figures.ts';
import { distinctPrompts } from '../given-prompts.ts';
import { adaptedFolder, otherModels, withProgress } from '../model.ts';
import { duration } from '../progress.ts';
import { defaults } from '../settings.ts';
import { readSteering } from '../steer.ts';
import { figure, textTable } from '../table.ts';
import { addTemplateOptions, inTemplate, type TemplateOptions } from '../template.ts';

interface BakeCommand extends CommonOptions, TemplateOptions, RequireOption, Omit<BakeSettings, 'seed'> {
  readonly intervention: string;
  readonly adapter?: string;
  readonly data: string;
  readonly field?: string;
  readonly limit: number;
  readonly place?: Placement;
  readonly beside?: readonly string[];
  readonly out: string;
}

export function addBake(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'bake <model>',
    'Write a model with an intervention in its weights: as a bias where that is exact, else as a LoRA fitted to the steered model. Measured on held-out prompts; the figures are in its card.',
    'bake runs/demo/models/locked.target --intervention runs/demo/use/locked/native.json --data bundled --place end --template instruction --out fixed',
  );
  const whole = (flag: string, least: number, what: string, preset: number): Option =>
    new Option(`${flag} <n>`, what).argParser(wholeNumber(flag, least)).default(preset);
  addRequire(addTemplateOptions(command))
    .requiredOption(
      '--intervention <file>',
      'an intervention (.json), a folder of crosspatch vector, or a file of vectors',
    )
    .option('--adapter <path>', 'PEFT adapter on the model')
    .requiredOption(
      '--data <file>',
      'prompts, some on which the intervention is carried out and some on which it is not: JSONL (.gz), JSON or Parquet; or bundled',
    )
    .option('--field <name>', 'field of --data that holds the prompt')
    .addOption(whole('--limit', 4, 'use at most so many prompts of --data', 600))
    .addOption(
      new Option(
        '--place <where>',
        'ask every prompt twice: as it is, and with the text that the intervention looks for at this place',
      ).choices(placements),
    )
    .option(
      '--beside <text>',
      'with --place: ask every prompt with this text there too, e.g. a harmless twin; may be repeated',
      collect,
    )
    .requiredOption('--out <folder>', 'folder for the model, its card and bake.json')
    .addOption(
      new Option('--method <name>', 'auto: a bias where that is exact, else a LoRA')
        .choices(BAKE_METHODS)
        .default('auto'),
    )
    .addOption(whole('--rank', 1, 'rank of the LoRA; alpha is twice that', 8))
    .addOption(whole('--steps', 1, 'optimizer steps of the LoRA', 200))
    .addOption(whole('--batch', 1, 'rows per step, and prompts asked side by side', 16))
    .addOption(
      new Option('--learning-rate <x>', 'peak learning rate of the LoRA')
        .argParser(decimal('--learning-rate', Number.MIN_VALUE))
        .default(1e-3),
    )
    .addOption(
      whole('--held-out', 1, 'prompts of each kind that are only measured on; at most half of them', 100),
    )
    .addOption(whole('--max-tokens', 1, 'longest answer', 32))
    .option('--detect <pattern>', 'regular expression that marks answers: its rate before and after')
    .addOption(
      new Option('--dtype <type>', 'number type of the weights that are written')
        .choices(['F32', 'F16', 'BF16'])
        .default('F32'),
    )
    .action((model: string, options: BakeCommand) => run(model, options, cli));
}

async function run(reference: string, options: BakeCommand, cli: Cli): Promise<void> {
  const { seed = defaults.seed, data, out } = options;
  const read = await readSteering(options.intervention);
  const document = await withVectorsInline(read.document, read.file);
  await using place = await adaptedFolder(reference, options.adapter, cli, options);
  await using _claim = await claimFolder(out, {
    reads: [place.path, data, options.intervention, options.adapter],
    makes: ['bake.json'],
  });
  await using others = otherModels(cli, options);
  await using base = await LanguageModel.load(place.path);
  const prompts = await promptsOf(base, document, options, cli);
  const record = await withProgress(cli, options, (progress) =>
    bake(
      {
        base,
        name:
          options.adapter === undefined
            ? basename(reference)
            : `${basename(reference)} + ${basename(options.adapter)}`,
        ...{ document, prompts, out },
        resolvers: documentResolvers(read.folder, others.open),
      },
      { ...options, seed },
      experimentEnv('bake', { seed, progress, signal: cli.signal }),
    ),
  );
  printFigures(cli, options, { folder: out, ...record }, () => textOfRecord(record, out));
}

/** The prompts in their template, where asked for with and without the text that the document looks for. */
async function promptsOf(
  model: LanguageModel,
  document: InterventionDocument,
  options: BakeCommand,
  cli: Cli,
): Promise<BakePrompt[]> {
  const { place, beside = [] } = options;
  const wanted = place === undefined ? undefined : textOf(document);
  if (place !== undefined && wanted === undefined)
    throw new InputError(
      '--place: the intervention looks for no text (when.span.text, tokens.match); leave --place out',
      { id: 'option-conflict' },
    );
  if (place === undefined && beside.length > 0)
    throw new InputError('--beside: needs --place, which says where the text goes', {
      id: 'option-conflict',
    });
  const texts = await distinctPrompts(options, cli);
  return texts.flatMap((key) => {
    const placed =
      place === undefined || wanted === undefined
        ? []
        : [wanted, ...beside].map((tag) => placeTag(key, tag, place).text);
    return [key, ...placed].map((text) => ({ ...inTemplate(model, options, text), key }));
  });
}

function textOfRecord(record: BakeRecord, out: string): string {
  const { method, training, fires, left_alone } = record;
  const how =
    training === undefined
      ? 'as the bias of down projections, exact up to rounding'
      : `as a LoRA of rank ${training.rank}: ${training.steps} steps on ${training.rows.fires} + ${training.rows.left_alone} prompts, KL ${figure(training.kl.first)} → ${figure(training.kl.last)}, ${duration(training.seconds)}`;
  const tables = [
    rowsOf('carried out', fires),
    ...(left_alone === undefined ? [] : [rowsOf('left alone', left_alone)]),
  ];
  return `${method} ${out}: ${how}\n${textTable([['prompts', 'figure', 'model', 'value', 'n', '95 % interval'], ...tables.flat()])}`;
}

function rowsOf(kind: string, { kl_per_token, same_answer, shows, restored }: KindFigures): string[][] {
  return Object.entries({ kl_per_token, same_answer, shows, restored }).flatMap(([name, arms]) =>
    (['steered', ...BAKE_ARMS] as const).flatMap((arm) => {
      const found = (arms as typeof shows)?.[arm];
      if (found === undefined) return [];
      const { value, n, ci95 } = found;
      return [[kind, name, arm, figure(value), String(n), `[${figure(ci95[0])}, ${figure(ci95[1])}]`]];
    }),
  );
}
