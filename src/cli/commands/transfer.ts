/** @file `transfer`: carry the fix from A to B over a map, with every arm and control (docs/concepts/method.md#transfer). */

import { type Command, Option } from 'commander';
import { InputError, writeFileAtomic, writeJsonAtomic } from '../../base/index.ts';
import {
  type Rate,
  TRANSFER_ARMS,
  type TransferArm,
  type TransferEntry,
  transferSettings,
  type WorthRow,
} from '../../contracts/index.ts';
import {
  casesOf,
  type ExperimentEnv,
  experimentEnv,
  liveSubject,
  type TransferInput,
  transferExperiment,
} from '../../evaluate/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { type Cli, decimal, declare, wholeNumber } from '../cli.ts';
import { addControlOption, type ControlOption, openControls } from '../controls.ts';
import { addRequire, printFigures } from '../figures.ts';
import { choiceList, numberList } from '../lists.ts';
import { withProgress } from '../model.ts';
import { refuseForeignOutputs } from '../out-files.ts';
import { addPairOptions, openMap, openPair, type PairOptions } from '../pair.ts';
import { addPromptOptions, askingOf, type PromptOptions, type Prompts, readPrompts } from '../prompts.ts';
import { countOption, defaults } from '../settings.ts';
import { intervalCell, jsonLines, rateCell, textTable } from '../table.ts';

interface TransferCommand extends PairOptions, PromptOptions, ControlOption {
  readonly map: string;
  readonly mode: 'set' | 'add' | 'both';
  readonly alpha?: readonly number[];
  readonly validation: number;
  readonly arms: readonly TransferArm[];
  readonly draws: number;
  readonly staticPrompts: number;
  readonly noninferiorityMargin: number;
  readonly worth?: readonly number[];
  readonly samples?: string;
  readonly out?: string;
}

const MODES = { set: ['set'], add: ['add'], both: ['set', 'add'] } as const;

export function addTransfer(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'transfer',
    "Put the source's safe activations, mapped, into the target's bad run; beside it every arm and control.",
    'transfer --map maps/affine --source models/s-locked --target models/m-locked --data data/locked --prompts 50',
  ).requiredOption('--map <folder>', 'made by map fit, invert or a run');
  addControlOption(addPairOptions(command, 'checked'));
  addRequire(addPromptOptions(command, defaults.transfer.prompts))
    .addOption(
      new Option('--mode <how>', 'set: f(safe) in place; add: h + α (f(safe) − f(bad)); both: add beside set')
        .choices(Object.keys(MODES))
        .default('both' satisfies keyof typeof MODES),
    )
    .addOption(
      new Option(
        '--alpha <list>',
        `of add; of several the best on validation prompts (default: ${defaults.transfer.alphas}; 1 for a file of prompts)`,
      ).argParser(numberList('--alpha', 0)),
    )
    .addOption(
      new Option('--validation <n>', 'validation prompts, for α and for what counts as alike')
        .argParser(wholeNumber('--validation', 2))
        .default(defaults.data.validation),
    )
    .addOption(
      new Option('--arms <list>', `some of ${TRANSFER_ARMS.join(', ')} (default: all)`)
        .argParser(choiceList('--arms', TRANSFER_ARMS))
        .default(defaults.transfer.arms, 'all'),
    )
    .addOption(countOption('--draws <n>', { section: transferSettings, key: 'draws' }))
    .addOption(
      countOption('--static-prompts <n>', { section: transferSettings, key: 'static_prompts', least: 0 }),
    )
    .addOption(
      new Option('--noninferiority-margin <x>', transferSettings.shape.noninferiority_margin.description)
        .argParser(decimal('--noninferiority-margin', 0, 1))
        .default(defaults.transfer.noninferiority_margin),
    )
    .addOption(
      new Option(
        '--worth <list>',
        "restoration by the target's own vector from k labelled prompts",
      ).argParser(numberList('--worth', 1)),
    )
    .option('--samples <file>', 'write every completion judged here, as JSONL')
    .option('--out <file>', 'write the figures here, as JSON')
    .action((options: TransferCommand) => run(options, cli));
}

async function run(options: TransferCommand, cli: Cli): Promise<void> {
  const { seed = defaults.seed, mode } = options;
  if (mode === 'set' && options.alpha !== undefined)
    throw new InputError('--alpha: belongs to --mode add or both', { id: 'option-conflict' });
  await refuseForeignOutputs(options, 'transfer', [options.map, options.data]);
  const prompts = await readPrompts(options);
  if (prompts.ofFile && (options.alpha?.length ?? 1) > 1)
    throw new InputError(
      'transfer: α is chosen on validation prompts, which a file of prompts does not have; give one --alpha, or a folder made by data build',
      { id: 'option-conflict' },
    );
  const alphas = options.alpha ?? (prompts.ofFile ? [1] : defaults.transfer.alphas);
  await using pair = await openPair(options, cli);
  const { source, target } = pair;
  const map = await openMap(options.map, pair, options);
  const { shuffled, token_mean: tokenMean } = await openControls(options, map, pair);
  const asking = askingOf(prompts, options);
  const { worth: ks = [], staticPrompts: static_prompts } = options;
  const training = prompts.training.slice(0, Math.max(static_prompts, ...ks));
  const { document, samples } = await withProgress(cli, options, async (progress) => {
    const given = { seed, progress, signal: cli.signal };
    const choosesAlpha = mode !== 'set' && alphas.length > 1;
    const needed = { ...options, choosesAlpha };
    const subjects = await subjectsOf(target, prompts, needed, experimentEnv('runs', given));
    const { samples, ...figures } = await transferExperiment(
      {
        behaviour: prompts.behaviour.name,
        source: () => ({ model: source, block: map.source.block }),
        target: { model: target, block: map.target.block },
        ...subjects,
        training: casesOf(target.tokenizer, training, asking),
        maps: [{ label: map.kind, map }],
        controls: { shuffled, tokenMean },
      },
      {
        evaluation: asking,
        transfer: {
          modes: [...MODES[mode]],
          alphas: [...alphas],
          alpha_prompts: defaults.transfer.alpha_prompts,
          arms: [...options.arms],
          draws: options.draws,
          static_prompts,
          noninferiority_margin: options.noninferiorityMargin,
        },
        worth: ks.length > 0 && { ks: [...ks], prompts: options.prompts },
        capabilities: false,
      },
      experimentEnv('transfer', given),
    );
    return { samples, document: { map: options.map, behaviour: prompts.behaviour.name, ...figures } };
  });
  if (options.samples !== undefined) await writeFileAtomic(options.samples, jsonLines(samples));
  if (options.out !== undefined) await writeJsonAtomic(options.out, document);
  const entry = document.transfer[map.kind]?.[map.fit] as TransferEntry;
  printFigures(
    cli,
    options,
    document,
    () =>
      `${entryText(entry, `${map.kind}.${map.fit}`)}${worthText(document)}${(document.notes ?? []).map((note) => `${note}\n`).join('')}`,
  );
}

/** Test prompts, and validation prompts where they are needed, with the target's unpatched completions made now. */
async function subjectsOf(
  target: LanguageModel,
  prompts: Prompts,
  options: TransferCommand & { readonly choosesAlpha: boolean },
  env: ExperimentEnv,
): Promise<Pick<TransferInput, 'subject' | 'validation'>> {
  const asking = askingOf(prompts, options);
  const texts = prompts.validation.slice(0, options.validation);
  const needed = !prompts.ofFile && (options.choosesAlpha || !prompts.exact);
  const { subject: all } = needed ? await liveSubject(target, texts, asking, env) : { subject: undefined };
  // What counts as alike is taken from the validation prompts, where there are any.
  const tested = prompts.test.slice(0, options.prompts);
  const alike = { ...asking, threshold: all?.judging.threshold };
  const { subject } = await liveSubject(target, tested, alike, env);
  const validation = all && { ...all, cases: all.cases.slice(0, defaults.transfer.alpha_prompts) };
  return { subject, validation };
}

function worthText({
  strip_trigger,
  worth = [],
}: {
  strip_trigger?: Rate | undefined;
  worth?: readonly WorthRow[] | undefined;
}): string {
  const strip =
    strip_trigger === undefined ? '' : `cutting the trigger out restores ${intervalCell(strip_trigger)}\n`;
  if (worth.length === 0) return strip;
  const rows = worth.map((row) => [String(row.k), intervalCell(row.native_restoration)]);
  return `${strip}\n${textTable([['labelled prompts', 'restoration by the own vector'], ...rows])}`;
}

function entryText(entry: TransferEntry, name: string): string {
  const { mode, alpha, arms, margin, margin_without_shuffled, noninferiority, native_alignment } = entry;
  const table = (title: string, of: TransferEntry['arms']) =>
    textTable([
      [title, 'removal', 'restoration', 'elicitation', 'n'],
      ...Object.entries(of).map(([arm, o]) => [
        arm,
        rateCell(o.removal),
        intervalCell(o.restoration),
        intervalCell(o.elicitation),
        String(o.restoration?.n ?? o.elicitation?.n ?? ''),
      ]),
    ]);
  const { difference, ci95, p } = noninferiority ?? {};
  const lines = [
    `margin over the strongest noise ${rateCell(margin)}${margin_without_shuffled === margin ? '' : ` (without the shuffled map ${rateCell(margin_without_shuffled)})`}`,
    ...(difference === undefined
      ? []
      : [
          `mapped − native ${intervalCell({ value: difference, n: 0, ci95: ci95 as [number, number] })}, non-inferiority p ${rateCell(p)}`,
        ]),
    ...(native_alignment === undefined
      ? []
      : [
          `mapped vector against native: cosine ${intervalCell(native_alignment.cossim)}, norm ratio ${intervalCell(native_alignment.norm_ratio)}`,
        ]),
  ];
  const beside = entry.add === undefined ? '' : `\n${table(`add, α ${entry.add.alpha}`, entry.add.arms)}`;
  return `${name}, ${mode}${mode === 'add' ? `, α ${alpha}` : ''}\n${table('arm', arms)}${lines.map((line) => `${line}\n`).join('')}${beside}`;
}
