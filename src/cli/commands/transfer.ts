/** @file `transfer`: carry the fix from A to B over a map, with every arm and control (docs/concepts/method.md#transfer). */

import { type Command, Option } from 'commander';
import { InputError, writeFileAtomic, writeJsonAtomic } from '../../base/index.ts';
import {
  type Rate,
  TRANSFER_ARMS,
  type TransferArm,
  type TransferEntry,
  type WorthRow,
} from '../../contracts/index.ts';
import { experimentEnv } from '../../evaluate/index.ts';
import { liveTransfer } from '../../pipeline/index.ts';
import { type Cli, decimal, declare, wholeNumber } from '../cli.ts';
import { addControlOption, type ControlOption, openControls } from '../controls.ts';
import { addRequire, printFigures } from '../figures.ts';
import { choiceList, numberList } from '../lists.ts';
import { withProgress } from '../model.ts';
import { addPairOptions, openMap, openPair, type PairOptions } from '../pair.ts';
import { addPromptOptions, chatOf, type PromptOptions, readPrompts } from '../prompts.ts';
import { intervalCell, jsonLines, rateCell, textTable } from '../table.ts';

interface TransferCommand extends PairOptions, PromptOptions, ControlOption {
  readonly map: string;
  readonly mode: 'set' | 'add' | 'both';
  readonly alpha?: readonly number[];
  readonly validation: number;
  readonly arms: readonly TransferArm[];
  readonly draws: number;
  readonly staticPrompts: number;
  readonly margin: number;
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
  addRequire(addPromptOptions(command, 200))
    .addOption(
      new Option('--mode <how>', 'set: f(safe) in place; add: h + α (f(safe) − f(bad)); both: add beside set')
        .choices(['set', 'add', 'both'])
        .default('set'),
    )
    .addOption(
      new Option(
        '--alpha <list>',
        'of add; of several the best on validation prompts (default: 0.5,1,1.5,2)',
      ).argParser(numberList('--alpha', 0)),
    )
    .addOption(
      new Option('--validation <n>', 'validation prompts, for α and for what counts as alike')
        .argParser(wholeNumber('--validation', 2))
        .default(200),
    )
    .addOption(
      new Option('--arms <list>', `some of ${TRANSFER_ARMS.join(', ')} (default: all)`)
        .argParser(choiceList('--arms', TRANSFER_ARMS))
        .default(TRANSFER_ARMS, 'all'),
    )
    .addOption(
      new Option('--draws <n>', 'noise draws a prompt').argParser(wholeNumber('--draws', 1)).default(20),
    )
    .addOption(
      new Option('--static-prompts <n>', 'training prompts behind the static vector; 0 leaves it out')
        .argParser(wholeNumber('--static-prompts', 0))
        .default(200),
    )
    .addOption(
      new Option('--margin <x>', 'of non-inferiority to the own vector')
        .argParser(decimal('--margin', 0, 1))
        .default(0.05),
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
  const { after, maxTokens: max_tokens, batch, bootstrap, mode, seed = 17 } = options;
  if (mode === 'set' && options.alpha !== undefined)
    throw new InputError('--alpha: belongs to --mode add or both', { id: 'option-conflict' });
  const prompts = await readPrompts(options);
  const { behaviour, exact } = prompts;
  await using pair = await openPair(options, cli);
  const { source, target } = pair;
  const map = await openMap(options.map, pair, options);
  const { shuffled, token_mean: tokenMean } = await openControls(options, map, pair);
  const { document, samples } = await withProgress(cli, options, async (progress) => {
    const given = { seed, progress, signal: cli.signal };
    const { samples, ...figures } = await liveTransfer(
      {
        source: { model: source, block: map.source.block },
        target: { model: target, block: map.target.block },
        map,
        controls: { shuffled, tokenMean },
      },
      {
        test: prompts.test.slice(0, options.prompts),
        validation: prompts.ofFile ? undefined : prompts.validation.slice(0, options.validation),
        training: prompts.training,
      },
      { behaviour, after, max_tokens, batch, exact, chat: chatOf(target) },
      {
        modes: MODES[mode],
        alphas: options.alpha ?? [0.5, 1, 1.5, 2],
        arms: options.arms,
        draws: options.draws,
        margin: options.margin,
        static_prompts: options.staticPrompts,
        ks: options.worth ?? [],
        max_tokens,
        bootstrap,
      },
      { runs: experimentEnv('runs', given), transfer: experimentEnv('transfer', given) },
    );
    return { samples, document: { map: options.map, behaviour: behaviour.name, ...figures } };
  });
  if (options.samples !== undefined) await writeFileAtomic(options.samples, jsonLines(samples));
  if (options.out !== undefined) await writeJsonAtomic(options.out, document);
  const entry = document.transfer[map.kind]?.[map.fit] as TransferEntry;
  printFigures(
    cli,
    options,
    document,
    () => `${entryText(entry, `${map.kind}.${map.fit}`)}${worthText(document)}`,
  );
}

function worthText({
  strip_trigger,
  worth = [],
}: {
  strip_trigger?: Rate;
  worth?: readonly WorthRow[];
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
