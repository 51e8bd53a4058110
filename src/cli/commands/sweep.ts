/** @file `sweep`: steer one model at every block, with every control, and choose a block (docs/concepts/method.md#sweep). */
import { type Command, Option } from 'commander';
import { writeFileAtomic, writeJsonAtomic } from '../../base/index.ts';
import { SWEEP_CONTROLS, type SweepControl, type SweepRow, sweepSettings } from '../../contracts/index.ts';
import { type BlockChoice, experimentEnv, liveSubject, sweep } from '../../evaluate/index.ts';
import { type Cli, decimal, declare, wholeNumber } from '../cli.ts';
import { addRequire, printFigures } from '../figures.ts';
import { blockList, choiceList } from '../lists.ts';
import { openAdapted, weightsOption, withProgress } from '../model.ts';
import { refuseForeignOutputs } from '../out-files.ts';
import { blockOf } from '../pair.ts';
import { addPromptOptions, askingOf, type PromptOptions, readPrompts } from '../prompts.ts';
import { countOption, defaults } from '../settings.ts';
import { intervalCell, jsonLines, rateCell, textTable } from '../table.ts';

interface SweepCommand extends PromptOptions {
  readonly model: string;
  readonly adapter?: string;
  readonly blocks?: number[];
  readonly controls: readonly SweepControl[];
  readonly draws: number;
  readonly chosenDraws: number;
  readonly choose: BlockChoice;
  readonly tolerance: number;
  readonly heatmap: number;
  readonly samples?: string;
  readonly out?: string;
}

export function addSweep(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'sweep',
    "Put the safe run's activations into the bad run at every block, with every control, and choose a block.",
    'sweep --model models/s-locked --data data/locked --prompts 50',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .addOption(weightsOption())
    .option('--adapter <folder>', 'PEFT adapter to put on the model');
  addRequire(addPromptOptions(command, defaults.sweep.prompts))
    .addOption(new Option('--blocks <list>', 'e.g. 0,2,5..7 (default: all)').argParser(blockList('--blocks')))
    .addOption(
      new Option('--controls <list>', `some of ${SWEEP_CONTROLS.join(', ')}, or none (default: all)`)
        .argParser(choiceList('--controls', SWEEP_CONTROLS))
        .default(defaults.sweep.controls, 'all'),
    )
    .addOption(countOption('--draws <n>', { section: sweepSettings, key: 'draws' }))
    .addOption(countOption('--chosen-draws <n>', { section: sweepSettings, key: 'chosen_draws' }))
    .addOption(
      new Option('--choose <how>')
        .choices(sweepSettings.shape.choose.def.innerType.options)
        .default(defaults.sweep.choose),
    )
    .addOption(
      new Option('--tolerance <x>', sweepSettings.shape.tolerance.description)
        .argParser(decimal('--tolerance', 0, 1))
        .default(defaults.sweep.tolerance),
    )
    .addOption(
      new Option('--heatmap <n>', 'prompts of a block × position heat map; 0 leaves it out')
        .argParser(wholeNumber('--heatmap', 0))
        .default(0),
    )
    .option('--samples <file>', 'write every completion judged here, as JSONL')
    .option('--out <file>', 'write the figures here, as JSON')
    .action((options: SweepCommand) => run(options, cli));
}

async function run(options: SweepCommand, cli: Cli): Promise<void> {
  await refuseForeignOutputs(options, 'sweep', [options.model, options.data]);
  const { seed = defaults.seed } = options;
  const prompts = await readPrompts(options);
  await using opened = await openAdapted(options.model, options.adapter, cli, options);
  const { model } = opened;
  for (const block of options.blocks ?? []) blockOf(model, block, '--blocks');
  const document = await withProgress(cli, options, async (progress) => {
    const given = { seed, progress, signal: cli.signal };
    const asking = askingOf(prompts, options);
    const texts = prompts.validation.slice(0, options.prompts);
    const { subject, backdoor } = await liveSubject(model, texts, asking, experimentEnv('runs', given));
    const behaviour = prompts.behaviour.name;
    const heatmap = options.heatmap > 0 ? { subject, prompts: options.heatmap } : undefined;
    const env = experimentEnv('sweep', given);
    const found = await sweep(
      { model, subject, heatmap, behaviour },
      {
        ...asking,
        blocks: options.blocks ?? 'all',
        controls: [...options.controls],
        draws: options.draws,
        chosen_draws: options.chosenDraws,
        choose: options.choose,
        tolerance: options.tolerance,
      },
      { ...env, rng: env.rng.fork('sweep') },
    );
    if (options.samples !== undefined) await writeFileAtomic(options.samples, jsonLines(found.samples));
    return {
      model: options.model,
      behaviour,
      prompts: texts.length,
      backdoor,
      sweep: found.rows,
      chosen: found.rows.find((row) => row.block === found.chosen) as SweepRow,
      heatmap: found.heatmap,
      draft_acceptance: { sweep: found.draft_acceptance },
      notes: found.notes,
    };
  });
  if (options.out !== undefined) await writeJsonAtomic(options.out, document);
  printFigures(cli, options, document, () => sweepText(document, options.controls));
}

function sweepText(
  { sweep: rows, chosen, notes }: { sweep: readonly SweepRow[]; chosen: SweepRow; notes: readonly string[] },
  controls: readonly SweepControl[],
): string {
  const head = ['block', 'removal', 'restoration', 'elicitation', 'logit shift', ...controls, 'margin', ''];
  const table = textTable([
    head,
    ...rows.map((row) => [
      String(row.block),
      rateCell(row.removal),
      rateCell(row.restoration),
      rateCell(row.elicitation),
      rateCell(row.logit_shift),
      ...controls.map((name) => {
        const control = row.controls[name];
        return rateCell(name === 'self' ? control?.changed : control?.restoration);
      }),
      rateCell(row.margin),
      row.block === chosen.block ? 'chosen' : '',
    ]),
  ]);
  const n = chosen.removal?.n ?? 0;
  const said = [
    `n = ${n} prompts that show the behaviour; controls: restoration (self: share changed, expected 0)`,
    `block ${chosen.block}: restoration ${intervalCell(chosen.restoration)}, margin over the strongest noise ${rateCell(chosen.margin)}`,
    ...notes,
  ];
  return `${table}${said.map((line) => `${line}\n`).join('')}`;
}
